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


def create(lake: Connection, schema: str) -> None:
    """Make the two tables of a tenant where they are missing."""
    for name, parts in (("rollup_hour", "year(bucket), month(bucket)"), ("rollup_day", "year(bucket)")):
        lake.execute(f"CREATE TABLE lake.{schema}.{name}({COLUMNS})")
        lake.execute(f"ALTER TABLE lake.{schema}.{name} SET PARTITIONED BY ({parts})")
        lake.execute(f"ALTER TABLE lake.{schema}.{name} SET SORTED BY (type ASC, attribute ASC, entity_id ASC, bucket ASC)")


def refresh(lake: Connection, schema: str, zone: ZoneInfo, touched: str) -> None:
    """Sum again every bucket that a row of the relation `touched` (attribute, entity_id, dataset_id, observed_at) lies in."""
    for first, last in _months(lake, touched):
        lake.execute(
            f"""CREATE OR REPLACE TEMP TABLE touched_hours AS SELECT DISTINCT attribute, entity_id, dataset_id, date_trunc('hour', observed_at) AS bucket
                FROM {touched} WHERE observed_at BETWEEN $first AND $last""",
            {"first": first, "last": last},
        )
        start, end = _hour(first), _hour(last) + HOUR
        _delete(lake, f"lake.{schema}.rollup_hour", "touched_hours", start, end)
        only = f"SEMI JOIN touched_hours AS t ON {_SERIES} AND date_trunc('hour', x.observed_at) = t.bucket".replace("x.", "o.")
        _insert(lake, "refresh_hours.sql", schema, f"lake.{schema}.observation", only, start, end)
        _refresh_days(lake, schema, zone, start, end)


def add(lake: Connection, schema: str, zone: ZoneInfo, source: str) -> None:
    """Sum the rows of the relation `source`, where the lake holds nothing yet from their first day to their last."""
    first, last = lake.execute(f"SELECT min(observed_at), max(observed_at) FROM {source}").fetchone() or (None, None)
    if first is None:
        return
    days = rules.local_days(first, last, zone)
    _insert(lake, "refresh_hours.sql", schema, source, "", _hour(first), _hour(last) + HOUR)
    _know_days(lake, days)
    _insert(lake, "refresh_days.sql", schema, source, "", days[0][0], days[-1][1])


def _refresh_days(lake: Connection, schema: str, zone: ZoneInfo, start: datetime, end: datetime) -> None:
    days = rules.local_days(start, end - timedelta(microseconds=1), zone)
    _know_days(lake, days)
    lake.execute(
        """CREATE OR REPLACE TEMP TABLE touched_days AS SELECT DISTINCT h.attribute, h.entity_id, h.dataset_id, d.starts AS bucket
           FROM touched_hours AS h JOIN local_days AS d ON h.bucket >= d.starts AND h.bucket < d.ends"""
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
    statement = (SQL / name).read_text(encoding="utf-8").format(schema=schema, source=source, only_touched=only_touched)
    lake.execute(statement, {"first": first, "last": last})


def _know_days(lake: Connection, days: list[tuple[datetime, datetime]]) -> None:
    kind = pa.timestamp("us", "UTC")
    table = pa.table({"starts": pa.array([d[0] for d in days], kind), "ends": pa.array([d[1] for d in days], kind)})
    lake.register("local_days_given", table)
    lake.execute("CREATE OR REPLACE TEMP TABLE local_days AS SELECT * FROM local_days_given")
    lake.unregister("local_days_given")


def _months(lake: Connection, touched: str) -> list[tuple[datetime, datetime]]:
    """First and last instant of `touched` in each month that it reaches: far apart late rows do not read the years between."""
    return lake.execute(f"SELECT min(observed_at), max(observed_at) FROM {touched} GROUP BY date_trunc('month', observed_at) ORDER BY 1").fetchall()


def _hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
