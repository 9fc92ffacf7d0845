"""History in bulk: read, check, set down by month, load. Django-free."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.history.lake import service as lake
from malha.history.lake import upkeep
from malha.history.rollups import ordering
from malha.ingest.bulk import checking, reading
from malha.ingest.bulk.contracts import Block, Checked, Shape, UnreadableHistory
from malha.ingest.quality import service as quality
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import Counts, RunResult, RunState
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

#: what is noted together: a load that was cut short does no more than this again
PIECE_ROWS = 1_000_000
#: where so many rows come first and not one holds, the file is not taken
NONE_HOLDS_ROWS = 1_000
#: what one commit of the lake takes: opening it costs a second, and this much fits its memory
PART_ROWS = 4_000_000

type Progress = Callable[[Counts, int], None]
type Source = Path | pa.Table


def load_history(tenant_id: int, source: Source, *, run_id: int | None = None, actor: str = "", on_progress: Progress | None = None) -> RunResult:
    """Load a CSV or Parquet file, or an Arrow table, into history; `run_id` goes on with a load that was cut short.

    Rows that do not hold wait in quarantine. `on_progress` is told the counts and the expected rows after each piece and month.
    Raises UnreadableHistory before anything is read, and where the file breaks off: what was set down until there is kept.
    """
    started = time.monotonic()
    shape = reading.shape_of(reading.names_of(source))
    with _connected(tenant_id) as conn:
        run_id = run_id or runs.start(conn, tenant_id, getattr(source, "name", "Arrow"), entity_type="", actor=actor)
    work = _Load(tenant_id, run_id, source, on_progress or (lambda _counts, _expected: None))
    try:
        work.set_down(shape)
        work.load()
    except BaseException as reason:
        with _connected(tenant_id) as conn:
            runs.finish(conn, tenant_id, run_id, work.counts, reason.kept() if isinstance(reason, MalhaError) else str(reason)[:500] or type(reason).__name__)
        raise
    with _connected(tenant_id) as conn:
        runs.finish(conn, tenant_id, run_id, work.counts)
        waiting = tuple(quality.groups(conn, tenant_id, run_id))
    work.clear()
    return RunResult(run_id, RunState.DONE, work.counts, time.monotonic() - started, waiting)


class _Load:
    """One load at work. Its folder holds a note for each piece set down, and the files of each month."""

    def __init__(self, tenant_id: int, run_id: int, source: Source, on_progress: Progress) -> None:
        self.tenant_id, self.run_id, self.source, self.on_progress = tenant_id, run_id, source, on_progress
        place = settings.current().data / "tmp" / "bulk"
        self.folder = place / f"{tenant_id}-{run_id}-stream"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for older in ("", "-arrow"):  # an older version set down files of another form: its pieces are done again
            shutil.rmtree(place / f"{tenant_id}-{run_id}{older}", ignore_errors=True)
        self.expected = reading.expected_rows(source)
        self.counts = Counts()

    def set_down(self, shape: Shape) -> None:
        """Check block after block and write what holds by month; pieces with a note are passed over."""
        self._same_source()
        with database.connect(autocommit=True) as conn:
            entities, piece = checking.Entities(conn, self.tenant_id), _Piece(self.folder, 0)
            for block in reading.blocks(self.source, shape):
                if piece.known is None:
                    with database.tenant_transaction(conn, [self.tenant_id]):
                        checked = checking.check(block, shape, entities)
                        _see_that_some_hold(block, checked)
                        quality.hold(conn, self.tenant_id, self.run_id, checked.refused)
                    piece.add(block, checked)
                    self._tell(piece.said)
                else:
                    piece.pass_over(block)
                if piece.rows >= PIECE_ROWS:
                    piece = self._end(piece)
            if piece.rows:
                self._end(piece)

    def load(self) -> None:
        """Put part after part into the lake; one that is there already is passed over by the lake itself."""
        for part, files in self._parts():
            lake.bulk_load_files(self.tenant_id, files, self.run_id, part)
            self.on_progress(self.counts, self.expected)
        upkeep.settle_sums(self.tenant_id)

    def _end(self, piece: _Piece) -> _Piece:
        """Note what came of a piece, count it, and begin the next."""
        self.counts = _added(self.counts, piece.end())
        self.on_progress(self.counts, self.expected)
        return _Piece(self.folder, piece.number + 1)

    def _tell(self, so_far: dict[str, int]) -> None:
        self.on_progress(_added(self.counts, so_far), self.expected)

    def _parts(self) -> Iterator[tuple[int, list[Path]]]:
        """Months put together up to `PART_ROWS`, each part called by its first month: the same parts each time."""
        first, files, rows = 0, list[Path](), 0
        for month in sorted(self.folder.glob("month-*")):
            first = first or int(month.name.removeprefix("month-"))
            more = sorted(month.glob("*.arrows"))
            files, rows = files + more, rows + sum(int(file.stem.rpartition("-")[2]) for file in more)
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

    def add(self, block: Block, checked: Checked) -> None:
        """Set down what holds of a block."""
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
