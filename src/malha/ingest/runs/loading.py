"""One load at work: batch by batch, each in a transaction with its counts and the place to go on from.

Killed at any moment it goes on from the last batch that was committed: nothing acknowledged is lost, nothing is written twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import ArrowTable, EntityQuery, StoredEntity, WriteOptions
from malha.foundation.database import service as database
from malha.history.temporal import holding
from malha.ingest.mapping import rules
from malha.ingest.mapping.contracts import Again, Answers
from malha.ingest.quality import judging
from malha.ingest.quality import service as quality
from malha.ingest.runs import holding_to_model, queries
from malha.ingest.runs.contracts import Counts, Run, Stopped
from malha.ingest.runs.holding_to_model import Judged, cells_of
from malha.ingest.runs.seen import Seen, contents_of, hashes_of
from malha.sources.base.contracts import Refused
from malha.sources.tabular import service as tabular
from malha.sources.tabular.contracts import Position, TextBatch

type Progress = Callable[[Counts, int], None]


def ahead[T](source: Iterator[T]) -> Iterator[T]:
    """What `source` gives, made one step ahead in a thread: Python works while PostgreSQL does."""
    made: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def give(item: T | None, error: BaseException | None) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                made.put((item, error), timeout=0.2)
                return

    def fill() -> None:
        try:
            for item in source:
                give(item, None)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 -- raised again where it is read
            give(None, error)
        else:
            give(None, StopIteration())

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # without error there is an item
    finally:
        stop.set()
        thread.join()


class FileLoad:
    """The load of one file into one tenant. `conn` writes; `reader` is what `plan` asks, from another thread."""

    def __init__(
        self, conn: psycopg.Connection[Any], reader: psycopg.Connection[Any], run: Run, plan: rules.Plan, judge: judging.Judge, path: Path, name: str, work: Path,
        on_progress: Progress | None,
    ) -> None:  # fmt: skip
        self.conn, self.reader, self.run, self.plan, self.judge, self.path, self.name, self.work = conn, reader, run, plan, judge, path, name, work
        self.answers: Answers = plan.answers
        self.on_progress = on_progress
        self.counts = run.counts
        self.notes: list[str] = list(run.notes)
        self.seen = Seen()
        self.uris: set[str] | None = set() if self.answers.again is Again.REPLACE else None
        self.block = Position(run.position.get("offset", 0), run.position.get("row", 0))
        self.done_row = run.position.get("done", 0)
        self.options = WriteOptions(run_id=run.id, live=plan.answers.live, past=holding.held)

    def go(self, batch_rows: int) -> None:
        """Load from where the last one stopped to the end of the file."""
        if self.done_row or self.block.row:
            self._remember_before(batch_rows)
        for batch, whole, judged in ahead(self._mapped(batch_rows)):
            self._step(batch, whole, judged)
        if self.uris is not None:
            self._remove_vanished(self.uris)

    def _mapped(self, batch_rows: int) -> Iterator[tuple[TextBatch, TextBatch, Judged]]:
        """Batches read, mapped and judged, on the connection `reader`: this runs in a thread, while the batch before is written."""
        for whole in tabular.batches(self.path, self.name, self.work, self.answers.reading, self.block, batch_rows):
            batch = self._after_done(whole)
            with database.tenant_transaction(self.reader, [self.run.tenant_id]):
                judged = holding_to_model.judged(self.reader, rules.apply(batch, self.plan), batch, self.plan, self.judge)
            yield batch, whole, judged

    def _after_done(self, batch: TextBatch) -> TextBatch:
        """Without the rows that a load which was cut short wrote already."""
        fresh = batch.numbers > self.done_row
        if fresh.all():
            return batch
        rows = np.flatnonzero(fresh)
        first = int(rows[0]) if len(rows) else len(batch)
        columns = {name: column.slice(first) for name, column in batch.columns.items()}
        return TextBatch(columns, batch.numbers[first:], batch.next, batch.refused, batch.left_out)

    def _remember_before(self, batch_rows: int) -> None:
        """Learn again which things the rows before the cut named."""
        for batch in tabular.batches(self.path, self.name, self.work, self.answers.reading, None, batch_rows):
            if not len(batch) or int(batch.numbers[0]) > self.done_row:
                return
            cut = int((batch.numbers <= self.done_row).sum())
            part = TextBatch({name: column.slice(0, cut) for name, column in batch.columns.items()}, batch.numbers[:cut], batch.next)
            with database.tenant_transaction(self.reader, [self.run.tenant_id]):
                judged = holding_to_model.judged(self.reader, rules.apply(part, self.plan), part, self.plan, self.judge)
            self._without_repeats(judged.mapped, part)

    def _step(self, batch: TextBatch, whole: TextBatch, judged: Judged) -> None:
        mapped = judged.mapped
        with database.tenant_transaction(self.conn, [self.run.tenant_id]):
            judging.warn(self.conn, self.judge, judged.faults)
            table, repeated, doubles = self._without_repeats(mapped, batch)
            held = [*whole.refused, *mapped.held, *doubles]
            table = self._only_new(table)
            wrote = store.upsert_arrow(self.conn, self.run.tenant_id, table, self.options) if len(table) else None
            refused = _refused(table, wrote.refused if wrote else (), batch)
            quality.hold(self.conn, self.run.tenant_id, self.run.id, [*held, *refused])
            self._count(batch, whole, len(table) - len(refused), len(held) + len(refused), repeated, wrote, judged.warned)
            stop = self._checkpoint(batch, whole)
        if self.on_progress:
            self.on_progress(self.counts, self.run.expected_rows)
        if stop:
            raise Stopped

    def _without_repeats(self, mapped: rules.Mapped, batch: TextBatch) -> tuple[ArrowTable, int, list[Refused]]:
        """The table without rows said before; those that say something else of the same thing wait."""
        table = mapped.arrays
        if self.uris is not None:
            self.uris.update(table.uris.to_pylist())
        if not self.answers.key or not len(table):
            return table, 0, []
        at = np.searchsorted(batch.numbers, table.row_numbers)
        same, other = self.seen.check(hashes_of(table.uris, table.observed_at), contents_of(batch)[at])
        if not (same | other).any():
            return table, 0, []
        reason, mend = rules.REASONS["duplicate"]
        numbers = table.row_numbers
        doubles = [Refused(int(numbers[row]), "duplicate", reason, self.answers.key[0], mend, cells_of(batch, int(at[row]))) for row in np.flatnonzero(other)]
        return table.take(np.flatnonzero(~(same | other))), int(same.sum()), doubles

    def _only_new(self, table: ArrowTable) -> ArrowTable:
        """For "add": things that are there already stay as they are; a table with times always adds."""
        if self.answers.again is not Again.ADD or table.observed_at is not None or not len(table):
            return table
        uris = table.uris.to_pylist()
        there = store.existing(self.conn, self.run.tenant_id, uris)
        return table.take(np.array([row for row, uri in enumerate(uris) if uri not in there], int)) if there else table

    def _count(self, batch: TextBatch, whole: TextBatch, entered: int, held: int, repeated: int, wrote: Any, warned: int) -> None:
        before = self.counts
        self.counts = dataclasses.replace(
            before, read=before.read + len(batch) + len(whole.refused), entered=before.entered + entered, held=before.held + held,
            repeated=before.repeated + repeated, warned=before.warned + warned, left_out=before.left_out + whole.left_out,
            created=before.created + (wrote.created if wrote else 0), updated=before.updated + (wrote.updated if wrote else 0),
            unchanged=before.unchanged + (wrote.unchanged if wrote else 0), observations=before.observations + (wrote.observations if wrote else 0),
        )  # fmt: skip

    def _checkpoint(self, batch: TextBatch, whole: TextBatch) -> bool:
        """Write where we are, in the transaction of the rows; whether somebody asked to stop."""
        if len(batch):
            self.done_row = int(batch.numbers[-1])
        if whole.next.offset >= 0:
            self.block = whole.next
        position = {"offset": self.block.offset, "row": self.block.row, "done": self.done_row}
        row = self.conn.execute(
            "UPDATE ingest_run SET position = %s, counts = %s, heard_at = now() WHERE tenant_id = %s AND id = %s RETURNING stop_asked",
            [psycopg.types.json.Jsonb(position), psycopg.types.json.Jsonb(dataclasses.asdict(self.counts)), self.run.tenant_id, self.run.id],
        ).fetchone()
        return bool(row and row[0])

    def _remove_vanished(self, uris: set[str]) -> None:
        """For "replace": what this table held before and no longer names goes; undoing the load brings it back."""
        with database.tenant_transaction(self.conn, [self.run.tenant_id]):
            gone = vanished(self.conn, self.run.tenant_id, self.plan, uris)
            queries.keep_removed(self.conn, self.run.tenant_id, self.run.id, gone)
            removed = store.delete(self.conn, self.run.tenant_id, [entity.uri for entity in gone], run_id=self.run.id) if gone else 0
            self.counts = dataclasses.replace(self.counts, removed=self.counts.removed + removed)
            queries.update(self.conn, self.run.tenant_id, self.run.id, counts=self.counts)


def vanished(conn: psycopg.Connection[Any], tenant_id: int, plan: rules.Plan, uris: set[str]) -> list[StoredEntity]:
    """What is stored under the ids of this table and is not among `uris`."""
    gone: list[StoredEntity] = []
    after = 0
    while True:
        page = store.query(conn, [tenant_id], EntityQuery(types=(plan.answers.type,), limit=1_000, after_id=after))
        gone += [entity for entity in page.entities if entity.uri.startswith(plan.prefix) and entity.uri not in uris]
        if len(page.entities) < 1_000:
            return gone
        after = page.entities[-1].id


def _refused(table: ArrowTable, refused: Iterable[tuple[str, str]], batch: TextBatch) -> list[Refused]:
    """What the store itself would not take, as rows that wait."""
    reasons = dict(refused)
    if not reasons:
        return []
    _reason, mend = rules.REASONS["refused"]
    found = [(int(table.row_numbers[row]), reasons[uri]) for row, uri in enumerate(table.uris.to_pylist()) if uri in reasons]
    return [Refused(number, "refused", why, "", mend, cells_of(batch, int(np.searchsorted(batch.numbers, number)))) for number, why in found]
