"""Bring a copy back: beside, never over, what is there.

Without an instant the databases come from the copy's dumps, which any server of this or a later version reads. With one,
the embedded server comes from a base and goes forward by its log to that instant, to the transaction.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from malha.foundation.database.contracts import DatabaseError
from malha.foundation.database.embedded import MAJOR, Cluster
from malha.history.backups.contracts import BackupBroken, Manifest, NotCopiedYet, Piece, PlaceTaken
from malha.history.backups.repository import Repository
from malha.history.backups.taking import Progress
from malha.kernel.text import msg

#: settings that speak of the places of the installation that was, not of the one that comes
_ELSEWHERE = ("MALHA_DATA", "MALHA_DATABASE_URL", "MALHA_LAKE", "MALHA_BACKUP_TO")
_PASSWORDS = "secrets/postgres.json"


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back, where, and how long it took. `lost` are files of the lake that the copy does not have."""

    folder: Path
    id: str
    seconds: float
    counts: dict[str, int]
    lost: list[str]
    erased: int


def restore(repository: Repository, into: Path, manifest: Manifest, at: datetime | None = None, progress: Progress = lambda *_: None) -> Restored:
    """Bring a copy back into an empty folder. Raises PlaceTaken, BackupBroken, NotCopiedYet, DatabaseError.

    What a restore that failed leaves in the folder is nobody's data but the copy's: it may be deleted.
    """
    started = time.monotonic()
    if into.exists() and any(into.iterdir()):
        raise PlaceTaken(msg("{folder} não está vazia. Uma cópia repõe-se ao lado do que existe, nunca por cima: escolha outra pasta com --into."), folder=into)
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    _bring_files(repository, into, manifest, progress, passwords=at is not None)
    cluster = Cluster(into)
    cluster.lock()
    try:
        with _server(repository, cluster, manifest, at, progress) as dumps:
            progress("databases", 0, 0)
            said = _settle(into, dumps, repository)
    finally:
        cluster.release()
    return Restored(into, manifest.id, time.monotonic() - started, said["counts"], said["lost"], said["erased"])


def _bring_files(repository: Repository, into: Path, manifest: Manifest, progress: Progress, *, passwords: bool) -> None:
    wanted = [piece for piece in manifest.pieces if piece.path.split("/")[0] in {"files", "secrets", "lake"} and (passwords or piece.path != _PASSWORDS)]
    total, done = sum(piece.bytes for piece in wanted), 0
    for piece in wanted:
        progress(piece.path, done, total)
        write(piece, into, repository.read(piece))
        done += piece.bytes


def write(piece: Piece, into: Path, pieces: Iterable[bytes]) -> Path:
    """Write one file below a folder. Raises BackupBroken for a path that leads out of it."""
    place = into / piece.path
    if not place.resolve().is_relative_to(into.resolve()):
        raise BackupBroken(msg("Na cópia, {path} não é o que devia ser."), path=piece.path)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.touch(mode=0o600)
    with place.open("wb") as out:
        for part in pieces:
            out.write(part)
        out.flush()
        os.fsync(out.fileno())
    if piece.modified:
        os.utime(place, (piece.modified, piece.modified))
    return place


@contextmanager
def _server(repository: Repository, cluster: Cluster, manifest: Manifest, at: datetime | None, progress: Progress) -> Iterator[str]:
    """The server of the new folder, running. Yields the folder of dumps to read into it; empty where it came from a base."""
    dumps = ""
    if at is not None:
        _recover(repository, cluster, manifest, at, progress)
    else:
        if int(manifest.postgres) > int(MAJOR):
            raise DatabaseError(msg("A cópia é do PostgreSQL {found}, mais novo do que o {wanted} desta versão."), found=manifest.postgres, wanted=MAJOR)
        cluster.prepare(cluster.start_later(manifest.epoch + 1))
        for piece in manifest.pieces:
            if piece.path.startswith("dumps/"):
                progress(piece.path, 0, 0)
                dumps = str(write(piece, cluster.data / "tmp", repository.read(piece)).parent)
    try:
        yield dumps
    finally:
        cluster.stop()
        for leftover in Path(dumps).iterdir() if dumps else ():
            leftover.unlink()


def _recover(repository: Repository, cluster: Cluster, manifest: Manifest, at: datetime, progress: Progress) -> None:
    if not manifest.base:
        raise NotCopiedYet(msg("As cópias daqui só voltam ao momento de cada uma: o registo do servidor não estava a ser guardado. Escolha uma sem --at."))
    based = repository.manifest(manifest.base)
    base = next(piece for piece in based.pieces if piece.path == "base/postgres.tar")
    segments = cluster.data / "tmp" / "wal"
    segments.mkdir(parents=True, mode=0o700)
    names = repository.names(f"wal/{manifest.system}")
    for number, name in enumerate(names):
        progress(name, number, len(names))
        write(Piece(name.rsplit("/", 1)[1], "", 0, name), segments, repository.get(name))
    try:
        cluster.recover(repository.read(base), segments, at.astimezone(UTC).isoformat(sep=" "))
    except DatabaseError as reason:
        if "before configured recovery target was reached" not in str(reason.params.get("reason", "")):
            raise
        # nothing was committed between the end of the log and the instant: the end of the log is that instant
        (cluster.folder / "recovery.signal").touch()
        cluster.resume(segments)
    for path in segments.iterdir():
        path.unlink()


def _settle(into: Path, dumps: str, repository: Repository) -> dict[str, Any]:
    """Read the dumps, and put right what speaks of the old place, in a process that knows only the new one."""
    erasures = into / "tmp" / "erasures.jsonl"
    erasures.parent.mkdir(exist_ok=True, mode=0o700)
    erasures.write_bytes(b"".join(repository.get("erasures.jsonl")) if repository.has("erasures.jsonl") else b"")
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE} | {"MALHA_DATA": str(into)}
    done = subprocess.run(  # noqa: S603 -- our own module
        [sys.executable, "-m", "malha.history.backups.settling", dumps, str(erasures)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DatabaseError(msg("A reposição não chegou ao fim: {reason}"), reason=done.stderr.strip()[-700:])
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
