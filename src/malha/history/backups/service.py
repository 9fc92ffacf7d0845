"""The door of copies: make one, list them, rehearse a return, bring one back, forget old ones. Django-free."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import psycopg

from malha.foundation.settings import service as settings
from malha.history.backups import record, restoring, taking
from malha.history.backups.contracts import Check, Manifest, NoBackup
from malha.history.backups.record import State
from malha.history.backups.repository import Repository
from malha.history.backups.restoring import Restored
from malha.history.backups.taking import Progress
from malha.history.lake import files
from malha.history.lake.files import LakeFile
from malha.history.lake.integrity import Broken
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

#: copies older than this go, but for the newest and what a base needs
KEEP = timedelta(days=35)


def _silent(what: str, done: int, total: int) -> None:
    """Nobody looks on."""


def open_repository(address: str = "", *, make: bool = False) -> Repository:
    """The place of copies: the one that is named, else the one that is set, else a folder in the data folder. Raises WrongKey, NoBackup."""
    conf = settings.current()
    place = address or conf.backup_to or str(conf.data / "backups")
    return Repository(place if place.startswith("s3://") else str(Path(place).expanduser().resolve()), conf.backup_key, make=make)


def take(address: str, now: datetime, progress: Progress = _silent) -> Manifest:
    """Make a copy now, and forget those whose time is over. Raises AlreadyCopying, DatabaseError, OSError."""
    repository = open_repository(address, make=True)
    manifest = taking.take(repository, now, progress)
    prune(repository, now - KEEP)
    return manifest


def choose(repository: Repository, id_: str = "", at: datetime | None = None) -> Manifest:
    """The copy of that name, or the newest, or for an instant the newest made before it that has a base."""
    if id_:
        return repository.manifest(id_)
    if at is None:
        return repository.newest()
    based = [one for one in repository.manifests() if one.base and repository.manifest(one.base).made_at <= at]
    if not based:
        raise NoBackup(msg("Nenhuma cópia em {place} tem base anterior a esse instante. Escolha uma cópia inteira com --backup."), place=repository.address)
    return based[-1]  # the newest: it has the most files of the lake, and its log reaches furthest


def restore(repository: Repository, into: Path, manifest: Manifest, at: datetime | None = None, progress: Progress = _silent) -> Restored:
    """Bring a copy back into an empty folder, to its own moment or to an instant. Raises PlaceTaken, BackupBroken, NotCopiedYet."""
    return restoring.restore(repository, into, manifest, at, progress)


def check(repository: Repository, manifest: Manifest, now: datetime, progress: Progress = _silent) -> Check:
    """Rehearse: bring the copy back whole into a folder that then goes, and ask it what it must answer. Never raises for a bad copy."""
    started = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="malha-check-", dir=_room()))
    place.chmod(0o755)  # the embedded server may run as a user of its own; the folder inside is closed
    try:
        restored = restoring.restore(repository, place / "data", manifest, None, progress)
        wrong = {name: (restored.counts.get(name), wanted) for name, wanted in manifest.counts.items() if restored.counts.get(name) != wanted}
        reason = "; ".join([*(f"{name}: {found} ≠ {wanted}" for name, (found, wanted) in wrong.items()), *restored.lost])
    except (MalhaError, OSError) as error:
        reason = str(error)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    done = Check(manifest.id, now, time.monotonic() - started, not reason, reason[:500])
    repository.write_check(done)
    record.checked(done)
    return done


def mend(repository: Repository, known: Sequence[LakeFile]) -> tuple[list[str], list[Broken]]:
    """Look at every byte of these files of the lake, and bring those that are broken back from the copies.

    Returns what was mended, and what no copy has whole. A file whose bytes are others than those that were copied is
    broken too: files of the lake never change.
    """
    pieces = {piece.path: piece for manifest in repository.manifests() for piece in manifest.pieces if piece.path.startswith("lake/")}
    mended: list[str] = []
    lost: list[Broken] = []
    for one in known:
        piece = pieces.get(f"lake/{one.path}")
        reason = files.broken(one) or ("changed" if piece and files.digest(one.path) != piece.sha256 else "")
        if not reason:
            continue
        try:
            if piece is None:
                raise NoBackup(msg("Falta na cópia {path}."), path=one.path)
            files.put(one.path, b"".join(repository.read(piece)))
            mended.append(one.path)
        except MalhaError:
            lost.append(Broken(one, reason))
    return mended, lost


def prune(repository: Repository, before: datetime) -> int:
    """Forget copies made before, and objects that no copy holds any more. Returns how many copies went."""
    manifests = repository.manifests()
    bases = {one.base for one in manifests if one.made_at >= before}
    gone = [one for one in manifests[:-1] if one.made_at < before and one.id not in bases]
    if not gone:
        return 0
    repository.remove(f"copies/{one.id}.json" for one in gone)
    held = {piece.stored for one in manifests if one not in gone for piece in one.pieces}
    repository.remove(name for name in repository.names("objects") if name not in held)
    return len(gone)


def state(connection: psycopg.Connection) -> State:
    """What the page says."""
    return record.state(connection)


def _room() -> str:
    folder = settings.current().data / "tmp"
    folder.mkdir(exist_ok=True, mode=0o700)
    return str(folder)
