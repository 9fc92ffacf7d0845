"""Keep the sums of quarters of an hour, hours, days and months right inside a lake transaction that somebody else began.

A row sums the values of one series (attribute, entity, data set, unit) in one bucket. A quarter of an hour is kept only in
hours of `DENSE` values or more: sparser ones are as quickly read from the observations themselves, and cost no disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from malha.history.engines.service import Connection
from malha.history.rollups import rules, sketch, summing

HOUR = timedelta(hours=1)
HOUR_US = 3_600_000_000
#: rows that are summed at a time: more would not fit beside the engine
SUMMED_ROWS = 2_000_000
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


def rebuild(lake: Connection, schema: str, zone: ZoneInfo) -> None:
    """Make the sums of a tenant anew from its observations, month by month (after an upgrade, or when they are in doubt)."""
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


def refresh(lake: Connection, schema: str, zone: ZoneInfo, touched: str, held: Mapping[str, int] | None = None, *, hours: bool = True) -> None:
    """Sum again every bucket that a row of the relation `touched` (attribute, entity_id, dataset_id, observed_at) lies in.

    `held` says how many rows each table may have at most (None: not known); what was not there before needs no taking out.
    Without `hours` only days and months, where `add_hours` has summed the rest.
    """
    for first, last in _months(lake, touched):
        lake.execute(
            f"""CREATE OR REPLACE TEMP TABLE touched_hours AS SELECT DISTINCT attribute, entity_id, dataset_id, {hour_of("observed_at")} AS bucket
                FROM {touched} WHERE observed_at BETWEEN $first AND $last""",
            {"first": first, "last": last},
        )
        span = _Span(_hour(first), _hour(last) + HOUR)
        if hours:
            _sum_hours(lake, schema, span, held)
        days = rules.local_days(span.start, span.end - timedelta(microseconds=1), zone)
        _sum_again(lake, schema, "rollup_hour", "rollup_day", days, _hours_of(days), held)
        months = rules.local_months(span.start, span.end - timedelta(microseconds=1), zone)
        _sum_again(lake, schema, "rollup_day", "rollup_month", months, _days_of(months, zone), held)
        held = None  # what was written for this month is there when the next one shares a day with it


def _sum_hours(lake: Connection, schema: str, span: _Span, held: Mapping[str, int] | None) -> None:
    """Sum again the hours of `touched_hours` and their quarters."""
    for name, bucket in (("rollup_quarter", hour_of("x.bucket")), ("rollup_hour", "x.bucket")):
        if held is None or held.get(name):
            _delete(lake, f"lake.{schema}.{name}", "touched_hours", span, bucket)
    few = held is not None and held.get("observation", 0) <= SUMMED_ROWS
    source = f"lake.{schema}.observation AS x SEMI JOIN touched_hours AS t ON {_SERIES} AND {hour_of('x.observed_at')} = t.bucket"
    _sum_values(lake, schema, source, span, few=few)


def add_hours(lake: Connection, schema: str, rows: pa.Table) -> None:
    """Sum values (columns `summing.VALUES`, some null) by the hour and its quarters, where the lake holds nothing of theirs yet."""
    values = rows.select(summing.VALUES.split(", "))
    _add(lake, schema, values.filter(pc.is_valid(values.column("num"))) if values.column("num").null_count else values)


def add_days(lake: Connection, schema: str, zone: ZoneInfo, first: datetime, last: datetime, series: str) -> None:
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
        _sum_buckets(lake, schema, source, table, only, span)


@dataclass(frozen=True, slots=True)
class _Span:
    start: datetime
    end: datetime


ALWAYS = _Span(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
type _Periods = list[tuple[datetime, datetime]]


def _sum_values(lake: Connection, schema: str, source: str, span: _Span, *, few: bool = False) -> None:
    """Sum the values of `source` (a FROM clause with the alias x) by the hour, and by quarters where they are dense; some series at a time, unless they are few."""
    given = {"first": span.start, "last": span.end}
    where = "WHERE x.num IS NOT NULL AND x.observed_at >= $first AND x.observed_at < $last"
    for mine in [""] if few else _slices(lake, f"{source} {where}", given, "x"):
        _add(lake, schema, lake.execute(f"SELECT {summing.VALUES} FROM {source} {where}{mine}", given).to_arrow_table())


def _slices(lake: Connection, source: str, given: Mapping[str, datetime], alias: str) -> list[str]:
    """Conditions to add, each of at most about `SUMMED_ROWS` rows of whole series."""
    row = lake.execute(f"SELECT count(*) FROM {source}", given).fetchone()
    parts = -(-row[0] // SUMMED_ROWS) if row else 0
    return [f" AND hash({alias}.entity_id) % {parts} = {part}" if parts > 1 else "" for part in range(parts)]


def _add(lake: Connection, schema: str, values: pa.Table) -> None:
    hours = summing.of_values(values, HOUR_US)
    _keep(lake, schema, "rollup_hour", hours)
    if (pc.max(hours.column("count")).as_py() or 0) >= DENSE:
        _keep(lake, schema, "rollup_quarter", summing.of_values(values, HOUR_US // 4, least=(HOUR_US, DENSE)))


def _keep(lake: Connection, schema: str, table: str, sums: pa.Table) -> None:
    """Write sums; the table's own order sorts them."""
    if sums.num_rows:
        lake.register("fresh_sums", sums)
        plain = summing.SUMS.removesuffix(", sketch")
        month = f", {month_of('bucket')}" if "month" in TABLES[table][1] else ""
        lake.execute(f"INSERT INTO lake.{schema}.{table} SELECT {plain}{month}, sketch FROM fresh_sums")
        lake.unregister("fresh_sums")


def _sum_again(lake: Connection, schema: str, source: str, table: str, periods: _Periods, fine: _Periods, held: Mapping[str, int] | None) -> None:
    """Sum again the coarse buckets of `touched_hours`."""
    span = _Span(periods[0][0], periods[-1][1])
    lake.register("given_periods", _table(periods, "starts", "ends"))
    lake.execute(
        """CREATE OR REPLACE TEMP TABLE touched_coarse AS SELECT DISTINCT h.attribute, h.entity_id, h.dataset_id, d.starts AS bucket
           FROM touched_hours AS h JOIN given_periods AS d ON h.bucket >= d.starts AND h.bucket < d.ends"""
    )
    lake.unregister("given_periods")
    if held is None or held.get(table):
        _delete(lake, f"lake.{schema}.{table}", "touched_coarse", span)
    _know(lake, fine)
    only = f"SEMI JOIN touched_coarse AS t ON {_SERIES} AND d.starts = t.bucket".replace("x.", "h.")
    _sum_buckets(lake, schema, source, table, only, span, few=held is not None and held.get(source, 0) <= SUMMED_ROWS)


def _sum_buckets(lake: Connection, schema: str, source: str, table: str, only_touched: str, span: _Span, *, few: bool = False) -> None:
    """Sum fine buckets by coarser ones. `local_buckets` says in which coarse bucket each fine one lies."""
    fine = f"lake.{schema}.{source} AS h JOIN local_buckets AS d ON h.bucket = d.bucket {only_touched} WHERE h.bucket >= $first AND h.bucket < $last"
    given = {"first": span.start, "last": span.end}
    shown = ", ".join(f"h.{name}" for name in summing.SUMS.split(", "))
    for mine in [""] if few else _slices(lake, fine, given, "h"):
        _keep(lake, schema, table, summing.of_sums(lake.execute(f"SELECT {shown}, d.starts FROM {fine}{mine}", given).to_arrow_table()))


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


def _hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
