"""Parquet with typed columns; the statement lies in the file's key-value metadata."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from malha.insight.exports.contracts import CellType, Export, ExportColumn

TYPES = {
    CellType.TEXT: pa.string(),
    CellType.NUMBER: pa.float64(),
    CellType.INTEGER: pa.int64(),
    CellType.BOOLEAN: pa.bool_(),
    CellType.INSTANT: pa.timestamp("us", tz="UTC"),
    CellType.GEOMETRY: pa.string(),
}


def parquet(export: Export, out: BinaryIO) -> None:
    """Write `export` to `out`, one row group per batch of rows, zstd."""
    fields = [pa.field(c.name, TYPES[c.type], metadata={"label": c.label, "unit": c.unit}) for c in export.columns]
    schema = pa.schema(fields, metadata={"statement": "\n".join(export.statement.lines(export.columns))})
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in export.batches():
            columns = list(zip(*batch, strict=True)) if batch else [()] * len(export.columns)
            arrays = [array_of(column, values) for column, values in zip(export.columns, columns, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def array_of(column: ExportColumn, values: Sequence[object]) -> pa.Array:
    """The values of a column as Arrow has them; what is not of the column's type is missing."""
    if column.type in {CellType.TEXT, CellType.GEOMETRY}:
        return pa.array([None if v is None else v if isinstance(v, str) else msgspec.json.encode(v).decode() for v in values], pa.string())
    if column.type is CellType.NUMBER:
        return pa.array([float(v) if isinstance(v, int | float) else None for v in values], pa.float64())
    if column.type is CellType.INSTANT:
        return pa.array([v if isinstance(v, datetime) else None for v in values], TYPES[column.type])
    return pa.array(values, TYPES[column.type])
