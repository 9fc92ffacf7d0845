"""Tables as Parquet files: each made once for a state of its table, kept beside it, given by links that are signed and expire.

A file is never one of the lake: those hold every type and attribute of the tenant, and rows that were corrected,
undone or deleted since. What is served is the table as its reader sees it, one file per month of history.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from malha.foundation.access import reach
from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.share.datahub import current, past, signing
from malha.share.datahub.contracts import Reader, Table, TableKind
from malha.share.datahub.odata import metadata
from malha.share.questions.contracts import FieldType

LINK_SECONDS = 15 * 60
#: files that nobody asked for since are swept when another is made
KEPT_SECONDS = 24 * 3600
_TYPES = {
    FieldType.TEXT: pa.string(), FieldType.NUMBER: pa.float64(), FieldType.INTEGER: pa.int64(), FieldType.BOOLEAN: pa.bool_(),
    FieldType.INSTANT: pa.timestamp("us", tz="UTC"), FieldType.DATE: pa.date32(), FieldType.GEOMETRY: pa.binary(),
}  # fmt: skip
_locks: dict[str, threading.Lock] = {}


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of a table: all of a current state, or a month of history."""

    path: Path
    size: int
    rows: int
    month: str


@dataclass(frozen=True, slots=True)
class State:
    """A table as it is now: the number of its version, and what names its files."""

    version: int
    stamp: str
    changed_at: datetime


def state(reader: Reader, table: Table, conn: psycopg.Connection[Any]) -> State:
    """The version of a table: one more each time that its fingerprint is another (counted apart for readers who see other columns)."""
    seen = current.fingerprint(conn, reader.tenant_id, table) if table.kind is TableKind.CURRENT else past.fingerprint(conn, reader, table)
    shape = hashlib.sha256(json.dumps([(field.name, field.type) for field in table.fields] + [*sorted(table.hidden), table.within.mark]).encode()).hexdigest()[
        :12
    ]
    stamp = hashlib.sha256(f"{seen}\n{shape}".encode()).hexdigest()[:32]
    with database.connect() as own, database.tenant_transaction(own, [reader.tenant_id]):
        row = own.execute(
            """INSERT INTO hub_version AS v (tenant_id, table_name, fingerprint, version, changed_at) VALUES (%s, %s, %s, 1, now())
            ON CONFLICT (tenant_id, table_name) DO UPDATE SET fingerprint = excluded.fingerprint,
                version = v.version + (v.fingerprint <> excluded.fingerprint)::int,
                changed_at = CASE WHEN v.fingerprint <> excluded.fingerprint THEN now() ELSE v.changed_at END
            RETURNING version, changed_at""", [reader.tenant_id, f"{table.name}:{shape}"[-200:], stamp]
        ).fetchone()  # fmt: skip
    assert row is not None
    return State(int(row[0]), stamp, row[1])


def folder(tenant_id: int) -> Path:
    """Where the files of a tenant lie."""
    return settings.current().data / "files" / str(int(tenant_id)) / "hub"


def pieces(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, at: State, *, months: list[str] | None = None, deadline: float = 0.0
) -> list[Piece] | None:
    """The files of a table in this state, made where they are missing. None when the time is over before all were made: what is made stays."""
    if table.kind is TableKind.CURRENT:
        return [_made(reader, table, at, "", lambda path: _write_current(conn, reader, table, path))]
    found = []
    for start in past.months(conn, reader, table):
        name = f"{start.astimezone(UTC):%Y-%m}"
        if months is not None and name not in months:
            continue
        if deadline and time.monotonic() > deadline and not _place(reader, table, at, name).exists():
            return None
        end = (start + timedelta(days=32)).astimezone(UTC).replace(day=1)
        found.append(_made(reader, table, at, name, lambda path, start=start, end=end: _write_past(conn, reader, table, start, end, path)))
    return found


def _place(reader: Reader, table: Table, at: State, month: str) -> Path:
    return folder(reader.tenant_id) / f"{table.name[:120]}-{at.stamp}{'-' + month if month else ''}.parquet"


def _made(reader: Reader, table: Table, at: State, month: str, write: Any) -> Piece:
    place = _place(reader, table, at, month)
    with _locks.setdefault(str(place), threading.Lock()):
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _sweep(place.parent)
            part = place.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
            try:
                write(part)
                part.replace(place)
            finally:
                part.unlink(missing_ok=True)
        else:
            os.utime(place)
    _locks.pop(str(place), None)
    return Piece(place, place.stat().st_size, pq.read_metadata(place).num_rows, month)


def _sweep(place: Path) -> None:
    old = time.time() - KEPT_SECONDS
    for path in place.iterdir():
        if path.stat().st_mtime < old:
            path.unlink(missing_ok=True)


def schema(reader: Reader, table: Table) -> pa.Schema:
    """The Arrow schema of a table's files: units and descriptions with the fields, GeoParquet 1.0 metadata where there are places."""
    fields = [
        pa.field(one.name, _TYPES[one.type], nullable=not one.required, metadata={"description": metadata.about(one), "unit": one.unit}) for one in table.fields
    ]
    about = {"title": table.label, "description": table.description, "publisher": reader.tenant_name, "extracted": datetime.now(UTC).isoformat()}
    places = [one.name for one in table.fields if one.type is FieldType.GEOMETRY]
    if places:
        columns = {name: {"encoding": "WKB", "geometry_types": []} for name in places}
        about["geo"] = json.dumps({"version": "1.0.0", "primary_column": places[0], "columns": columns})
    return pa.schema(fields, metadata=about)


def _write_current(conn: psycopg.Connection[Any], reader: Reader, table: Table, path: Path) -> None:
    given = schema(reader, table)
    with pq.ParquetWriter(path, given, compression="zstd") as writer:
        for _, rows, places in current.walk(conn, reader.tenant_id, table):
            columns = [list(column) for column in zip(*rows, strict=True)]
            arrays = [
                pa.array(shapely.to_wkb(places) if one.type is FieldType.GEOMETRY else column, _TYPES[one.type]) for one, column in zip(table.fields, columns, strict=True)
            ]  # fmt: skip
            writer.write_table(pa.Table.from_arrays(arrays, schema=given))


def _write_past(conn: psycopg.Connection[Any], reader: Reader, table: Table, start: datetime, end: datetime, path: Path) -> None:
    given = schema(reader, table)

    def write(batches: Iterator[pa.RecordBatch]) -> None:
        with pq.ParquetWriter(path, given, compression="zstd") as writer:
            for batch in batches:
                writer.write_table(pa.Table.from_batches([batch]).cast(given))

    past.stream(conn, reader, table, start, end, write)


def link(reader: Reader, piece: Piece) -> tuple[str, int]:
    """A signed address of a file, and when it expires (seconds of the epoch). Whoever has it reads that file and nothing else."""
    expires = int(time.time()) + LINK_SECONDS
    token = signing.seal("file", {"t": reader.tenant_id, "f": piece.path.name, "e": expires, "k": reader.key_id, "m": reach.mark(reader.principal.reach)})
    return f"{reader.base}/hub/files/{token}.parquet", expires


def joined(table: Table, found: list[Piece], reader: Reader, at: State, months: list[str] | None) -> Piece:
    """All months of a table, or those named, in one file."""
    given = schema(reader, table)

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, given, compression="zstd") as writer:
            for piece in found:
                file = pq.ParquetFile(piece.path)
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group).cast(given))

    name = "all" if months is None else hashlib.sha256(",".join(piece.month for piece in found).encode()).hexdigest()[:16]
    return _made(reader, table, at, name, write)
