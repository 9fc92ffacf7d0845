"""Keep the sums of quarters of an hour, hours, days and months right inside a lake transaction that somebody else began.

A row sums the values of one series (attribute, entity, data set, unit) in one bucket. A quarter of an hour is kept only in
hours of `DENSE` values or more: sparser ones are as quickly read from the observations themselves, and cost no disk.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from malha.history.engines.coarse import NONE, Coarse
from malha.history.engines.service import Connection
from malha.history.rollups import again, rules, sketch, summing, tables, thin, writing
from malha.history.rollups.ordering import Ordered

DENSE = tables.DENSE
hour_of, bucket_of, month_of = tables.hour_of, tables.bucket_of, tables.month_of
create, is_current = tables.create, tables.is_current


def keep_all(lake: Connection, schema: str, zone: ZoneInfo, coarse: Coarse) -> None:
    """Write the hours of coarse months, and the sketches of their days, from their values; whoever calls forgets that they were coarse."""
    source = f"lake.{schema}.observation AS x"
    for one in sorted(coarse.months):
        mine = Coarse(frozenset({one}))
        _sum_values(lake, schema, f"(SELECT * FROM {source} WHERE {mine.condition()}) AS x", tables.ALWAYS)
        days = f"lake.{schema}.rollup_day AS x WHERE x.type = $type AND x.attribute = $attribute AND x.bucket >= $first AND x.bucket <= $last AND x.sketch IS NULL AND x.count > {sketch.PLAIN}"
        month = datetime(one[2] // 100, one[2] % 100, 1, tzinfo=UTC)
        given = {"type": one[0], "attribute": one[1], "first": month - timedelta(days=1), "last": month + timedelta(days=32)}
        shown = ", ".join(f"x.{name}" for name in summing.SUMS.split(", "))
        found = lake.execute(f"SELECT {shown} FROM {days}", given).to_arrow_table()
        if found.num_rows:
            lake.execute(f"DELETE FROM {days}", given)
            writing.keep(lake, schema, "rollup_day", writing.complete(lake, schema, zone, found))


def rebuild(lake: Connection, schema: str, zone: ZoneInfo) -> None:
    """Make the sums of a tenant anew from its observations, month by month (after an upgrade, or when they are in doubt).

    All hours are kept then: whoever calls forgets which months were coarse.
    """
    for name in tables.TABLES:
        lake.execute(f"DROP TABLE IF EXISTS lake.{schema}.{name}")
    tables.create(lake, schema)
    source = f"lake.{schema}.observation"
    months = lake.execute(f"SELECT DISTINCT month FROM {source} WHERE num IS NOT NULL ORDER BY 1").fetchall()
    for (month,) in months:
        _sum_values(lake, schema, f"(SELECT * FROM {source} WHERE month = {int(month)}) AS x", tables.ALWAYS)
    span = lake.execute(f"SELECT min(bucket), max(bucket) FROM lake.{schema}.rollup_hour").fetchone()
    if span and span[0] is not None:
        lake.execute(f"CREATE OR REPLACE TEMP TABLE summed_series AS SELECT DISTINCT attribute, entity_id FROM lake.{schema}.rollup_hour")
        add_days(lake, schema, zone, span[0], span[1], "summed_series")


def refresh(lake: Connection, schema: str, zone: ZoneInfo, touched: str, coarse: Coarse = NONE, add_back: Callable[[], None] = lambda: None) -> None:
    """Sum again every bucket that a row of the relation `touched` (attribute, entity_id, dataset_id, observed_at) lies in.

    `coarse` are the tenant's months without sums by the hour, here and below. `add_back` puts to the hours what their values do not say (`kept`).
    """
    for first, last in again.months_of(lake, touched):
        lake.execute(
            f"""CREATE OR REPLACE TEMP TABLE touched_hours AS SELECT DISTINCT attribute, entity_id, dataset_id, {tables.hour_of("observed_at")} AS bucket
                FROM {touched} WHERE observed_at BETWEEN $first AND $last""",
            {"first": first, "last": last},
        )
        span = tables.Span(tables.hour_start(first), tables.hour_start(last) + tables.HOUR)
        for name, bucket in (("rollup_quarter", tables.hour_of("x.bucket")), ("rollup_hour", "x.bucket")):
            again.delete(lake, f"lake.{schema}.{name}", "touched_hours", span, bucket)
        _sum_values(
            lake,
            schema,
            f"lake.{schema}.observation AS x SEMI JOIN touched_hours AS t ON {tables.SERIES} AND {tables.hour_of('x.observed_at')} = t.bucket",
            span,
            coarse,
        )
        add_back()
        days = rules.local_days(span.start, span.end - timedelta(microseconds=1), zone)
        again.sum_again(lake, schema, "rollup_hour", "rollup_day", days, again.hours_of(days), zone, coarse)
        months = rules.local_months(span.start, span.end - timedelta(microseconds=1), zone)
        again.sum_again(lake, schema, "rollup_day", "rollup_month", months, again.days_of(months, zone), zone, coarse)


def add_hours(lake: Connection, schema: str, rows: pa.Table, coarse: Coarse = NONE) -> None:
    """Sum values (columns `summing.VALUES`, some null) by the hour and its quarters, where the lake holds nothing of theirs yet."""
    _add(lake, schema, summed(rows), coarse)


class Waiting:
    """Days of a tenant that wait to be written with those of the next batches of the same lake transaction; `newest` is None where the lake held nothing before."""

    def __init__(self, newest: datetime | None) -> None:
        self.newest, self._days = newest, list[pa.Table]()

    def add(self, days: pa.Table) -> None:
        """Days of values that are later than those of their series so far."""
        self._days.append(days)

    def write(self, lake: Connection, schema: str, zone: ZoneInfo, coarse: Coarse) -> None:
        """Write them and their months; what comes after this is put together with them."""
        if not self._days:
            return
        days = summing.merged(self._days) if len(self._days) > 1 else self._days[0]
        add_to(lake, schema, zone, "rollup_day", days, self.newest, coarse)
        add_to(lake, schema, zone, "rollup_month", in_local_months(days, zone), self.newest, coarse)
        self.newest, self._days = self.newest or tables.ALWAYS.start, []


def add_after(lake: Connection, schema: str, zone: ZoneInfo, values: pa.Table, newest: datetime | None, coarse: Coarse, waiting: Waiting) -> None:
    """Sum values (`summed`), each later than all of its series that the lake held before them: its sums get theirs added, none is summed again.

    Hours after that of `newest` had none at all; it is None where the lake held nothing before. Days and months are left `waiting`.
    """
    sums = hours_after(lake, schema, zone, values, newest, coarse)
    if sums.num_rows:
        waiting.add(in_local_days(sums, zone))


def hours_after(lake: Connection, schema: str, zone: ZoneInfo, values: pa.Table, newest: datetime | None, coarse: Coarse) -> pa.Table:
    """The hours of values that are later than all of their series; written where hours are kept."""
    sums = summing.of_values(values, tables.HOUR_US)
    kept, fine = thin.fine(sums, "bucket", coarse), thin.fine(values, "observed_at", coarse)
    if kept.num_rows and newest is None:
        _keep_hours(lake, schema, kept, fine)
    elif kept.num_rows and newest is not None:
        _join_hours(lake, schema, zone, kept, fine, tables.hour_start(newest))
    return sums


def add_to(lake: Connection, schema: str, zone: ZoneInfo, table: str, sums: pa.Table, newest: datetime | None, coarse: Coarse) -> None:
    """Write days or months of values that are later than all of their series, put together with what the lake had of them."""
    writing.keep(lake, schema, table, sums if newest is None else writing.with_known(lake, schema, zone, table, sums, coarse))


def in_local_days(sums: pa.Table, zone: ZoneInfo) -> pa.Table:
    """Sums of hours by day of the zone."""
    return summing.in_periods(sums, [start for start, _ in rules.local_days(*thin.ends(sums, "bucket"), zone)])


def in_local_months(sums: pa.Table, zone: ZoneInfo) -> pa.Table:
    """Sums of days by month of the zone."""
    return summing.in_periods(sums, [start for start, _ in rules.local_months(*thin.ends(sums, "bucket"), zone)])


def _join_hours(lake: Connection, schema: str, zone: ZoneInfo, sums: pa.Table, values: pa.Table, edge: datetime) -> None:
    """Hours of new values, of which those up to `edge` may have some already. Their quarters are summed again: they may have been too few until now."""
    at, instant = pa.scalar(edge, summing.INSTANT), pa.scalar(edge + tables.HOUR, summing.INSTANT)
    if pc.min(sums.column("bucket")).as_py() > edge:
        _keep_hours(lake, schema, sums, values)
        return
    _keep_hours(lake, schema, sums.filter(pc.greater(sums.column("bucket"), at)), values.filter(pc.greater_equal(values.column("observed_at"), instant)))
    begun = sums.filter(pc.less_equal(sums.column("bucket"), at))
    if not begun.num_rows:
        return
    hours = writing.with_known(lake, schema, zone, "rollup_hour", begun, NONE)
    writing.keep(lake, schema, "rollup_hour", hours)
    dense = hours.filter(pc.greater_equal(hours.column("count"), tables.DENSE))
    if dense.num_rows:
        writing.touch(lake, dense)
        span = tables.Span(pc.min(dense.column("bucket")).as_py(), edge + tables.HOUR)
        again.delete(lake, f"lake.{schema}.rollup_quarter", "touched_sums", span, tables.hour_of("x.bucket"))
        source = f"lake.{schema}.observation AS x SEMI JOIN touched_sums AS t ON {tables.SERIES} AND {tables.hour_of('x.observed_at')} = t.bucket"
        values = lake.execute(f"SELECT {summing.VALUES} FROM {source} {tables.WITHIN}", {"first": span.start, "last": span.end}).to_arrow_table()
        writing.keep(lake, schema, "rollup_quarter", _quarters(values))


def add_days(lake: Connection, schema: str, zone: ZoneInfo, first: datetime, last: datetime, series: str, coarse: Coarse = NONE) -> None:
    """Sum the hours that `add_hours` made between two instants by day and month, for the relation `series` (attribute, entity_id).

    Its first and last day, and its months, may have had values before: they are summed again whole.
    """
    days, months = rules.local_days(first, last, zone), rules.local_months(first, last, zone)
    only = f"SEMI JOIN {series} AS t ON h.attribute = t.attribute AND h.entity_id = t.entity_id"
    for source, table, periods, fine in (
        ("rollup_hour", "rollup_day", days, again.hours_of(days)),
        ("rollup_day", "rollup_month", months, again.days_of(months, zone)),
    ):
        span = tables.Span(periods[0][0], periods[-1][1])
        known = f"FROM lake.{schema}.{table} AS x WHERE x.bucket >= $start AND x.bucket < $end AND EXISTS (SELECT 1 FROM {series} AS t WHERE t.attribute = x.attribute AND t.entity_id = x.entity_id)"
        given = {"start": span.start, "end": span.end}
        if lake.execute(f"SELECT 1 {known} LIMIT 1", given).fetchone():
            lake.execute(f"DELETE {known}", given)
        again.know(lake, fine)
        again.sum_buckets(lake, schema, source, table, only, span, zone, coarse, series)


def _sum_values(lake: Connection, schema: str, source: str, span: tables.Span, coarse: Coarse = NONE) -> None:
    """Sum the values of `source` (a FROM clause with the alias x) by the hour, and by quarters where they are dense; some series at a time."""
    given = {"first": span.start, "last": span.end}
    for mine in writing.slices(lake, f"{source} {tables.WITHIN}", given, "x", writing.SUMMED_ROWS):
        _add(lake, schema, lake.execute(f"SELECT {summing.VALUES} FROM {source} {tables.WITHIN}{mine}", given).to_arrow_table(), coarse)


def _add(lake: Connection, schema: str, values: pa.Table, coarse: Coarse) -> None:
    values = thin.fine(values, "observed_at", coarse)
    if values.num_rows:
        _keep_hours(lake, schema, summing.of_values(values, tables.HOUR_US), values)


def _keep_hours(lake: Connection, schema: str, hours: pa.Table, values: pa.Table) -> None:
    """Write the hours of values, and their quarters where they are dense."""
    writing.keep(lake, schema, "rollup_hour", hours)
    if (pc.max(hours.column("count")).as_py() or 0) >= tables.DENSE:
        writing.keep(lake, schema, "rollup_quarter", _quarters(values))


def _quarters(values: pa.Table) -> pa.Table:
    """The quarters of dense hours. They keep no sketch while their values are there: of fifteen values it has as many steps as they are."""
    return summing.of_values(values, tables.HOUR_US // 4, least=(tables.HOUR_US, tables.DENSE), sketches=False)


def keep_quarters(lake: Connection, schema: str, entity_type: str, before: datetime) -> None:
    """Write the sketches of a type's quarters that begin before an instant, from their values, which are about to go."""
    lacking = f"lake.{schema}.rollup_quarter AS x WHERE x.type = $type AND x.bucket < $before AND x.sketch IS NULL AND x.count > {sketch.PLAIN}"
    given: dict[str, object] = {"type": entity_type, "before": before}
    shown = ", ".join(f"x.{name}" for name in summing.SUMS.split(", "))
    for (month,) in lake.execute(f"SELECT DISTINCT x.month FROM {lacking} ORDER BY 1", given).fetchall():
        for mine in writing.slices(lake, f"{lacking} AND x.month = {int(month)}", given, "x", writing.SUMMED_SUMS["rollup_hour"]):
            some = f"{lacking} AND x.month = {int(month)}{mine}"
            found = lake.execute(f"SELECT {shown} FROM {some}", given).to_arrow_table()
            lake.execute(f"DELETE FROM {some}", given)
            writing.keep(
                lake, schema, "rollup_quarter", writing.sketched(lake, schema, found, tables.HOUR_US // 4, thin.ends(found, "bucket")[1] + tables.HOUR / 4)
            )


def summed(rows: pa.Table) -> pa.Table:
    """What is summed of observations: the columns `summing.VALUES`, where there is a number."""
    values = rows.select(summing.VALUES.split(", "))
    return values.filter(pc.is_valid(values.column("num"))) if values.column("num").null_count else values


def summed_in_order(values: Ordered) -> Ordered:
    """The same of rows in order."""
    found = Ordered(values.month, values.rows.select(summing.VALUES.split(", ")), values.times, values.series)
    return found.only(pc.is_valid(found.rows.column("num")).combine_chunks().to_numpy(zero_copy_only=False)) if found.rows.column("num").null_count else found
