"""Coarser sums made anew from finer ones, of the buckets that something touched."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa

from malha.history.engines.coarse import Coarse
from malha.history.engines.service import Connection
from malha.history.rollups import rules, sketch, summing, tables, writing


def sum_again(lake: Connection, schema: str, source: str, table: str, periods: tables.Periods, fine: tables.Periods, zone: ZoneInfo, coarse: Coarse) -> None:
    """Sum again the coarse buckets of `touched_hours`."""
    span = tables.Span(periods[0][0], periods[-1][1])
    lake.register("given_periods", _table(periods, "starts", "ends"))
    lake.execute(
        """CREATE OR REPLACE TEMP TABLE touched_coarse AS SELECT DISTINCT h.attribute, h.entity_id, h.dataset_id, d.starts AS bucket
           FROM touched_hours AS h JOIN given_periods AS d ON h.bucket >= d.starts AND h.bucket < d.ends"""
    )
    lake.unregister("given_periods")
    delete(lake, f"lake.{schema}.{table}", "touched_coarse", span)
    know(lake, fine)
    only = f"SEMI JOIN touched_coarse AS t ON {tables.SERIES} AND d.starts = t.bucket".replace("x.", "h.")
    sum_buckets(lake, schema, source, table, only, span, zone, coarse, "touched_coarse")


def sum_buckets(
    lake: Connection, schema: str, source: str, table: str, only_touched: str, span: tables.Span, zone: ZoneInfo, coarse: Coarse, series: str
) -> None:  # fmt: skip
    """Sum fine buckets by coarser ones. `local_buckets` says in which coarse bucket each fine one lies, `series` names those that are summed."""
    there = f" AND x.observed_at >= $first AND x.observed_at < $last AND x.entity_id IN (SELECT entity_id FROM {series})"
    sketched = f"CASE WHEN count(x.num) > {sketch.PLAIN} THEN {sketch.of_values('x.num')} END"
    stored = coarse.within(span.start, span.end).hours(schema, there, sketched) if source == "rollup_hour" else f"lake.{schema}.{source}"
    fine = f"{stored} AS h JOIN local_buckets AS d ON h.bucket = d.bucket {only_touched} WHERE h.bucket >= $first AND h.bucket < $last"
    given = {"first": span.start, "last": span.end}
    shown = ", ".join(f"h.{name}" for name in summing.SUMS.split(", "))
    for mine in writing.slices(lake, fine, given, "h", writing.SUMMED_SUMS[source]):
        found = lake.execute(f"SELECT {shown}, d.starts FROM {fine}{mine}", given).to_arrow_table()
        writing.keep(lake, schema, table, summing.of_sums(writing.complete(lake, schema, zone, found) if source == "rollup_day" and coarse else found))


def delete(lake: Connection, table: str, touched: str, span: tables.Span, bucket: str = "x.bucket") -> None:
    """Take out of a table the buckets of a period that the relation `touched` names."""
    given = {"start": span.start, "end": span.end}
    found = lake.execute(
        f"SELECT 1 FROM {table} AS x SEMI JOIN {touched} AS t ON {tables.SERIES} AND {bucket} = t.bucket WHERE x.bucket >= $start AND x.bucket < $end LIMIT 1",
        given,
    ).fetchone()
    if found:  # a delete that finds nothing would still read every file
        lake.execute(
            f"DELETE FROM {table} AS x WHERE x.bucket >= $start AND x.bucket < $end AND EXISTS (SELECT 1 FROM {touched} AS t WHERE {tables.SERIES} AND {bucket} = t.bucket)",
            given,
        )


def know(lake: Connection, fine: tables.Periods) -> None:
    """Make `local_buckets`, the coarse bucket of each fine one: joining on equal instants is much cheaper than on ranges."""
    lake.register("given_buckets", _table(fine, "bucket", "starts"))
    lake.execute("CREATE OR REPLACE TEMP TABLE local_buckets AS SELECT * FROM given_buckets")
    lake.unregister("given_buckets")


def _table(pairs: tables.Periods, *names: str) -> pa.Table:
    instant = pa.timestamp("us", "UTC")
    return pa.table({name: pa.array([pair[at] for pair in pairs], instant) for at, name in enumerate(names)})


def hours_of(days: tables.Periods) -> tables.Periods:
    """(hour, start of its day). Days of zones with half an hour more or less than UTC are not served."""
    return [(start + tables.HOUR * n, start) for start, end in days for n in range((end - start) // tables.HOUR)]


def days_of(months: tables.Periods, zone: ZoneInfo) -> tables.Periods:
    """(start of a day, start of its month)."""
    return [(day, start) for start, end in months for day, _ in rules.local_days(start, end - timedelta(microseconds=1), zone)]


def months_of(lake: Connection, touched: str) -> tables.Periods:
    """First and last instant of `touched` in each month that it reaches: far apart late rows do not read the years between."""
    return lake.execute(f"SELECT min(observed_at), max(observed_at) FROM {touched} GROUP BY {tables.month_of('observed_at')} ORDER BY 1").fetchall()
