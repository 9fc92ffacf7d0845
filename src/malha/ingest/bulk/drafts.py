"""Files that come in pieces, and what was answered about them so far: one may leave, and go on with the same file. Django-free.

What has come lies in the tenant's own folder; how long that part is says where to go on, whatever was acknowledged.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from malha.ingest.bulk.contracts import PieceOutOfPlace, Shape, UnknownDraft, UnreadableHistory
from malha.ingest.lineage import service as lineage
from malha.ingest.lineage.contracts import StoredFile
from malha.kernel.text import msg

#: what a browser sends at a time, and the most that is taken
PIECE_BYTES, MOST_BYTES = 4 << 20, 16 << 20
#: a file that stopped coming is let go after so many days
KEPT_DAYS = 7
_COLUMNS = "id, tenant_id, name, bytes, mark, coalesce(sha256, ''), shape, run_id, changed_at"


@dataclass(frozen=True, slots=True)
class Draft:
    """A file on its way: not whole yet (`sha256` is empty), or whole and waiting for an answer, or loaded by a run. `mark` tells files of a name apart."""

    id: UUID
    tenant_id: int
    name: str
    bytes: int
    mark: str
    sha256: str
    shape: Shape | None
    run_id: int | None
    changed_at: datetime

    @property
    def part(self) -> Path:
        """Where that lies which has come."""
        return lineage.folder(self.tenant_id) / f".part-{self.id}"

    @property
    def received(self) -> int:
        """How many bytes have come."""
        if self.sha256:
            return self.bytes
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def percent(self) -> int:
        """How much has come."""
        return self.received * 100 // self.bytes


def begin(conn: psycopg.Connection[Any], tenant_id: int, name: str, size: int, mark: str, actor: str) -> Draft:
    """A place for a file that will come in pieces; the one that the same person began with it before. Raises FullDisk, UnreadableHistory."""
    if size <= 0:
        raise UnreadableHistory(msg("O ficheiro está vazio: não tem nenhum byte. Peça-o de novo a quem o enviou."))
    known = conn.execute(
        f"SELECT {_COLUMNS} FROM history_draft WHERE tenant_id = %s AND name = %s AND bytes = %s AND mark = %s AND actor = %s AND sha256 IS NULL AND run_id IS NULL",
        [tenant_id, name[:255], size, mark, actor],
    ).fetchone()
    if known is not None:
        return _draft(known)
    lineage.require_room(tenant_id, size, name)
    return _insert(conn, tenant_id, actor, name=name[:255], bytes=size, mark=mark[:100])


def of_kept(conn: psycopg.Connection[Any], tenant_id: int, kept: StoredFile, name: str, actor: str) -> Draft:
    """A file that came whole."""
    return _insert(conn, tenant_id, actor, name=name[:255], bytes=kept.bytes, sha256=kept.sha256)


def _insert(conn: psycopg.Connection[Any], tenant_id: int, actor: str, **columns: object) -> Draft:
    values = {"tenant_id": tenant_id, "actor": actor, **columns}
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    row = conn.execute(f"INSERT INTO history_draft ({names}) VALUES ({places}) RETURNING {_COLUMNS}", list(values.values())).fetchone()
    assert row
    return _draft(row)


def find(conn: psycopg.Connection[Any], tenant_id: int, draft_id: UUID) -> Draft:
    """The file with that id. Raises UnknownDraft."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM history_draft WHERE tenant_id = %s AND id = %s", [tenant_id, draft_id]).fetchone()
    if row is None:
        raise UnknownDraft(msg("Este ficheiro já não está à espera: carregue-o de novo."))
    return _draft(row)


def unfinished(conn: psycopg.Connection[Any], tenant_id: int) -> list[Draft]:
    """Files that have not come whole, or wait for an answer, newest first."""
    query = f"SELECT {_COLUMNS} FROM history_draft WHERE tenant_id = %s AND run_id IS NULL ORDER BY changed_at DESC LIMIT 20"
    return [_draft(row) for row in conn.execute(query, [tenant_id]).fetchall()]


def add(draft: Draft, offset: int, pieces: Iterable[bytes]) -> int:
    """Put a piece where it belongs. Returns how many bytes have come; what came of a piece that broke off is kept.

    Raises PieceOutOfPlace, which knows where to go on, FullDisk, and UnreadableHistory for more than was announced.
    """
    with _alone(draft) as out:
        there = out.seek(0, os.SEEK_END)
        if offset != there:
            raise PieceOutOfPlace(there)
        for piece in pieces:
            if out.tell() + len(piece) > draft.bytes or out.tell() + len(piece) - offset > MOST_BYTES:
                raise UnreadableHistory(msg("Vieram mais bytes do que o ficheiro tem."))
            lineage.require_room(draft.tenant_id, len(piece), draft.name)
            out.write(piece)
        return int(out.tell())


@contextmanager
def _alone(draft: Draft) -> Iterator[Any]:
    """The part, for one writer at a time. Raises PieceOutOfPlace while another one writes."""
    with draft.part.open("ab") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as reason:
            raise PieceOutOfPlace(draft.received) from reason
        yield out


def finish(conn: psycopg.Connection[Any], draft: Draft) -> StoredFile:
    """Keep the file that has come whole under its SHA-256. Raises PieceOutOfPlace where some of it is missing."""
    if draft.sha256:
        return lineage.find(conn, draft.tenant_id, draft.sha256)
    if draft.received != draft.bytes:
        raise PieceOutOfPlace(draft.received)
    kept = lineage.adopt(conn, draft.tenant_id, draft.part, draft.name)
    conn.execute("UPDATE history_draft SET sha256 = %s, changed_at = now() WHERE tenant_id = %s AND id = %s", [kept.sha256, draft.tenant_id, draft.id])
    return kept


def answer(conn: psycopg.Connection[Any], draft: Draft, shape: Shape, run_id: int | None = None) -> None:
    """Keep what the columns mean, and the load that was begun with that."""
    conn.execute(
        "UPDATE history_draft SET shape = %s, run_id = coalesce(%s, run_id), changed_at = now() WHERE tenant_id = %s AND id = %s",
        [Jsonb(shape.as_json()), run_id, draft.tenant_id, draft.id],
    )


def drop(conn: psycopg.Connection[Any], draft: Draft) -> None:
    """Forget a file that was not loaded; one that came whole stays kept, as any that came."""
    conn.execute("DELETE FROM history_draft WHERE tenant_id = %s AND id = %s AND run_id IS NULL", [draft.tenant_id, draft.id])
    draft.part.unlink(missing_ok=True)


def drop_old(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Forget files that stopped coming, or that nobody answered about, days ago."""
    for draft in unfinished(conn, tenant_id):
        touched = max(draft.changed_at.timestamp(), draft.part.stat().st_mtime if draft.part.exists() else 0)
        if touched < time.time() - KEPT_DAYS * 86_400:
            drop(conn, draft)


def _draft(row: tuple[Any, ...]) -> Draft:
    shape = Shape.from_json(row[6]) if row[6] else None
    return Draft(UUID(str(row[0])), row[1], row[2], row[3], row[4], row[5], shape, row[7], row[8])
