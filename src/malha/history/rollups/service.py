"""Keep the hourly and daily sums right inside a lake transaction that somebody else began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from malha.history.engines.service import Connection
from malha.history.rollups import rules

SQL = Path(__file__).parent / "sql"
HOUR = timedelta(hours=1)
COLUMNS = """tenant_id BIGINT, type VARCHAR, attribute VARCHAR, entity_id BIGINT, dataset_id INTEGER, unit VARCHAR, bucket TIMESTAMPTZ,
    count BIGINT, sum DOUBLE, minimum DOUBLE, maximum DOUBLE, first DOUBLE, last DOUBLE"""
_SERIES = "x.attribute = t.attribute AND x.entity_id = t.entity_id AND x.dataset_id = t.dataset_id"


def hour_of(column: str) -> str:
    """The start of the hour (UTC) of an instant: arithmetic, where `date_trunc` would ask a calendar for each row."""
    return f"make_timestamptz(epoch_us({column}) // 3600000000 * 3600000000)"


def month_of(column: str) -> str:
    """The month (UTC) of an instant as a number such as 202611, by which files are kept apart."""
    plain = f"make_timestamp(epoch_us({column}))"
    return f"(year({plain}) * 100 + month({plain}))::INTEGER"


def create(lake: Connection, schema: str) -> None:
    """Make the two tables of a tenant where they are missing."""
    for name, month, parts in (("rollup_hour", ", month INTEGER", "month"), ("rollup_day", "", "year(bucket)")):
        lake.execute(f"CREATE TABLE lake.{schema}.{name}({COLUMNS}{month})")
        lake.execute(f"ALTER TABLE lake.{schema}.{name} SET PARTITIONED BY ({parts})")
        lake.execute(f"ALTER TABLE lake.{schema}.{name} SET SORTED BY (type ASC, attribute ASC, entity_id ASC, bucket ASC)")


def refresh(lake: Connection, schema: str, zone: ZoneInfo, touched: str) -> None:
    """Sum again every bucket that a row of the relation `touched` (attribute, entity_id, dataset_id, observed_at) lies in."""
    for first, last in _months(lake, touched):
        lake.execute(
            f"""CREATE OR REPLACE TEMP TABLE touched_hours AS SELECT DISTINCT attribute, entity_id, dataset_id, {hour_of("observed_at")} AS bucket
                FROM {touched} WHERE observed_at BETWEEN $first AND $last""",
            {"first": first, "last": last},
        )
        start, end = _hour(first), _hour(last) + HOUR
        _delete(lake, f"lake.{schema}.rollup_hour", "touched_hours", start, end)
        only = f"SEMI JOIN touched_hours AS t ON {_SERIES} AND {hour_of('x.observed_at')} = t.bucket".replace("x.", "o.")
        _insert(lake, "refresh_hours.sql", schema, f"lake.{schema}.observation", only, start, end)
        _refresh_days(lake, schema, zone, start, end)


def add_hours(lake: Connection, schema: str, source: str) -> None:
    """Sum the rows of the relation `source` by the hour, where the lake holds nothing of theirs yet."""
    first, last = lake.execute(f"SELECT min(observed_at), max(observed_at) FROM {source}").fetchone() or (None, None)
    if first is not None:
        _insert(lake, "refresh_hours.sql", schema, source, "", _hour(first), _hour(last) + HOUR)


def add_days(lake: Connection, schema: str, zone: ZoneInfo, first: datetime, last: datetime, source: str) -> None:
    """Sum the hours that `add_hours` made between two instants by the day, for the attributes of the relation `source`."""
    days = rules.local_days(first, last, zone)
    _know_days(lake, days)
    only = f"SEMI JOIN (SELECT DISTINCT attribute FROM {source}) AS t ON h.attribute = t.attribute"
    _insert(lake, "refresh_days.sql", schema, "", only, days[0][0], days[-1][1])


def _refresh_days(lake: Connection, schema: str, zone: ZoneInfo, start: datetime, end: datetime) -> None:
    days = rules.local_days(start, end - timedelta(microseconds=1), zone)
    _know_days(lake, days)
    lake.execute(
        """CREATE OR REPLACE TEMP TABLE touched_days AS SELECT DISTINCT h.attribute, h.entity_id, h.dataset_id, d.starts AS bucket
           FROM touched_hours AS h JOIN local_hours AS d ON h.bucket = d.hour"""
    )
    _delete(lake, f"lake.{schema}.rollup_day", "touched_days", days[0][0], days[-1][1])
    only = f"SEMI JOIN touched_days AS t ON {_SERIES} AND d.starts = t.bucket".replace("x.", "h.")
    _insert(lake, "refresh_days.sql", schema, "", only, days[0][0], days[-1][1])


def _delete(lake: Connection, table: str, touched: str, start: datetime, end: datetime) -> None:
    found = lake.execute(
        f"SELECT 1 FROM {table} AS x SEMI JOIN {touched} AS t ON {_SERIES} AND x.bucket = t.bucket WHERE x.bucket >= $start AND x.bucket < $end LIMIT 1",
        {"start": start, "end": end},
    ).fetchone()
    if found:  # a delete that finds nothing would still read every file
        lake.execute(
            f"DELETE FROM {table} AS x WHERE x.bucket >= $start AND x.bucket < $end AND EXISTS (SELECT 1 FROM {touched} AS t WHERE {_SERIES} AND x.bucket = t.bucket)",
            {"start": start, "end": end},
        )


def _insert(lake: Connection, name: str, schema: str, source: str, only_touched: str, first: datetime, last: datetime) -> None:
    statement = (
        (SQL / name)
        .read_text(encoding="utf-8")
        .format(schema=schema, source=source, only_touched=only_touched, hour=hour_of("o.observed_at"), month=month_of("o.observed_at"))
    )
    lake.execute(statement, {"first": first, "last": last})


def _know_days(lake: Connection, days: list[tuple[datetime, datetime]]) -> None:
    """Make `local_hours`, the hours of each day: joining on equal hours is much cheaper than on ranges."""
    instant = pa.timestamp("us", "UTC")
    hours = [(hour, start) for start, end in days for hour in _hours(start, end)]
    lake.register("given_hours", pa.table({"hour": pa.array([h[0] for h in hours], instant), "starts": pa.array([h[1] for h in hours], instant)}))
    lake.execute("CREATE OR REPLACE TEMP TABLE local_hours AS SELECT * FROM given_hours")
    lake.unregister("given_hours")


def _hours(start: datetime, end: datetime) -> list[datetime]:
    return [start + HOUR * n for n in range((end - start) // HOUR)]


def _months(lake: Connection, touched: str) -> list[tuple[datetime, datetime]]:
    """First and last instant of `touched` in each month that it reaches: far apart late rows do not read the years between."""
    return lake.execute(f"SELECT min(observed_at), max(observed_at) FROM {touched} GROUP BY date_trunc('month', observed_at) ORDER BY 1").fetchall()


def _hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
