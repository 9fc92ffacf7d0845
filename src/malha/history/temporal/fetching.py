"""Rows of an answer of DuckDB as Python has them: its own way asks a calendar for the zone of each instant, at 3 µs each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows(found: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """All rows of a statement that was executed; instants are aware, in UTC."""
    return list(zip(*map(_values, found.to_arrow_table().columns), strict=True))


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        instants = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_pylist()
        return [None if instant is None else _EPOCH + timedelta(microseconds=instant) for instant in instants]
    if not column.null_count and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        plain: list[Any] = column.to_numpy().tolist()
        return plain
    listed: list[Any] = column.to_pylist()
    return listed
