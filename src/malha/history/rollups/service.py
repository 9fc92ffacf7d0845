"""Keep the sums of quarters of an hour, hours, days and months right inside a lake transaction that somebody else began.

A row sums the values of one series (attribute, entity, data set, unit) in one bucket. A quarter of an hour is kept only in
hours of `DENSE` values or more: sparser ones are as quickly read from the observations themselves, and cost no disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from malha.foundation.settings import service as settings
from malha.history.engines.coarse import NONE, Coarse
from malha.history.engines.service import Connection
from malha.history.rollups import rules, sketch, summing, thin
from malha.history.rollups.ordering import Ordered

HOUR = timedelta(hours=1)
HOUR_US = 3_600_000_000
#: rows that are summed at a time: more would not fit beside the engine; sums of many values carry a sketch of a hundred steps
SUMMED_ROWS = 1_000_000
SUMMED_SUMS = {"rollup_hour": 200_000, "rollup_day": 20_000}
#: values in an hour from which its quarters are kept too (one every two minutes)
DENSE = 30
COLUMNS = """tenant_id BIGINT, type VARCHAR, attribute VARCHAR, entity_id BIGINT, dataset_id INTEGER, unit VARCHAR, bucket TIMESTAMPTZ,
    count BIGINT, sum DOUBLE, minimum DOUBLE, maximum DOUBLE, first DOUBLE, last DOUBLE"""
#: tables, how they are kept apart, and what more they have; the fine ones know their month by a number
TABLES = {
    "rollup_quarter": ("month", ", month INTEGER"),
    "rollup_hour": ("month", ", month INTEGER"),
    "rollup_day": ("year(bucket)", ""),
    "rollup_month": ("", ""),
}
_SERIES = "x.attribute = t.attribute AND x.entity_id = t.entity_id AND x.dataset_id = t.dataset_id"

_WITHIN = "WHERE x.num IS NOT NULL AND x.observed_at >= $first AND x.observed_at < $last"


def hour_of(column: str) -> str:
    """The start of the hour (UTC) of an instant: arithmetic, where `date_trunc` would ask a calendar for each row."""
    return bucket_of(column, 3600)


def bucket_of(column: str, seconds: int) -> str:
    """The start of the bucket of so many seconds (UTC) of an instant."""
    return f"make_timestamptz(epoch_us({column}) // {seconds}000000 * {seconds}000000)"


def month_of(column: str) -> str:
    """The month (UTC) of an instant as a number such as 202611, by which files are kept apart."""
    plain = f"make_timestamp(epoch_us({column}))"
    return f"(year({plain}) * 100 + month({plain}))::INTEGER"


def create(lake: Connection, schema: str) -> None:
    """Make the tables of a tenant."""
    for name, (parts, more) in TABLES.items():
        lake.execute(f"CREATE TABLE lake.{schema}.{name}({COLUMNS}{more}, sketch {sketch.COLUMN_TYPE})")
        if parts:
            lake.execute(f"ALTER TABLE lake.{schema}.{name} SET PARTITIONED BY ({parts})")
        lake.execute(f"ALTER TABLE lake.{schema}.{name} SET SORTED BY (type ASC, attribute ASC, entity_id ASC, bucket ASC)")


def is_current(lake: Connection, schema: str) -> bool:
    """Whether the tenant's sums are of today's make. (A list of all tables would ask the catalogue for the size of each.)"""
    try:
        lake.execute(f"EXPLAIN SELECT sketch FROM lake.{schema}.rollup_month")
    except duckdb.CatalogException:
        return False
    return True


def keep_all(lake: Connection, schema: str, zone: ZoneInfo, coarse: Coarse) -> None:
    """Write the hours of coarse months, and the sketches of their days, from their values; whoever calls forgets that they were coarse."""
    source = f"lake.{schema}.observation AS x"
    for one in sorted(coarse.months):
        mine = Coarse(frozenset({one}))
        _sum_values(lake, schema, f"(SELECT * FROM {source} WHERE {mine.condition()}) AS x", ALWAYS)
        days = f"lake.{schema}.rollup_day AS x WHERE x.type = $type AND x.attribute = $attribute AND x.bucket >= $first AND x.bucket <= $last AND x.sketch IS NULL AND x.count > {sketch.PLAIN}"
        month = datetime(one[2] // 100, one[2] % 100, 1, tzinfo=UTC)
        given = {"type": one[0], "attribute": one[1], "first": month - timedelta(days=1), "last": month + timedelta(days=32)}
        shown = ", ".join(f"x.{name}" for name in summing.SUMS.split(", "))
        found = lake.execute(f"SELECT {shown} FROM {days}", given).to_arrow_table()
        if found.num_rows:
            lake.execute(f"DELETE FROM {days}", given)
            keep(lake, schema, "rollup_day", _complete(lake, schema, zone, found))


def rebuild(lake: Connection, schema: str, zone: ZoneInfo) -> None:
    """Make the sums of a tenant anew from its observations, month by month (after an upgrade, or when they are in doubt).

    All hours are kept then: whoever calls forgets which months were coarse.
    """
    for name in TABLES:
        lake.execute(f"DROP TABLE IF EXISTS lake.{schema}.{name}")
    create(lake, schema)
    source = f"lake.{schema}.observation"
    months = lake.execute(f"SELECT DISTINCT month FROM {source} WHERE num IS NOT NULL ORDER BY 1").fetchall()
    for (month,) in months:
        _sum_values(lake, schema, f"(SELECT * FROM {source} WHERE month = {int(month)}) AS x", ALWAYS)
    span = lake.execute(f"SELECT min(bucket), max(bucket) FROM lake.{schema}.rollup_hour").fetchone()
    if span and span[0] is not None:
        lake.execute(f"CREATE OR REPLACE TEMP TABLE summed_series AS SELECT DISTINCT attribute, entity_id FROM lake.{schema}.rollup_hour")
        add_days(lake, schema, zone, span[0], span[1], "summed_series")


def refresh(lake: Connection, schema: str, zone: ZoneInfo, touched: str, coarse: Coarse = NONE, add_back: Callable[[], None] = lambda: None) -> None:
    """Sum again every bucket that a row of the relation `touched` (attribute, entity_id, dataset_id, observed_at) lies in.

    `coarse` are the tenant's months without sums by the hour, here and below. `add_back` puts to the hours what their values do not say (`kept`).
    """
    for first, last in _months(lake, touched):
        lake.execute(
            f"""CREATE OR REPLACE TEMP TABLE touched_hours AS SELECT DISTINCT attribute, entity_id, dataset_id, {hour_of("observed_at")} AS bucket
                FROM {touched} WHERE observed_at BETWEEN $first AND $last""",
            {"first": first, "last": last},
        )
        span = _Span(hour_start(first), hour_start(last) + HOUR)
        for name, bucket in (("rollup_quarter", hour_of("x.bucket")), ("rollup_hour", "x.bucket")):
            _delete(lake, f"lake.{schema}.{name}", "touched_hours", span, bucket)
        _sum_values(
            lake, schema, f"lake.{schema}.observation AS x SEMI JOIN touched_hours AS t ON {_SERIES} AND {hour_of('x.observed_at')} = t.bucket", span, coarse
        )
        add_back()
        days = rules.local_days(span.start, span.end - timedelta(microseconds=1), zone)
        _sum_again(lake, schema, "rollup_hour", "rollup_day", days, _hours_of(days), zone, coarse)
        months = rules.local_months(span.start, span.end - timedelta(microseconds=1), zone)
        _sum_again(lake, schema, "rollup_day", "rollup_month", months, _days_of(months, zone), zone, coarse)


def add_hours(lake: Connection, schema: str, rows: pa.Table, coarse: Coarse = NONE) -> None:
    """Sum values (columns `summing.VALUES`, some null) by the hour and its quarters, where the lake holds nothing of theirs yet."""
    _add(lake, schema, summed(rows), coarse)


def add_after(lake: Connection, schema: str, zone: ZoneInfo, values: pa.Table, newest: datetime | None, coarse: Coarse = NONE) -> None:
    """Sum values (`summed`), each later than all of its series that the lake held before them: its sums get theirs added, none is summed again.

    Hours after that of `newest` had none at all; it is None where the lake held nothing before.
    """
    sums = hours_after(lake, schema, zone, values, newest, coarse)
    if sums.num_rows:
        days = in_local_days(sums, zone)
        add_to(lake, schema, zone, "rollup_day", days, newest, coarse)
        add_to(lake, schema, zone, "rollup_month", in_local_months(days, zone), newest, coarse)


def hours_after(lake: Connection, schema: str, zone: ZoneInfo, values: pa.Table, newest: datetime | None, coarse: Coarse) -> pa.Table:
    """The hours of values that are later than all of their series; written where hours are kept."""
    sums = summing.of_values(values, HOUR_US)
    kept, fine = thin.fine(sums, "bucket", coarse), thin.fine(values, "observed_at", coarse)
    if kept.num_rows and newest is None:
        _keep_hours(lake, schema, kept, fine)
    elif kept.num_rows and newest is not None:
        _join_hours(lake, schema, zone, kept, fine, hour_start(newest))
    return sums


def add_to(lake: Connection, schema: str, zone: ZoneInfo, table: str, sums: pa.Table, newest: datetime | None, coarse: Coarse) -> None:
    """Write days or months of values that are later than all of their series, put together with what the lake had of them."""
    keep(lake, schema, table, sums if newest is None else _with_known(lake, schema, zone, table, sums, coarse))


def in_local_days(sums: pa.Table, zone: ZoneInfo) -> pa.Table:
    """Sums of hours by day of the zone."""
    return summing.in_periods(sums, [start for start, _ in rules.local_days(*thin.ends(sums, "bucket"), zone)])


def in_local_months(sums: pa.Table, zone: ZoneInfo) -> pa.Table:
    """Sums of days by month of the zone."""
    return summing.in_periods(sums, [start for start, _ in rules.local_months(*thin.ends(sums, "bucket"), zone)])


def _join_hours(lake: Connection, schema: str, zone: ZoneInfo, sums: pa.Table, values: pa.Table, edge: datetime) -> None:
    """Hours of new values, of which those up to `edge` may have some already. Their quarters are summed again: they may have been too few until now."""
    at, instant = pa.scalar(edge, summing.INSTANT), pa.scalar(edge + HOUR, summing.INSTANT)
    if pc.min(sums.column("bucket")).as_py() > edge:
        _keep_hours(lake, schema, sums, values)
        return
    _keep_hours(lake, schema, sums.filter(pc.greater(sums.column("bucket"), at)), values.filter(pc.greater_equal(values.column("observed_at"), instant)))
    begun = sums.filter(pc.less_equal(sums.column("bucket"), at))
    if not begun.num_rows:
        return
    hours = _with_known(lake, schema, zone, "rollup_hour", begun, NONE)
    keep(lake, schema, "rollup_hour", hours)
    dense = hours.filter(pc.greater_equal(hours.column("count"), DENSE))
    if dense.num_rows:
        _touch(lake, dense)
        span = _Span(pc.min(dense.column("bucket")).as_py(), edge + HOUR)
        _delete(lake, f"lake.{schema}.rollup_quarter", "touched_sums", span, hour_of("x.bucket"))
        source = f"lake.{schema}.observation AS x SEMI JOIN touched_sums AS t ON {_SERIES} AND {hour_of('x.observed_at')} = t.bucket"
        again = lake.execute(f"SELECT {summing.VALUES} FROM {source} {_WITHIN}", {"first": span.start, "last": span.end}).to_arrow_table()
        keep(lake, schema, "rollup_quarter", _quarters(again))


def add_days(lake: Connection, schema: str, zone: ZoneInfo, first: datetime, last: datetime, series: str, coarse: Coarse = NONE) -> None:
    """Sum the hours that `add_hours` made between two instants by day and month, for the relation `series` (attribute, entity_id).

    Its first and last day, and its months, may have had values before: they are summed again whole.
    """
    days, months = rules.local_days(first, last, zone), rules.local_months(first, last, zone)
    only = f"SEMI JOIN {series} AS t ON h.attribute = t.attribute AND h.entity_id = t.entity_id"
    for source, table, periods, fine in (
        ("rollup_hour", "rollup_day", days, _hours_of(days)),
        ("rollup_day", "rollup_month", months, _days_of(months, zone)),
    ):
        span = _Span(periods[0][0], periods[-1][1])
        known = f"FROM lake.{schema}.{table} AS x WHERE x.bucket >= $start AND x.bucket < $end AND EXISTS (SELECT 1 FROM {series} AS t WHERE t.attribute = x.attribute AND t.entity_id = x.entity_id)"
        given = {"start": span.start, "end": span.end}
        if lake.execute(f"SELECT 1 {known} LIMIT 1", given).fetchone():
            lake.execute(f"DELETE {known}", given)
        _know(lake, fine)
        _sum_buckets(lake, schema, source, table, only, span, zone, coarse, series)


@dataclass(frozen=True, slots=True)
class _Span:
    start: datetime
    end: datetime


ALWAYS = _Span(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
type _Periods = list[tuple[datetime, datetime]]


def _sum_values(lake: Connection, schema: str, source: str, span: _Span, coarse: Coarse = NONE) -> None:
    """Sum the values of `source` (a FROM clause with the alias x) by the hour, and by quarters where they are dense; some series at a time."""
    given = {"first": span.start, "last": span.end}
    for mine in _slices(lake, f"{source} {_WITHIN}", given, "x", SUMMED_ROWS):
        _add(lake, schema, lake.execute(f"SELECT {summing.VALUES} FROM {source} {_WITHIN}{mine}", given).to_arrow_table(), coarse)


def _slices(lake: Connection, source: str, given: Mapping[str, object], alias: str, rows: int) -> list[str]:
    """Conditions to add, each of at most about so many rows of whole series."""
    row = lake.execute(f"SELECT count(*) FROM {source}", given).fetchone()
    parts = -(-row[0] // rows) if row else 0
    return [f" AND hash({alias}.entity_id) % {parts} = {part}" if parts > 1 else "" for part in range(parts)]


def _add(lake: Connection, schema: str, values: pa.Table, coarse: Coarse) -> None:
    values = thin.fine(values, "observed_at", coarse)
    if values.num_rows:
        _keep_hours(lake, schema, summing.of_values(values, HOUR_US), values)


def _keep_hours(lake: Connection, schema: str, hours: pa.Table, values: pa.Table) -> None:
    """Write the hours of values, and their quarters where they are dense."""
    keep(lake, schema, "rollup_hour", hours)
    if (pc.max(hours.column("count")).as_py() or 0) >= DENSE:
        keep(lake, schema, "rollup_quarter", _quarters(values))


def _quarters(values: pa.Table) -> pa.Table:
    """The quarters of dense hours. They keep no sketch while their values are there: of fifteen values it has as many steps as they are."""
    return summing.of_values(values, HOUR_US // 4, least=(HOUR_US, DENSE), sketches=False)


def keep_quarters(lake: Connection, schema: str, entity_type: str, before: datetime) -> None:
    """Write the sketches of a type's quarters that begin before an instant, from their values, which are about to go."""
    lacking = f"lake.{schema}.rollup_quarter AS x WHERE x.type = $type AND x.bucket < $before AND x.sketch IS NULL AND x.count > {sketch.PLAIN}"
    given: dict[str, object] = {"type": entity_type, "before": before}
    shown = ", ".join(f"x.{name}" for name in summing.SUMS.split(", "))
    for (month,) in lake.execute(f"SELECT DISTINCT x.month FROM {lacking} ORDER BY 1", given).fetchall():
        for mine in _slices(lake, f"{lacking} AND x.month = {int(month)}", given, "x", SUMMED_SUMS["rollup_hour"]):
            some = f"{lacking} AND x.month = {int(month)}{mine}"
            found = lake.execute(f"SELECT {shown} FROM {some}", given).to_arrow_table()
            lake.execute(f"DELETE FROM {some}", given)
            keep(lake, schema, "rollup_quarter", _sketched(lake, schema, found, HOUR_US // 4, thin.ends(found, "bucket")[1] + HOUR / 4))


def summed(rows: pa.Table) -> pa.Table:
    """What is summed of observations: the columns `summing.VALUES`, where there is a number."""
    values = rows.select(summing.VALUES.split(", "))
    return values.filter(pc.is_valid(values.column("num"))) if values.column("num").null_count else values


def summed_in_order(values: Ordered) -> Ordered:
    """The same of rows in order."""
    found = Ordered(values.month, values.rows.select(summing.VALUES.split(", ")), values.times, values.series)
    return found.only(pc.is_valid(found.rows.column("num")).combine_chunks().to_numpy(zero_copy_only=False)) if found.rows.column("num").null_count else found


def keep(lake: Connection, schema: str, table: str, sums: pa.Table) -> None:
    """Write sums, which come in the table's order."""
    if sums.num_rows:
        plain = summing.SUMS.removesuffix(", sketch")
        month = f", {month_of('bucket')}" if "month" in TABLES[table][1] else ""
        with _readable(lake, sums) as relation:
            lake.execute(f"INSERT INTO lake.{schema}.{table} SELECT {plain}{month}, sketch FROM {relation}")


@contextmanager
def _readable(lake: Connection, sums: pa.Table) -> Iterator[str]:
    """Sums as something to select from.

    A map that comes as Arrow is looked through key by key, at ten times the cost of all the rest; one that comes from a file is not.
    """
    if sums.column("sketch").null_count == sums.num_rows:
        lake.register("fresh_sums", sums.drop_columns("sketch"))
        yield "(SELECT *, NULL AS sketch FROM fresh_sums)"
        lake.unregister("fresh_sums")
        return
    with tempfile.NamedTemporaryFile(dir=settings.current().data / "tmp", suffix=".parquet") as file:
        parquet.write_table(sums, file, compression="none", use_dictionary=["type", "attribute", "unit"], write_statistics=False)
        file.flush()
        yield f"read_parquet('{str(file.name).replace("'", "''")}')"


def _touch(lake: Connection, sums: pa.Table) -> None:
    """Make `touched_sums` of the series and buckets of sums."""
    lake.register("given_sums", sums.select(["attribute", "entity_id", "dataset_id", "bucket"]))
    lake.execute("CREATE OR REPLACE TEMP TABLE touched_sums AS SELECT DISTINCT * FROM given_sums")
    lake.unregister("given_sums")


def _with_known(lake: Connection, schema: str, zone: ZoneInfo, name: str, sums: pa.Table, coarse: Coarse) -> pa.Table:
    """Sums of a table with what it holds of the same buckets, which is taken out of it; within a bucket all of the new values came after those."""
    _touch(lake, sums)
    table = f"lake.{schema}.{name}"
    first, last = thin.ends(sums, "bucket")
    given = {"first": first, "last": last}
    theirs = f"{_SERIES} AND x.bucket = t.bucket"
    within = "x.bucket >= $first AND x.bucket <= $last"
    shown = ", ".join(f"x.{name}" for name in summing.SUMS.split(", "))
    known = lake.execute(f"SELECT {shown} FROM {table} AS x SEMI JOIN touched_sums AS t ON {theirs} WHERE {within}", given).to_arrow_table()
    if not known.num_rows:
        return sums
    lake.execute(f"DELETE FROM {table} AS x WHERE {within} AND EXISTS (SELECT 1 FROM touched_sums AS t WHERE {theirs})", given)
    return summing.merged([_complete(lake, schema, zone, known) if name == "rollup_day" and coarse else known, sums])


def _complete(lake: Connection, schema: str, zone: ZoneInfo, days: pa.Table) -> pa.Table:
    """Days of which some lack their sketch (those of coarse months do), with sketches made of their values."""
    lacking = summing.lacking(days)
    if not lacking.any():
        return days
    periods = rules.local_days(*thin.ends(days.filter(pa.array(lacking)), "bucket"), zone)
    return _sketched(lake, schema, days, summing.edges([start for start, _ in periods]), periods[-1][1])


def _sketched(lake: Connection, schema: str, sums: pa.Table, width: int | summing.Whole, end: datetime) -> pa.Table:
    """Sums of values before an instant, those that lack their sketch with one made of their values."""
    some = sums.filter(pa.array(summing.lacking(sums)))
    lake.register("given_sums", sums)
    lake.register("lacking_sums", some.select(["attribute", "entity_id", "dataset_id", "bucket"]))
    source = f"lake.{schema}.observation AS x SEMI JOIN (SELECT DISTINCT attribute, entity_id, dataset_id FROM lacking_sums) AS t ON {_SERIES}"
    given = {"first": thin.ends(some, "bucket")[0], "last": end}
    values = lake.execute(f"SELECT {summing.VALUES} FROM {source} {_WITHIN}", given).to_arrow_table()
    lake.register("made_sums", summing.of_values(values, width))
    same = (
        "m.attribute = d.attribute AND m.entity_id = d.entity_id AND m.dataset_id = d.dataset_id AND m.bucket = d.bucket AND m.unit IS NOT DISTINCT FROM d.unit"
    )
    found = lake.execute(
        f"SELECT d.* REPLACE (coalesce(d.sketch, CASE WHEN d.count > {sketch.PLAIN} THEN m.sketch END)::{sketch.COLUMN_TYPE} AS sketch) FROM given_sums AS d LEFT JOIN made_sums AS m ON {same}"
    ).to_arrow_table()
    for name in ("given_sums", "lacking_sums", "made_sums"):
        lake.unregister(name)
    return found


def _sum_again(lake: Connection, schema: str, source: str, table: str, periods: _Periods, fine: _Periods, zone: ZoneInfo, coarse: Coarse) -> None:
    """Sum again the coarse buckets of `touched_hours`."""
    span = _Span(periods[0][0], periods[-1][1])
    lake.register("given_periods", _table(periods, "starts", "ends"))
    lake.execute(
        """CREATE OR REPLACE TEMP TABLE touched_coarse AS SELECT DISTINCT h.attribute, h.entity_id, h.dataset_id, d.starts AS bucket
           FROM touched_hours AS h JOIN given_periods AS d ON h.bucket >= d.starts AND h.bucket < d.ends"""
    )
    lake.unregister("given_periods")
    _delete(lake, f"lake.{schema}.{table}", "touched_coarse", span)
    _know(lake, fine)
    only = f"SEMI JOIN touched_coarse AS t ON {_SERIES} AND d.starts = t.bucket".replace("x.", "h.")
    _sum_buckets(lake, schema, source, table, only, span, zone, coarse, "touched_coarse")


def _sum_buckets(
    lake: Connection, schema: str, source: str, table: str, only_touched: str, span: _Span, zone: ZoneInfo, coarse: Coarse, series: str
) -> None:  # fmt: skip
    """Sum fine buckets by coarser ones. `local_buckets` says in which coarse bucket each fine one lies, `series` names those that are summed."""
    there = f" AND x.observed_at >= $first AND x.observed_at < $last AND x.entity_id IN (SELECT entity_id FROM {series})"
    sketched = f"CASE WHEN count(x.num) > {sketch.PLAIN} THEN {sketch.of_values('x.num')} END"
    stored = coarse.within(span.start, span.end).hours(schema, there, sketched) if source == "rollup_hour" else f"lake.{schema}.{source}"
    fine = f"{stored} AS h JOIN local_buckets AS d ON h.bucket = d.bucket {only_touched} WHERE h.bucket >= $first AND h.bucket < $last"
    given = {"first": span.start, "last": span.end}
    shown = ", ".join(f"h.{name}" for name in summing.SUMS.split(", "))
    for mine in _slices(lake, fine, given, "h", SUMMED_SUMS[source]):
        found = lake.execute(f"SELECT {shown}, d.starts FROM {fine}{mine}", given).to_arrow_table()
        keep(lake, schema, table, summing.of_sums(_complete(lake, schema, zone, found) if source == "rollup_day" and coarse else found))


def _delete(lake: Connection, table: str, touched: str, span: _Span, bucket: str = "x.bucket") -> None:
    given = {"start": span.start, "end": span.end}
    found = lake.execute(
        f"SELECT 1 FROM {table} AS x SEMI JOIN {touched} AS t ON {_SERIES} AND {bucket} = t.bucket WHERE x.bucket >= $start AND x.bucket < $end LIMIT 1", given
    ).fetchone()
    if found:  # a delete that finds nothing would still read every file
        lake.execute(
            f"DELETE FROM {table} AS x WHERE x.bucket >= $start AND x.bucket < $end AND EXISTS (SELECT 1 FROM {touched} AS t WHERE {_SERIES} AND {bucket} = t.bucket)",
            given,
        )


def _know(lake: Connection, fine: _Periods) -> None:
    """Make `local_buckets`, the coarse bucket of each fine one: joining on equal instants is much cheaper than on ranges."""
    lake.register("given_buckets", _table(fine, "bucket", "starts"))
    lake.execute("CREATE OR REPLACE TEMP TABLE local_buckets AS SELECT * FROM given_buckets")
    lake.unregister("given_buckets")


def _table(pairs: _Periods, *names: str) -> pa.Table:
    instant = pa.timestamp("us", "UTC")
    return pa.table({name: pa.array([pair[at] for pair in pairs], instant) for at, name in enumerate(names)})


def _hours_of(days: _Periods) -> _Periods:
    """(hour, start of its day). Days of zones with half an hour more or less than UTC are not served."""
    return [(start + HOUR * n, start) for start, end in days for n in range((end - start) // HOUR)]


def _days_of(months: _Periods, zone: ZoneInfo) -> _Periods:
    """(start of a day, start of its month)."""
    return [(day, start) for start, end in months for day, _ in rules.local_days(start, end - timedelta(microseconds=1), zone)]


def _months(lake: Connection, touched: str) -> _Periods:
    """First and last instant of `touched` in each month that it reaches: far apart late rows do not read the years between."""
    return lake.execute(f"SELECT min(observed_at), max(observed_at) FROM {touched} GROUP BY {month_of('observed_at')} ORDER BY 1").fetchall()


def hour_start(instant: datetime) -> datetime:
    """The start of the hour (UTC) in which an instant lies."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
