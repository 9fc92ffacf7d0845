"""Copies of the databases: made before tables change, put back by one command.

Dumps in PostgreSQL's custom format, made and read by the wheel's own tools. The files of the lake are not copied:
they are never changed in place, so the catalogue of the copy finds them again for as long as snapshots are kept.
"""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from malha.foundation.database import service
from malha.foundation.database.contracts import DatabaseError, Role
from malha.foundation.database.embedded import BIN, SUPERUSER
from malha.foundation.settings import service as settings
from malha.kernel.text import msg

_DUMPS = (("malha.dump", Role.OWNER), ("lake.dump", Role.LAKE_WRITER))


def copy(into: Path, now: datetime) -> Path:
    """Dump both databases into a new folder below `into`; returns that folder. Raises DatabaseError."""
    folder = into / now.strftime("%Y-%m-%dT%H%M%SZ")
    folder.mkdir(parents=True, mode=0o700)
    for name, role in _DUMPS:
        _run("pg_dump", role, "--format=custom", "--no-password", f"--file={folder / name}")
    return folder


def restore(folder: Path) -> None:
    """Put the databases back as the copy in `folder` has them. Raises DatabaseError; nothing may be using them."""
    for name, role in _DUMPS:
        if not (folder / name).is_file():
            raise DatabaseError(msg("Em {folder} não há nenhuma cópia."), folder=folder)
        _run("pg_restore", role, "--clean", "--if-exists", "--single-transaction", "--no-password", str(folder / name))


def _run(tool: str, role: Role, *arguments: str) -> None:
    """Run one of the wheel's tools on the database of `role`, as whoever row-level security lets see everything."""
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
    target = ["--dbname", database] if tool == "pg_restore" else []
    done = subprocess.run(  # noqa: S603 -- the wheel's own tools
        [BIN / tool, *target, *arguments], env={**os.environ, **who, "LC_ALL": "C"}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DatabaseError(msg("A cópia não se fez: {reason}"), reason=done.stderr.strip()[-500:])
