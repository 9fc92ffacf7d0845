"""The tables of sums: what they hold, how they are made, and how rows are told to their buckets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from malha.history.engines.service import Connection
from malha.history.rollups import sketch

type Periods = list[tuple[datetime, datetime]]
HOUR = timedelta(hours=1)
HOUR_US = 3_600_000_000
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
#: that a row `x` is of the series of `t`, and that a value lies in a period
SERIES = "x.attribute = t.attribute AND x.entity_id = t.entity_id AND x.dataset_id = t.dataset_id"
WITHIN = "WHERE x.num IS NOT NULL AND x.observed_at >= $first AND x.observed_at < $last"


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


@dataclass(frozen=True, slots=True)
class Span:
    """A period [start, end)."""

    start: datetime
    end: datetime


def hour_start(instant: datetime) -> datetime:
    """The start of the hour (UTC) in which an instant lies."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


ALWAYS = Span(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
