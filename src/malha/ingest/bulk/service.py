"""History in bulk: read, check, set down by month, load. Django-free."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.history.lake import service as lake
from malha.ingest.bulk import checking, reading
from malha.ingest.bulk.contracts import Checked, Shape, UnreadableHistory
from malha.ingest.quality import service as quality
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import Counts, RunResult, RunState
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

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
        self.folder = place / f"{tenant_id}-{run_id}-arrow"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(place / f"{tenant_id}-{run_id}", ignore_errors=True)  # an older version set down files of another form: its pieces are done again
        self.expected = reading.expected_rows(source)
        self.counts = Counts()

    def set_down(self, shape: Shape) -> None:
        """Check every piece and write what holds by month; pieces with a note are passed over."""
        self._same_source()
        with database.connect(autocommit=True) as conn:
            entities = checking.Entities(conn, self.tenant_id)
            for piece in reading.pieces(self.source, shape):
                note = self.folder / f"piece-{piece.number:06d}.json"
                if not note.exists():
                    with database.tenant_transaction(conn, [self.tenant_id]):
                        checked = checking.check(piece, shape, entities)
                        quality.hold(conn, self.tenant_id, self.run_id, checked.refused)
                    self._write(piece.number, checked)
                    said = {"read": piece.table.num_rows, "held": len(checked.refused), "observations": checked.good.num_rows}
                    note.write_text(json.dumps(said), encoding="utf-8")  # last: a piece without its note is done again
                self._count(json.loads(note.read_text(encoding="utf-8")))
                self.on_progress(self.counts, self.expected)

    def load(self) -> None:
        """Put part after part into the lake; one that is there already is passed over by the lake itself."""
        for part, files in self._parts():
            lake.bulk_load_files(self.tenant_id, files, self.run_id, part)
            self.on_progress(self.counts, self.expected)

    def _parts(self) -> Iterator[tuple[int, list[Path]]]:
        """Months put together up to `PART_ROWS`, each part called by its first month: the same parts each time."""
        first, files, rows = 0, list[Path](), 0
        for month in sorted(self.folder.glob("month-*")):
            first = first or int(month.name.removeprefix("month-"))
            more = sorted(month.glob("*.arrow"))
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

    def _write(self, number: int, checked: Checked) -> None:
        if not checked.good.num_rows:
            return
        at = checked.good.column("observed_at").to_numpy().astype("datetime64[M]").astype(np.int64)
        first = int(at.min())
        there = np.flatnonzero(np.bincount(at - first)) + first  # counted in their places: looking each up takes ten times as long
        for month in there:
            name = f"month-{1970 + month // 12}{month % 12 + 1:02d}"
            (self.folder / name).mkdir(exist_ok=True)
            rows = checked.good if len(there) == 1 else checked.good.filter(pa.array(at == month))
            place = self.folder / name / f"{number:06d}-{rows.num_rows}.arrow"
            with place.open("wb") as file, pa.ipc.new_file(file, rows.schema) as writer:  # as it lies in memory: read once and then taken away
                writer.write_table(rows)

    def _count(self, said: dict[str, int]) -> None:
        done = self.counts
        self.counts = Counts(
            read=done.read + said["read"], held=done.held + said["held"], entered=done.entered + said["read"] - said["held"],
            observations=done.observations + said["observations"],
        )  # fmt: skip


@contextmanager
def _connected(tenant_id: int) -> Iterator[psycopg.Connection[Any]]:
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [tenant_id]):
        yield conn
