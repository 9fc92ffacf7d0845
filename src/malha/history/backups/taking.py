"""Make a copy of everything: both databases at one instant, the lake's files, the files that came in, the secrets.

Kept by content, so that a second copy writes only what is new. While it runs, writing goes on; only files of the lake are
not taken away. The manifest is written last: a copy that was killed has none, and the next one goes on from its objects.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import obstore
import psycopg

from malha.foundation.database import copies
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.database.embedded import MAJOR
from malha.foundation.settings import service as settings
from malha.history.backups import record
from malha.history.backups.contracts import AlreadyCopying, Manifest, Piece
from malha.history.backups.repository import Repository
from malha.history.erasure import service as erasure
from malha.history.lake import catalogue, files, upkeep
from malha.kernel.text import msg

#: folders below the data folder that a copy holds; the lake's is where its setting says
FOLDERS = ("files", "secrets")
#: what is made anew whenever it is needed
SKIPPED = (".work", ".part-")
#: a base for bringing the server forward by its log is taken this often
BASE_EVERY = timedelta(days=7)
LOCK = 0x6D616C6863
PIECE_BYTES = 1 << 20

type Progress = Callable[[str, int, int], object]
"""Told (what, bytes done, bytes in all; 0 where nobody knows)."""


@dataclass
class _Tally:
    pieces: list[Piece]
    new_bytes: int = 0

    def add(self, kept: tuple[Piece, int]) -> None:
        self.pieces.append(kept[0])
        self.new_bytes += kept[1]


def take(repository: Repository, now: datetime, progress: Progress = lambda *_: None) -> Manifest:
    """Make a copy now. Returns its manifest. Raises AlreadyCopying, DatabaseError, and what the place raises (OSError)."""
    started = time.monotonic()
    before = repository.manifests()
    known = {(piece.path, piece.bytes, piece.modified): piece for piece in (before[-1].pieces if before else [])}
    tally = _Tally([])
    erasure.ready_to_repeat()
    with _alone(), upkeep.copying():
        with copies.same_instant(catalogue.still) as snapshots:
            counts, epoch = count(snapshots), _epoch()
            for name, pieces in copies.dump(snapshots):
                progress(name, 0, 0)
                tally.add(repository.keep_stream(f"dumps/{name}", pieces))
        base, system = _base(repository, before, now, tally, progress)
        _keep_files(repository, known, tally, progress)
        ship_log(repository, switch=True)
        ship_erasures(repository)
    manifest = Manifest(
        f"{now:%Y-%m-%dT%H%M%SZ}", now, time.monotonic() - started, version("malha"), MAJOR, tally.pieces, counts, tally.new_bytes, base, system, epoch
    )
    repository.write_manifest(manifest)
    record.write(repository, manifest)
    return manifest


def _epoch() -> int:
    with database.connect(Role.OWNER) as connection:
        row = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint >> 32").fetchone()
    return int(row[0]) if row else 0


def count(snapshots: dict[Role, str] | None = None) -> dict[str, int]:
    """What both databases hold, by kind, at the instant of the snapshots: what a copy must answer when it is brought back."""
    main = {
        "organisations": "SELECT count(*) FROM organisation", "entities": "SELECT count(*) FROM entity",
        "hot": "SELECT count(*) FROM observation_hot", "people": "SELECT count(*) FROM person",
    }  # fmt: skip
    lake = {
        "lake_rows": "SELECT coalesce(sum(record_count), 0)::bigint FROM ducklake_data_file WHERE end_snapshot IS NULL",
        "lake_deletes": "SELECT coalesce(sum(delete_count), 0)::bigint FROM ducklake_delete_file WHERE end_snapshot IS NULL",
    }
    found: dict[str, int] = {}
    for role, questions in ((Role.OWNER, main), (Role.LAKE_WRITER, lake)):
        with database.connect(role) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if snapshots:
                connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshots[role]}'")
            for name, question in questions.items():
                table = question.split(" FROM ")[1].split()[0]
                if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() != (None,):
                    row = connection.execute(question).fetchone()
                    found[name] = int(row[0]) if row else 0
    return found


def ship_log(repository: Repository, *, switch: bool = False) -> int:
    """Put the segments of the log that are full into the copy, and take them from the folder where they wait. Returns how many."""
    folder = settings.current().data / "wal"
    if not folder.is_dir():
        return 0
    if switch:
        _close_segment(folder)
    segments = sorted(path for path in folder.iterdir() if not path.name.startswith("archtemp"))
    system = _system() if segments else ""
    for path in segments:
        repository.put(f"wal/{system}/{path.name}", _read(path))
        path.unlink()
    return len(segments)


def ship_erasures(repository: Repository) -> bool:
    """Put the list of erasures beside the copies: one made before an erasure is erased again when it comes back. Returns whether it was new."""
    place = settings.current().data / "erasures.jsonl"
    lines = place.read_bytes().splitlines() if place.is_file() else []
    there = b"".join(repository.get("erasures.jsonl")).splitlines() if repository.has("erasures.jsonl") else []
    new = [line for line in lines if line not in there]
    if new:
        repository.put("erasures.jsonl", [b"".join(line + b"\n" for line in (*there, *new))])
    return bool(new)


def _close_segment(folder: Path) -> None:
    """Have the server close the segment that it writes, and wait (ten seconds at most) until it lies in the folder."""
    with superuser() as server:
        row = server.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
    for _ in range(100):
        if row is None or (folder / row[0]).exists():
            return
        time.sleep(0.1)


def superuser() -> psycopg.Connection:
    """The embedded server as its administrator: for copies, which nobody else may make."""
    place = database.endpoint()
    return psycopg.connect(host=place.host, port=place.port, user="postgres", password=place.passwords["postgres"], dbname="postgres", autocommit=True)


@contextmanager
def _alone() -> Iterator[None]:
    with database.connect(Role.LAKE_WRITER, autocommit=True) as session:
        row = session.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
        if not row or not row[0]:
            raise AlreadyCopying(msg("Já está a fazer-se uma cópia. Espere que acabe."))
        yield


def _base(repository: Repository, before: list[Manifest], now: datetime, tally: _Tally, progress: Progress) -> tuple[str, str]:
    """The base from which the log goes on: an earlier copy's while it is young, else a new one. Empty without a log that is kept."""
    if not (settings.current().data / "wal").is_dir() or settings.current().database_url:
        return "", ""
    system = _system()
    based = next((one for one in reversed(before) if one.base == one.id and one.system == system), None)
    if based and now - based.made_at < BASE_EVERY:
        return based.id, system
    progress("base", 0, 0)
    tally.add(repository.keep_stream("base/postgres.tar", copies.base()))
    return f"{now:%Y-%m-%dT%H%M%SZ}", system


def _system() -> str:
    """Which server's log it is: one that was brought back from a dump begins a log of its own, with the same names."""
    with superuser() as server:
        row = server.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    return str(row[0]) if row else ""


def _keep_files(repository: Repository, known: dict[tuple[str, int, float], Piece], tally: _Tally, progress: Progress) -> None:
    found = list(_all_files())
    total, done = sum(size for _, size, _, _ in found), 0
    for path, size, modified, read in found:
        progress(path, done, total)
        seen = known.get((path, size, modified))
        if seen and repository.has(seen.stored):
            tally.add((seen, 0))
        elif (digest := _digest(read())) is not None:
            tally.add(repository.keep(path, digest, size, read(), modified))
        done += size
    progress("", total, total)


type _Found = tuple[str, int, float, Callable[[], Iterator[bytes]]]


def _all_files() -> Iterator[_Found]:
    """Every file of a copy: (its path there, bytes, when it was written, how it is read)."""
    data = settings.current().data
    for name in FOLDERS:
        for path in sorted((data / name).rglob("*")) if (data / name).is_dir() else ():
            below = path.relative_to(data)
            if path.is_file() and not any(part.startswith(SKIPPED) for part in below.parts):
                status = path.stat()
                yield str(below), status.st_size, status.st_mtime, lambda path=path: _read(path)  # type: ignore[misc]  # bound now
    for page in obstore.list(files.store()):
        for entry in page:
            inside = entry["path"]
            yield f"lake/{inside}", entry["size"], entry["last_modified"].timestamp(), lambda inside=inside: files.pieces(inside)  # type: ignore[misc]  # bound now


def _digest(pieces: Iterator[bytes]) -> str | None:
    """The SHA-256 of a file; None for one that went in between (an upload undone, a writer that gave up)."""
    digest = hashlib.sha256()
    try:
        for piece in pieces:
            digest.update(piece)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while piece := source.read(PIECE_BYTES):
            yield piece
