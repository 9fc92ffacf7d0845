"""Copies of the databases: made before tables change, put back by one command.

Dumps in PostgreSQL's custom format, made and read by the wheel's own tools. The files of the lake are not copied:
they are never changed in place, so the catalogue of the copy finds them again for as long as snapshots are kept.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from malha.foundation.database import service
from malha.foundation.database.contracts import DatabaseError, Role
from malha.foundation.database.embedded import BIN, SUPERUSER
from malha.foundation.settings import service as settings
from malha.kernel.text import msg

#: what is being done, bytes done, bytes in all (0: not known)
type Told = Callable[[str, int, int], None]

_DUMPS = (("malha.dump", Role.OWNER), ("lake.dump", Role.LAKE_WRITER))


def copy(into: Path, now: datetime, told: Told | None = None) -> Path:
    """Dump both databases into a new folder below `into`; returns that folder. Raises DatabaseError.

    `told` hears how far it is: (what, bytes written, 0 for "how many in all is not known").
    """
    folder = into / now.strftime("%Y-%m-%dT%H%M%SZ")
    folder.mkdir(parents=True, mode=0o700)
    for name, role in _DUMPS:
        _run("pg_dump", role, "--format=custom", "--no-password", f"--file={folder / name}", told=told, grows=folder / name)
    return folder


@contextmanager
def same_instant(wait: Callable[[], AbstractContextManager[object]]) -> Iterator[dict[Role, str]]:
    """Snapshots of both databases that speak of one instant: `wait()` keeps the lake still while they are taken.

    Yields the name of each role's snapshot; they hold while the block runs, and writing goes on.
    """
    with ExitStack() as stack:
        names: dict[Role, str] = {}
        with wait():
            for _, role in _DUMPS:
                connection = stack.enter_context(service.connect(role))
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                row = connection.execute("SELECT pg_export_snapshot()").fetchone()
                assert row is not None
                names[role] = row[0]
        yield names


def dump(snapshots: dict[Role, str]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The dumps of both databases, as streams: (name, pieces), each to be read to its end. Raises DatabaseError."""
    for name, role in _DUMPS:
        yield name, _stream("pg_dump", role, "--format=custom", "--compress=0", "--no-password", f"--snapshot={snapshots[role]}")


def base() -> Iterator[bytes]:
    """The files of the embedded server as they are, with the log that makes them whole: a tar stream. Raises DatabaseError."""
    return _stream("pg_basebackup", Role.OWNER, "--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--no-password")


def _stream(tool: str, role: Role, *arguments: str) -> Iterator[bytes]:
    environment, _ = _who(role)
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen([BIN / tool, *arguments], env=environment, stdout=subprocess.PIPE, stderr=said) as running,  # noqa: S603 -- the wheel's own tools
    ):
        assert running.stdout is not None
        while piece := running.stdout.read(1 << 20):
            yield piece
        if running.wait() != 0:
            said.seek(0)
            raise DatabaseError(msg("A cópia não se fez: {reason}"), reason=said.read().decode(errors="replace").strip()[-500:])


def restore(folder: Path, told: Told | None = None) -> None:
    """Put the databases back as the copy in `folder` has them. Raises DatabaseError; nothing may be using them."""
    for name, role in _DUMPS:
        if not (folder / name).is_file():
            raise DatabaseError(msg("Em {folder} não há nenhuma cópia."), folder=folder)
        _run("pg_restore", role, "--clean", "--if-exists", "--single-transaction", "--no-password", str(folder / name), told=told, grows=folder / name)


def _run(tool: str, role: Role, *arguments: str, grows: Path, told: Told | None = None) -> None:
    """Run one of the wheel's tools on the database of `role`, as whoever row-level security lets see everything."""
    environment, database = _who(role)
    target = ["--dbname", database] if tool == "pg_restore" else []
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen([BIN / tool, *target, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=said) as running,  # noqa: S603 -- the wheel's own tools
    ):
        while running.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                running.wait(0.25)
            if told and grows.exists():
                told(grows.name, grows.stat().st_size, 0)
        if running.returncode != 0:
            said.seek(0)
            raise DatabaseError(msg("A cópia não se fez: {reason}"), reason=said.read().decode(errors="replace").strip()[-500:])


def _who(role: Role) -> tuple[dict[str, str], str]:
    """The environment of a tool, and the name of the role's database."""
    place = service.endpoint()
    database = urlsplit(service.dsn(role)).path.removeprefix("/")
    administrator = urlsplit(settings.current().database_url)
    who = {
        "PGHOST": place.host,
        "PGPORT": str(place.port),
        "PGUSER": unquote(administrator.username or SUPERUSER),
        "PGPASSWORD": unquote(administrator.password or "") or place.passwords.get(SUPERUSER, ""),
        "PGDATABASE": database,
    }
    return {**os.environ, **who, "LC_ALL": "C"}, database
