"""DuckDB in process: extensions from their wheels, limits, and readers locked to a tenant's folders.

Django-free. Nothing is downloaded at run time: automatic installation and loading are off and the
extensions come by file path, with DuckDB's own signature check on.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import cast

import duckdb
import pyarrow as pa

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.settings import service as settings
from malha.history.engines import guard, layout, storage
from malha.history.engines.alarms import Alarms
from malha.history.engines.contracts import Busy, LakeMissing, TooSlow
from malha.kernel.text import msg

#: instances kept ready, each locked to one set of tenants
KEPT_READERS = 6
#: questions that one process answers at the same time
CONCURRENT = 4
WAIT_SECONDS = 10.0
TIMEOUT_SECONDS = 30.0
#: what the writer's own process may hold inside DuckDB: files and sorted rows pass through, nothing is asked twice
WRITER_MEMORY_MB = 256

OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "allow_community_extensions": "false"}

type Connection = duckdb.DuckDBPyConnection


@cache
def extension(name: str) -> Path:
    """The file of a DuckDB extension inside its wheel."""
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or found.origin is None:
        raise LakeMissing(msg("Falta a extensão {name} do DuckDB; instale de novo com `./malha`."), name=name)
    return next(Path(found.origin).parent.rglob(f"{name}.duckdb_extension"))


def tenant_schema(tenant_id: int) -> str:
    """The schema (and so the folder) that holds everything of one tenant in the lake."""
    return f"t{int(tenant_id)}"


def connect(*extensions: str, memory_mb: int | None = None, threads: int | None = None) -> Connection:
    """A fresh in-memory DuckDB with our limits and these extensions (`excel`, `spatial`, …); instants are read in UTC."""
    conf = settings.current()
    limits: dict[str, str | int | float | list[str]] = {"memory_limit": f"{memory_mb or conf.duckdb_memory_mb}MB", "threads": threads or _threads()}
    spill = conf.data / "tmp" / "duckdb"
    spill.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = duckdb.connect(config={**OFFLINE, **limits, "temp_directory": str(spill)})
    for name in extensions:
        connection.execute(f"LOAD {storage.quoted(extension(name))}")
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


def _threads() -> int:
    """As many as set, but no more than the process has cores: threads that wait for one core cost twice its time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(settings.current().duckdb_threads, cores))


@cache
def _bare() -> Connection:
    return connect()


def without_lake() -> Connection:
    """A cursor of a DuckDB that knows no lake, for questions asked before the first write."""
    return _bare().cursor()


def _lake_extensions() -> tuple[str, ...]:
    """What reading the lake needs: one more extension where it lies in an object store."""
    return ("ducklake", "postgres_scanner", *(() if storage.folder() else ("httpfs",)))


def attach_lake(connection: Connection, *, write: bool) -> None:
    """Make the lake known as `lake`. Raises LakeMissing when a reader comes before the first writer."""
    role = Role.LAKE_WRITER if write else Role.LAKE_READER
    options = [f"DATA_PATH {storage.quoted(storage.address())}", "DATA_INLINING_ROW_LIMIT 0"]
    if not write:
        options.append("READ_ONLY")
    elif (folder := storage.folder()) is not None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    storage.tell(connection)
    try:
        connection.execute(f"ATTACH {storage.quoted('ducklake:postgres:' + _conninfo(role))} AS lake ({', '.join(options)})")
    except duckdb.Error as reason:
        if write:
            raise
        raise LakeMissing(msg("O histórico ainda não existe nesta instalação: {reason}"), reason=str(reason)[:200]) from reason


def attach_hot(connection: Connection) -> None:
    """Make PostgreSQL known as `hot`, with the compactor's right to read every tenant's hot rows. For the worker only."""
    connection.execute(f"ATTACH {storage.quoted(_conninfo(Role.COMPACTOR))} AS hot (TYPE postgres, READ_ONLY)")


@contextlib.contextmanager
def writer() -> Iterator[Connection]:
    """A connection that writes the lake. Its caller holds the lake's lock (`history.lake`), so that there is one at a time."""
    instance = _writing_instance(_lake_extensions(), settings.current().data)
    connection = instance.cursor()
    try:
        connection.execute("SET enable_external_file_cache = false; SET write_buffer_row_group_count = 1; RESET partitioned_write_flush_threshold")
        connection.execute(f"SET threads = {_threads()}")
        attach_lake(connection, write=True)
        yield connection
    except BaseException:
        _writing_instance.cache_clear()  # whatever is left of it is not used again
        raise
    finally:
        connection.close()
        for name in ("lake", "hot"):
            instance.execute(f"DETACH DATABASE IF EXISTS {name}")


@cache
def _writing_instance(extensions: tuple[str, ...], _data: Path) -> Connection:
    """Extensions stay loaded: to see that their signature holds takes a third of a second."""
    return connect(*extensions, memory_mb=WRITER_MEMORY_MB)


def give_back() -> None:
    """Let the system have memory that was freed: the allocators keep it, and a long compaction would grow by what each commit needed most."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than GNU's
            ctypes.CDLL(None).malloc_trim(0)


def locked_reader(tenant_ids: Iterable[int]) -> Connection:
    """A DuckDB that can open files of these tenants and no others, for good: the lock cannot be taken off."""
    folder = storage.folder()
    if folder is not None and not folder.is_dir():  # said before half a second goes into loading what could only find that out
        raise LakeMissing(msg("O histórico ainda não existe nesta instalação: {reason}"), reason=folder)
    connection = connect(*_lake_extensions())
    connection.execute("SET pg_connection_limit = 4")
    connection.execute("SET GLOBAL parquet_metadata_cache = true")  # files never change; without GLOBAL no cursor would have it
    attach_lake(connection, write=False)
    folders = ", ".join(storage.quoted(f"{storage.address()}{tenant_schema(tenant)}/") for tenant in tenant_ids)
    connection.execute(f"SET allowed_directories = [{folders}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def run[T](tenant_ids: Iterable[int], work: Callable[[Connection], T], *, timeout_seconds: float = TIMEOUT_SECONDS) -> T:
    """What `work` returns, given a reader locked to these tenants.

    Raises Busy when the engine has too much to do, TooSlow after `timeout_seconds` (the query is interrupted),
    LakeMissing before the first write.
    """
    return _readers.run(tuple(sorted(set(tenant_ids))), work, timeout_seconds)


def forget_readers() -> None:
    """Close the kept readers (after a restore, and between tests)."""
    _readers.clear()
    layout.forget()


class _Readers:
    """The least recently used reader goes when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], Connection] = OrderedDict()
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(CONCURRENT)

    def run[T](self, tenants: tuple[int, ...], work: Callable[[Connection], T], timeout_seconds: float) -> T:
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise Busy(msg("Há demasiadas perguntas ao histórico neste momento. Tente daqui a pouco."))
        try:
            try:
                return self._ask(tenants, work, timeout_seconds)
            except (duckdb.IOException, duckdb.ConnectionException, duckdb.FatalException):
                self.drop(tenants)  # the database restarted, or old files were cleaned away: ask once more on a new instance
                return self._ask(tenants, work, timeout_seconds)
        finally:
            self._places.release()

    def _ask[T](self, tenants: tuple[int, ...], work: Callable[[Connection], T], timeout_seconds: float) -> T:
        cursor = self._reader(tenants).cursor()
        try:
            with _alarms.after(timeout_seconds, cursor.interrupt):
                return work(cast("Connection", guard.Reader(cursor)))
        except duckdb.InterruptException as reason:
            raise TooSlow(msg("A pergunta ao histórico demorou mais de {seconds} s. Peça um período menor."), seconds=round(timeout_seconds)) from reason
        finally:
            cursor.close()

    def _reader(self, tenants: tuple[int, ...]) -> Connection:
        with self._lock:
            reader = self._kept.get(tenants)
            if reader is None:
                reader = self._kept[tenants] = locked_reader(tenants)
                while len(self._kept) > KEPT_READERS:
                    self._kept.popitem(last=False)  # cursors still at work keep their instance alive until they end
            self._kept.move_to_end(tenants)
            return reader

    def drop(self, tenants: tuple[int, ...]) -> None:
        layout.forget()
        with self._lock:
            self._kept.pop(tenants, None)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


_readers = _Readers()
_alarms = Alarms()


def _conninfo(role: Role) -> str:
    place = database.endpoint()
    name = place.lake_database if role in {Role.LAKE_READER, Role.LAKE_WRITER} else place.database
    return f"dbname={name} host={place.host} port={place.port} user={role} password={place.passwords[role]}"
