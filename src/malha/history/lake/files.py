"""The lake's files as they lie: put safely on disk, looked at one by one, counted. Django-free.

DuckDB does not ask the system to write a Parquet file through before the catalogue commits it (seen by tracing its
calls), so whoever writes calls `settle` before the commit; an object store answers only when it has the whole file.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.settings import service as settings
from malha.history.engines import storage

#: a clock that was set back while files were written still finds them
CLOCK_SECONDS = 600
WRITTEN_AT_ONCE = 8
#: files that some snapshot still reads, with where they lie below the lake and what the catalogue says of them
CATALOGUED = """
SELECT f.data_file_id, s.schema_name, t.table_name, s.path || t.path || f.path, f.file_size_bytes, coalesce(p.snapshot_time, to_timestamp(0)), f.record_count, false, f.end_snapshot IS NULL
FROM ducklake_data_file f JOIN ducklake_table t USING (table_id) JOIN ducklake_schema s USING (schema_id) LEFT JOIN ducklake_snapshot p ON p.snapshot_id = f.begin_snapshot
WHERE t.end_snapshot IS NULL AND s.end_snapshot IS NULL AND f.path_is_relative AND (f.end_snapshot IS NULL OR %(old)s) AND coalesce(p.snapshot_time, to_timestamp(0)) >= %(since)s
UNION ALL
SELECT f.delete_file_id, s.schema_name, t.table_name, s.path || t.path || f.path, f.file_size_bytes, coalesce(p.snapshot_time, to_timestamp(0)), f.delete_count, true, f.end_snapshot IS NULL
FROM ducklake_delete_file f JOIN ducklake_table t USING (table_id) JOIN ducklake_schema s USING (schema_id) LEFT JOIN ducklake_snapshot p ON p.snapshot_id = f.begin_snapshot
WHERE t.end_snapshot IS NULL AND s.end_snapshot IS NULL AND f.path_is_relative AND (f.end_snapshot IS NULL OR %(old)s) AND coalesce(p.snapshot_time, to_timestamp(0)) >= %(since)s
ORDER BY 4
"""


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One file that the catalogue knows. `path` is below the lake's place; `rows` are data rows, or rows taken away by a `deletes` file."""

    id: int
    schema: str
    table: str
    path: str
    bytes: int
    written_at: datetime
    rows: int
    deletes: bool
    current: bool


def catalogued(since: datetime, *, old: bool = False) -> list[LakeFile]:
    """The files that the newest snapshot reads, written at or after `since`; with `old` those too that only older snapshots read."""
    with database.connect(Role.LAKE_WRITER, autocommit=True) as catalogue:
        if catalogue.execute("SELECT to_regclass('ducklake_data_file')").fetchone() != ("ducklake_data_file",):
            return []
        return [LakeFile(*row) for row in catalogue.execute(CATALOGUED, {"since": since, "old": old}).fetchall()]


def store() -> ObjectStore:
    """The place of the lake, as a store of objects by their path."""
    return open_store(storage.address())


@cache
def open_store(address: str) -> ObjectStore:
    """A folder (made where it is missing) or `s3://bucket/prefix`, as a store of objects by their path."""
    if not address.startswith("s3://"):
        return LocalStore(address, mkdir=True)
    conf, where = settings.current(), urlsplit(address)
    return S3Store(
        where.netloc,
        prefix=where.path.strip("/") or None,
        endpoint=conf.s3_endpoint or None,
        access_key_id=conf.s3_key_id,
        secret_access_key=conf.s3_secret,
        region=conf.s3_region or storage.ANY_REGION,
        virtual_hosted_style_request=not conf.s3_endpoint,
        client_options={"allow_http": conf.s3_endpoint.startswith("http://")},
    )


def settle(schema: str, since: float) -> int:
    """Have the system write through every file of a schema that was written since (seconds since 1970). Returns how many."""
    place = storage.folder()
    if place is None or not (place / schema).is_dir():
        return 0
    count, waiting = 0, list[Path]()
    for folder, _, names in os.walk(place / schema):
        fresh = [Path(folder, name) for name in names if name.endswith(".parquet") and Path(folder, name).stat().st_mtime >= since - CLOCK_SECONDS]
        waiting += [*fresh, Path(folder)] if fresh else []
        count += len(fresh)
    with ThreadPoolExecutor(WRITTEN_AT_ONCE) as several:  # a disk takes many at once in the time of one
        list(several.map(_write_through, waiting))
    return count


def _write_through(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def broken(known: LakeFile) -> str:
    """What is wrong with a file: `missing`, `size`, `unreadable`, or an empty text. Reads its end, not all of it."""
    try:
        size = obstore.head(store(), known.path)["size"]
    except FileNotFoundError:
        return "missing"
    if size != known.bytes:
        return "size"
    try:
        with _Reader(known.path) as source:
            count = pq.read_metadata(source).num_rows
    except (pa.ArrowException, OSError, BaseError):
        return "unreadable"
    return "" if known.deletes or count >= known.rows else "unreadable"


def digest(path: str) -> str:
    """The SHA-256 of a file of the lake."""
    found = hashlib.sha256()
    for piece in pieces(path):
        found.update(piece)
    return found.hexdigest()


def put(path: str, data: bytes) -> None:
    """Write a file of the lake again, as it was."""
    obstore.put(store(), path, data)
    if (place := storage.folder()) is not None:
        _write_through(place / path)


class _Reader(io.RawIOBase):
    """A file of the lake as Python knows files, so that only its end is fetched."""

    def __init__(self, path: str) -> None:
        self._source = obstore.open_reader(store(), path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def read(self, size: int = -1, /) -> bytes:
        return bytes(self._source.read(size if size >= 0 else None))


def pieces(path: str, bytes_each: int = 1 << 20) -> Iterator[bytes]:
    """The bytes of a file of the lake, a piece at a time."""
    for piece in obstore.get(store(), path).stream(min_chunk_size=bytes_each):
        yield bytes(piece)
