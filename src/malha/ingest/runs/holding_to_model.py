"""Mapped rows held to their data model by the rule of the tenant: enforced, those that fail wait; warned, they enter and are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psycopg

from malha.context.store.contracts import EntityDocument, EntityTable, pick
from malha.ingest.mapping import rules
from malha.ingest.quality import judging
from malha.sources.base.contracts import Refused, SourceBatch
from malha.sources.tabular.contracts import TextBatch
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import Finding
from malha.vocabulary.models.policy import Mode


@dataclass(frozen=True, slots=True)
class Judged:
    """A mapped batch after its model was asked: what enters, how many rows with a warning, and the faults to remember."""

    mapped: rules.Mapped
    warned: int = 0
    faults: tuple[judging.Fault, ...] = ()


def judged(conn: psycopg.Connection[Any], mapped: rules.Mapped, batch: TextBatch, plan: rules.Plan, judge: judging.Judge) -> Judged:
    """The rows of `mapped` that the model lets through, or all of them with the number it would not. `conn` is in the tenant's scope."""
    table = mapped.arrays
    faults = judge.faults(conn, table.uris, table.columns)
    if not faults:
        return Judged(mapped)
    bad = judging.flags(faults, len(table))
    if judge.mode is Mode.WARN:
        return Judged(mapped, int(bad.sum()), tuple(faults))
    held = [*mapped.held, *_held(faults, table.row_numbers, batch, plan)]
    good = np.flatnonzero(~bad)
    points = (mapped.points[0][good], mapped.points[1][good]) if mapped.points is not None else None
    return Judged(rules.Mapped(table.take(good), held, mapped.keys, points))


def _held(faults: list[judging.Fault], row_numbers: Any, batch: TextBatch, plan: rules.Plan) -> list[Refused]:
    """The rows that wait, each for its first fault, under the column that a person knows."""
    columns = {answer.attribute: answer.column for answer in plan.answers.columns if answer.column and answer.comes_in}
    found = []
    for row, fault in _first(faults):
        number = int(row_numbers[row])
        column = columns.get(fault.finding.path.split(".")[0], fault.finding.path)
        found.append(_waits(number, fault.finding, cells_of(batch, int(np.searchsorted(batch.numbers, number))), column))
    return found


def _waits(number: int, said: Finding, cells: Mapping[str, object], column: str = "") -> Refused:
    """One row that waits, under its column or else under the property of the model."""
    wrong, mend = models.kept_words(said)
    return Refused(number, judging.MODEL, wrong, column or said.path, mend, cells)


def _first(faults: list[judging.Fault]) -> list[tuple[int, judging.Fault]]:
    """Each row that fails, in order, with the first of its faults."""
    seen: dict[int, judging.Fault] = {}
    for fault in faults:
        for row in fault.rows:
            seen.setdefault(int(row), fault)
    return sorted(seen.items(), key=lambda item: item[0])


@dataclass(frozen=True, slots=True)
class JudgedSource:
    """What of a source's batch may go in, what waits, and how many things go in with a warning."""

    table: EntityTable | None = None
    documents: tuple[EntityDocument, ...] = ()
    refused: tuple[Refused, ...] = ()
    warned: int = 0


def judged_source(conn: psycopg.Connection[Any], tenant_id: int, batch: SourceBatch) -> JudgedSource:
    """What a connector gave, by the rules of the tenant; warnings are remembered. In the tenant's transaction."""
    if batch.table is None:
        found = judging.documents(conn, tenant_id, batch.documents)
        first = [(doc, faults[0]) for doc, faults in found.refused]
        refused = [_waits(n, said, {"id": doc.uri}) for n, (doc, said) in enumerate(first, 1)]
        return JudgedSource(None, tuple(found.sound), tuple(refused), found.warned)
    table = batch.table
    judge = judging.judge_of(conn, tenant_id, table.type)
    faults = judge.faults(conn, table.uris, table.columns)
    if not faults:
        return JudgedSource(table)
    bad = judging.flags(faults, len(table.uris))
    if judge.mode is Mode.WARN:
        judging.warn(conn, judge, faults)
        return JudgedSource(table, (), (), int(bad.sum()))
    return JudgedSource(_some(table, np.flatnonzero(~bad)), (), tuple(_refused(table, faults)))


def _refused(table: EntityTable, faults: list[judging.Fault]) -> list[Refused]:
    made = []
    for row, fault in _first(faults):
        number = table.row_numbers[row] if table.row_numbers is not None else row + 1
        cells = {"id": table.uris[row]} | {one.name: value for one in table.columns if isinstance(value := one.values[row], int | float | str)}
        made.append(_waits(number, fault.finding, cells))
    return made


def _some(table: EntityTable, rows: Any) -> EntityTable:
    columns = [replace(one, values=pick(one.values, rows)) for one in table.columns]
    observed = pick(table.observed_at, rows) if table.observed_at is not None else None
    numbers = pick(table.row_numbers, rows) if table.row_numbers is not None else None
    return EntityTable(table.type, pick(table.uris, rows), columns, observed, numbers)


def cells_of(batch: TextBatch, row: int) -> dict[str, object]:
    """What came in a row, as it came."""
    return {name: value if isinstance(value := column[row].as_py(), str) or value is None else "…" for name, column in batch.columns.items()}
