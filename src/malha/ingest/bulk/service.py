"""History in bulk: read, check, set down by month, load. Django-free."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
import pyarrow as pa

from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.history.engines import service as engines
from malha.history.lake import service as lake
from malha.history.lake import upkeep
from malha.history.retention import service as retention
from malha.history.rollups import ordering
from malha.ingest.bulk import checking, reading
from malha.ingest.bulk.contracts import Block, Checked, Shape, UnreadableHistory
from malha.ingest.bulk.hearing import Hearing
from malha.ingest.lineage import service as lineage
from malha.ingest.quality import service as quality
from malha.ingest.runs import book as runs
from malha.ingest.runs.contracts import FULL, NEXT, Counts, CutShort, RunKind, RunResult, RunState, Stopped
from malha.kernel import formats
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg, sentence
from malha.kernel.time import now

#: rows that one load puts aside: nobody looks at more one by one, a workbook takes a million, and all of them stay in the file
MOST_HELD = 100_000
#: what is noted together: a load that was cut short does no more than this again
PIECE_ROWS = 1_000_000
#: where so many rows come first and not one holds, the file is not taken
NONE_HOLDS_ROWS = 1_000
#: what one commit of the lake takes: opening it costs a second, and this much fits its memory
PART_ROWS = 4_000_000
#: what a load set down that failed or was stopped is kept so long, so that it can go on
KEPT_DAYS = 30
#: a load whose process died so often is not begun again by itself
MOST_TRIES = 10
#: ends the names of folders whose pieces are those of this version: change it with the blocks
_FORM = "-blocks"
_OLD = "old:"
_CUT = msg("A carga foi interrompida {times} vezes e parou. Veja se a máquina tem memória e disco, e escolha “Continuar”.")
_OURS = msg(
    "A carga parou por uma falha nossa ({what}). O que já foi lido está guardado: escolha “Continuar”, e se voltar a parar diga-o a quem gere o serviço."
)

type Progress = Callable[[Counts, int], None]
type Source = Path | pa.Table


def load_history(
    tenant_id: int, source: Source, *, run_id: int | None = None, actor: str = "", shape: Shape | None = None, on_progress: Progress | None = None
) -> RunResult:
    """Load a CSV, Parquet or Arrow file, or an Arrow table, into history; `run_id` goes on with a load that was cut short.

    Without `shape` the titles say what the columns mean. Rows that do not hold wait in quarantine. `on_progress` is told the counts and the
    expected rows after each block and part. Raises RunBusy while another process has the load, CannotResume for one that has ended,
    UnreadableHistory before anything is read, and where the file breaks off: what was set down until there is kept.
    """
    started = time.monotonic()
    names = reading.names_of(source)
    shape = shape or reading.shape_of(names)
    reading.see_once(names, shape)
    with database.connect(autocommit=True) as keeper:
        with database.tenant_transaction(keeper, [tenant_id]):
            again = run_id is not None
            run_id = run_id or runs.start(keeper, tenant_id, getattr(source, "name", "Arrow"), actor=actor, kind=RunKind.HISTORY)
        with runs.taken(keeper, run_id):
            if again:
                with database.tenant_transaction(keeper, [tenant_id]):
                    runs.resume(keeper, tenant_id, run_id)
            with Hearing(tenant_id, run_id) as hearing:
                work = _Load(tenant_id, run_id, source, hearing, on_progress or (lambda _counts, _expected: None))
                state = _attempt(work, shape)
            with _connected(tenant_id) as conn:
                runs.finish(conn, tenant_id, run_id, work.counts, notes=work.notes, stopped=state is RunState.STOPPED)
                waiting = tuple(quality.groups(conn, tenant_id, run_id))
    if state is RunState.DONE:
        work.clear()
    return RunResult(run_id, state, work.counts, time.monotonic() - started, waiting, notes=tuple(work.notes))


def load_kept(tenant_id: int, run_id: int) -> RunResult | None:
    """Load the kept file of a run that waits, failed or was cut short; None for one that was stopped, undone or is done."""
    with _connected(tenant_id) as conn:
        run = runs.get(conn, tenant_id, run_id)
        if run.kind is not RunKind.HISTORY or run.answers is None or RunState.RUNNING not in NEXT[run.state] or run.state is RunState.STOPPED:
            return None
        if run.tries >= MOST_TRIES:  # whatever ends its process will do so again
            runs.finish(conn, tenant_id, run_id, run.counts, sentence(_CUT, times=run.tries))
            return None
        kept = lineage.find(conn, tenant_id, run.sha256)
    kept_shape: Any = run.answers["shape"]
    return load_history(tenant_id, kept.path, run_id=run_id, shape=Shape.from_json(kept_shape))


def _attempt(work: _Load, shape: Shape) -> RunState:
    """Do the work; what goes wrong is noted in the run and raised, unless somebody stopped it: what was set down is kept for the next time."""
    try:
        work.set_down(shape)
        work.load()
    except Stopped:
        return RunState.STOPPED
    except psycopg.OperationalError as reason:  # nobody can be told now: it is seen to have fallen silent
        raise CutShort(msg("A base de dados parou a meio da carga. O que já entrou está guardado; quando ela voltar, a carga continua.")) from reason
    except BaseException as reason:
        said = (
            reason.kept() if isinstance(reason, MalhaError) else FULL if _is_full(reason) else sentence(_OURS, what=str(reason)[:300] or type(reason).__name__)
        )
        with _connected(work.tenant_id) as conn:
            runs.finish(conn, work.tenant_id, work.run_id, work.counts, said)
        raise
    return RunState.DONE


def _is_full(reason: BaseException) -> bool:
    return isinstance(reason, OSError) and reason.errno in {errno.ENOSPC, errno.EDQUOT}


def forget_folders() -> None:
    """Take away what loads set down that will never go on: those done or undone, and those that nobody went on with for `KEPT_DAYS`."""
    for folder in _place().glob(f"*-*{_FORM}"):
        tenant_id, run_id = (int(part) for part in folder.name.split("-")[:2])
        with _connected(tenant_id) as conn:
            run = next(iter(runs.several(conn, tenant_id, [run_id])), None)
        old = folder.stat().st_mtime < time.time() - KEPT_DAYS * 86_400
        if run is None or not NEXT[run.state] or run.state is RunState.DONE or (old and run.state is not RunState.RUNNING):
            shutil.rmtree(folder, ignore_errors=True)


def _place() -> Path:
    return settings.current().data / "tmp" / "bulk"


class _Load:
    """One load at work. Its folder holds a note for each piece set down, and the files of each month."""

    def __init__(self, tenant_id: int, run_id: int, source: Source, hearing: Hearing, on_progress: Progress) -> None:
        self.tenant_id, self.run_id, self.source, self.hearing, self.on_progress = tenant_id, run_id, source, hearing, on_progress
        place = _place()
        self.folder = place / f"{tenant_id}-{run_id}{_FORM}"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for older in ("", "-arrow", "-stream"):  # an older version set down files of another form, or other blocks: its pieces are done again
            shutil.rmtree(place / f"{tenant_id}-{run_id}{older}", ignore_errors=True)
        self.expected = reading.expected_rows(source)
        self.counts, self.notes = Counts(), list[str]()
        self.old = _Old(tenant_id)

    def set_down(self, shape: Shape) -> None:
        """Check block after block and write what holds by month; pieces with a note are passed over."""
        self._same_source()
        with database.connect(autocommit=True) as conn:
            entities, piece = checking.Entities(conn, self.tenant_id), _Piece(self.folder, 0)
            with database.tenant_transaction(conn, [self.tenant_id]):
                room = MOST_HELD - quality.held(conn, self.tenant_id, self.run_id)
            for block in reading.blocks(self.source, shape):
                if piece.known is None:
                    with database.tenant_transaction(conn, [self.tenant_id]):
                        checked = checking.check(block, shape, entities)
                        _see_that_some_hold(block, checked)
                        room -= quality.hold(conn, self.tenant_id, self.run_id, checked.refused[: max(0, room)])
                    piece.add(block, checked, self.old.count(checked.good))
                    self._tell(piece.said)
                else:
                    piece.pass_over(block)
                self.hearing.check()
                if piece.rows >= PIECE_ROWS:
                    piece = self._end(piece)
            if piece.rows:
                self._end(piece)

    def load(self) -> None:
        """Put part after part into the lake; one that is there already is passed over by the lake itself."""
        done = 0
        for part, files in self._parts():
            self.hearing.check()
            self.hearing.at(2, done, self.counts.observations)
            lake.bulk_load_files(self.tenant_id, files, self.run_id, part)
            done += sum(map(_rows_of, files))
            self.on_progress(self.counts, self.expected)
        self.hearing.at(2, done, self.counts.observations)
        upkeep.settle_sums(self.tenant_id)
        brought, replaced = lake.bulk_loaded(self.tenant_id, self.run_id)
        self.counts = replace(self.counts, observations=brought, repeated=self.counts.observations - brought)
        self.notes = [*self.old.words(), *self._beyond()]
        if replaced:
            self.notes.append(
                sentence(
                    msg("{count} valores tomaram o lugar de outros que diziam outra coisa; se desfizer a carga, esses voltam."),
                    count=formats.number(replaced, 0),
                )
            )

    def _beyond(self) -> list[str]:
        """What there is to say where not every refused row was put aside."""
        with _connected(self.tenant_id) as conn:
            waits = quality.held(conn, self.tenant_id, self.run_id)
        if waits < MOST_HELD or self.counts.held <= waits:
            return []
        text = msg(
            "Das {count} linhas recusadas ficaram à espera {waits}; as outras só estão no ficheiro. Acerte-o e carregue-o outra vez: o que já entrou não se repete."
        )
        return [sentence(text, count=formats.number(self.counts.held, 0), waits=formats.number(waits, 0))]

    def _end(self, piece: _Piece) -> _Piece:
        """Note what came of a piece, count it, and begin the next."""
        self.counts = _added(self.counts, piece.end())
        self.old.note(piece.said)
        engines.give_back()
        self._told(self.counts)
        return _Piece(self.folder, piece.number + 1)

    def _tell(self, so_far: dict[str, int]) -> None:
        self._told(_added(self.counts, so_far))

    def _told(self, counts: Counts) -> None:
        self.hearing.counts = counts
        self.hearing.at(1, counts.read, self.expected)
        self.on_progress(counts, self.expected)

    def _parts(self) -> Iterator[tuple[int, list[Path]]]:
        """Months put together up to `PART_ROWS`, each part called by its first month: the same parts each time."""
        first, files, rows = 0, list[Path](), 0
        for month in sorted(self.folder.glob("month-*")):
            first = first or int(month.name.removeprefix("month-"))
            more = sorted(month.glob("*.arrows"))
            files, rows = files + more, rows + sum(map(_rows_of, more))
            if rows >= PART_ROWS:
                yield first, files
                first, files, rows = 0, [], 0
        if files:
            yield first, files

    def clear(self) -> None:
        """Take the files away."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _same_source(self) -> None:
        """Raises UnreadableHistory when a load goes on with another file than it began with."""
        mark = self.folder / "source.json"
        if isinstance(self.source, Path):
            said = json.dumps([self.source.name, self.source.stat().st_size])
            if mark.exists() and mark.read_text(encoding="utf-8") != said:
                raise UnreadableHistory(msg("A carga {run} começou com outro ficheiro."), run=self.run_id)
            mark.write_text(said, encoding="utf-8")


class _Old:
    """Values from before what their type is kept for, by type: retention lets them go the next night."""

    def __init__(self, tenant_id: int) -> None:
        self.tenant_id, self.found = tenant_id, Counter[str]()
        self._since = dict[str, datetime | None]()

    def count(self, rows: pa.Table) -> dict[str, int]:
        """How many rows of each type are so old."""
        if not rows.num_rows:
            return {}
        types, instants = ordering.coded(rows.select(["type"])).unify_dictionaries().column("type").combine_chunks(), ordering.numbers(rows, "observed_at")
        codes, found = types.indices.to_numpy(zero_copy_only=False), dict[str, int]()
        for code, name in enumerate(types.dictionary.to_pylist()):
            before = self._before(name)
            if before is not None and (count := int(np.count_nonzero((codes == code) & (instants < before.timestamp() * 1_000_000)))):
                found[name] = count
        return found

    def _before(self, name: str) -> datetime | None:
        if name not in self._since:
            with _connected(self.tenant_id) as conn:
                row = conn.execute("SELECT time_zone FROM organisation WHERE id = %s", [self.tenant_id]).fetchone()
                self._since[name] = retention.kept_since(conn, self.tenant_id, name, now(), ZoneInfo(row[0] if row else "Europe/Lisbon"))
        return self._since[name]

    def note(self, said: Mapping[str, int]) -> None:
        """Add what a piece counted."""
        self.found.update({key.removeprefix(_OLD): count for key, count in said.items() if key.startswith(_OLD)})

    def words(self) -> list[str]:
        """What there is to say of them."""
        text = msg("{count} valores de “{type}” são de antes do que se conserva: saem na próxima noite, e ficam as suas somas.")
        return [sentence(text, count=formats.number(count, 0), type=name) for name, count in self.found.items()]


class _Piece:
    """Some blocks that are set down together: a file for each month of theirs, and at last the note. A piece without its note is done again."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number, self.rows = folder, number, 0
        self.note = folder / f"piece-{number:06d}.json"
        self.known: dict[str, int] | None = json.loads(self.note.read_text(encoding="utf-8")) if self.note.exists() else None
        self.said = self.known or {"read": 0, "held": 0, "observations": 0}
        self._files: dict[int, tuple[Path, pa.ipc.RecordBatchStreamWriter, int]] = {}

    def pass_over(self, block: Block) -> None:
        """Count a block of a piece that has its note."""
        self.rows += block.rows

    def add(self, block: Block, checked: Checked, old: Mapping[str, int]) -> None:
        """Set down what holds of a block; `old` says of how many values of a type retention lets go."""
        for name, count in old.items():
            self.said[f"{_OLD}{name}"] = self.said.get(f"{_OLD}{name}", 0) + count
        self.rows += block.rows
        self.said["read"] += block.rows
        self.said["held"] += len(checked.refused) if not block.lost else block.lost
        self.said["observations"] += checked.good.num_rows
        for month, rows in ordering.apart(checked.good):
            self._write(month, rows)

    def end(self) -> dict[str, int]:
        """Close the files, call each by what it holds, and note what the piece came to."""
        if self.known is None:
            for path, writer, count in self._files.values():
                writer.close()
                path.rename(path.with_name(f"{path.stem}-{count}.arrows"))
            self.note.write_text(json.dumps(self.said), encoding="utf-8")
        return self.said

    def _write(self, month: int, rows: pa.Table) -> None:
        if month not in self._files:
            place = self.folder / f"month-{month}"
            place.mkdir(exist_ok=True)
            for left in place.glob(f"{self.number:06d}*"):  # of a piece that was cut short before its note
                left.unlink()
            path = place / f"{self.number:06d}.part"
            self._files[month] = (path, pa.ipc.new_stream(str(path), rows.schema), 0)  # as it lies in memory: read once and then taken away
        path, writer, count = self._files[month]
        writer.write_table(rows)
        self._files[month] = (path, writer, count + rows.num_rows)


def _rows_of(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])


def _see_that_some_hold(block: Block, checked: Checked) -> None:
    """Raises UnreadableHistory where of the first rows not one holds: the file is written in another way, and quarantine is not for all of it."""
    if block.first_row == 1 and len(checked.refused) >= NONE_HOLDS_ROWS and len(checked.refused) == block.rows:
        one = checked.refused[0]
        raise UnreadableHistory(
            msg("Nenhuma das primeiras {rows} linhas pode entrar. Na linha {row}, coluna “{column}”: {reason}"),
            rows=block.rows, row=one.row_number, column=one.path, reason=one.message,
        )  # fmt: skip


def _added(done: Counts, said: dict[str, int]) -> Counts:
    return Counts(
        read=done.read + said["read"], held=done.held + said["held"], entered=done.entered + said["read"] - said["held"],
        observations=done.observations + said["observations"],
    )  # fmt: skip


@contextmanager
def _connected(tenant_id: int) -> Iterator[psycopg.Connection[Any]]:
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [tenant_id]):
        yield conn
