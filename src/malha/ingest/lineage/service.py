"""Keep files as they came, and say which run, file and row a value came from. Django-free."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from malha.foundation.settings import service as settings
from malha.ingest.lineage.contracts import FullDisk, Origin, StoredFile, UnknownFile
from malha.kernel.text import msg

PIECE_BYTES = 1 << 20
#: room that must stay free after a file is kept: the database and the lake need it to finish what they do
SPARE_BYTES = 256 * 2**20


def folder(tenant_id: int) -> Path:
    """Where the files of a tenant lie."""
    place = settings.current().data / "files" / str(tenant_id)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


def work_folder(tenant_id: int, sha256: str) -> Path:
    """Where unpacked and converted forms of a file are kept; may be emptied at any time between loads."""
    place = settings.current().data / "files" / str(tenant_id) / ".work" / sha256
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


def pieces_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a piece at a time."""
    with path.open("rb") as source:
        while piece := source.read(PIECE_BYTES):
            yield piece


def keep(conn: psycopg.Connection[Any], tenant_id: int, pieces: Iterable[bytes], name: str, origin: str = "") -> StoredFile:
    """Keep a file while hashing it; the same bytes are kept once. Raises FullDisk and then keeps nothing."""
    place = folder(tenant_id)
    digest, size = hashlib.sha256(), 0
    handle, half = tempfile.mkstemp(dir=place, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as out:
            for piece in pieces:
                _require_room(place, len(piece))
                digest.update(piece)
                size += len(piece)
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        Path(half).replace(place / digest.hexdigest())
    except OSError as reason:
        if reason.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise FullDisk(msg("Não há espaço no disco para “{name}”. Nada foi guardado; liberte espaço e tente de novo."), name=name) from reason
        raise
    finally:
        Path(half).unlink(missing_ok=True)
    return _noted(conn, tenant_id, digest.hexdigest(), size, name, origin)


def adopt(conn: psycopg.Connection[Any], tenant_id: int, path: Path, name: str) -> StoredFile:
    """Keep a file that lies in the tenant's folder already: it is hashed where it is and called by that, not written again."""
    with path.open("r+b") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        os.fsync(source.fileno())
        size = source.tell()
    path.replace(folder(tenant_id) / digest)
    return _noted(conn, tenant_id, digest, size, name, "")


def _noted(conn: psycopg.Connection[Any], tenant_id: int, sha256: str, size: int, name: str, origin: str) -> StoredFile:
    conn.execute(
        "INSERT INTO ingest_file (tenant_id, sha256, name, bytes, origin) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (tenant_id, sha256) DO NOTHING",
        [tenant_id, sha256, name[:255], size, origin[:2048]],
    )
    return find(conn, tenant_id, sha256)


def require_room(tenant_id: int, wanted: int, name: str) -> None:
    """Raises FullDisk where so many bytes more would leave too little room."""
    try:
        _require_room(folder(tenant_id), wanted)
    except OSError as reason:
        raise FullDisk(msg("Não há espaço no disco para “{name}”. Nada foi guardado; liberte espaço e tente de novo."), name=name) from reason


def _require_room(place: Path, wanted: int) -> None:
    if shutil.disk_usage(place).free - wanted < SPARE_BYTES:
        raise OSError(errno.ENOSPC, "spare")


def find(conn: psycopg.Connection[Any], tenant_id: int, sha256: str) -> StoredFile:
    """The file with that digest. Raises UnknownFile."""
    row = conn.execute("SELECT sha256, name, bytes, received_at, origin FROM ingest_file WHERE tenant_id = %s AND sha256 = %s", [tenant_id, sha256]).fetchone()
    if row is None:
        raise UnknownFile(msg("O ficheiro já não está guardado."))
    return StoredFile(row[0], row[1], row[2], folder(tenant_id) / row[0], row[3], row[4])


def origins(conn: psycopg.Connection[Any], tenant_id: int, uri: str, limit: int = 50) -> list[Origin]:
    """Where the latest values of an entity came from: newest first, one line per value. Values in the lake keep run and row there."""
    found = conn.execute(
        "SELECT a.name, o.observed_at, o.received_at, o.run_id, o.row_no FROM observations o JOIN entities e ON e.tenant_id = o.tenant_id AND e.id = o.entity_id"
        " JOIN attribute a ON a.id = o.attr_id WHERE o.tenant_id = %s AND e.uri = %s ORDER BY o.received_at DESC, o.seq DESC LIMIT %s",
        [tenant_id, uri, limit],
    ).fetchall()
    return [Origin(*row) for row in found]
