"""Mend rows that wait, a whole group at once, and take them in by a load of their own that belongs to the first.

What still does not fit goes on waiting: nothing is lost by trying.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from malha.context.store import service as store
from malha.context.store.contracts import WriteOptions, WriteOutcome
from malha.foundation.audit import service as audit
from malha.foundation.tenancy import service as tenancy
from malha.ingest.mapping import rules
from malha.ingest.mapping.contracts import Answers, Outside, PlaceAnswer, PlaceKind, from_json
from malha.ingest.quality import judging
from malha.ingest.quality import service as quality
from malha.ingest.quality.contracts import HeldRow
from malha.ingest.runs import holding_to_model, queries, service
from malha.ingest.runs.contracts import Counts, Run, RunKind, RunResult, RunState
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.sources.tabular import cells
from malha.sources.tabular import service as tabular
from malha.sources.tabular.contracts import Position, TextBatch, UnusableFile

MOST_ROWS = 100_000
#: columns that a place pointed at by hand comes in
LON_COLUMN, LAT_COLUMN = "\u2316 lon", "\u2316 lat"
#: reasons for which a row waits because of its place
PLACELESS = ("unplaced", "coordinates", "nowhere", "geometry", "outside")


class Way(StrEnum):
    """How a group is mended."""

    SET = "set"  # one value for all
    CLEAR = "clear"  # the cell says nothing
    ACCEPT = "accept"  # outside the municipality, or a repeat: it is right as it is
    NO_PLACE = "no_place"  # listed without a place
    OTHER_DATES = "other_dates"  # month first
    OTHER_DECIMAL = "other_decimal"  # the other sign separates decimals
    DROP = "drop"


#: which ways make sense for which reason
WAYS: dict[str, tuple[Way, ...]] = {
    "missing": (Way.SET, Way.DROP),
    "key": (Way.SET, Way.DROP),
    "number": (Way.OTHER_DECIMAL, Way.CLEAR, Way.SET, Way.DROP),
    "integer": (Way.CLEAR, Way.SET, Way.DROP),
    "boolean": (Way.SET, Way.CLEAR, Way.DROP),
    "date": (Way.OTHER_DATES, Way.SET, Way.CLEAR, Way.DROP),
    "no_such_date": (Way.OTHER_DATES, Way.SET, Way.CLEAR, Way.DROP),
    "choice": (Way.SET, Way.CLEAR, Way.DROP),
    "range": (Way.CLEAR, Way.SET, Way.DROP),
    "coordinates": (Way.NO_PLACE, Way.DROP),
    "nowhere": (Way.NO_PLACE, Way.DROP),
    "unplaced": (Way.NO_PLACE, Way.DROP),
    "geometry": (Way.NO_PLACE, Way.DROP),
    "outside": (Way.ACCEPT, Way.NO_PLACE, Way.DROP),
    "duplicate": (Way.ACCEPT, Way.DROP),
    "model": (Way.SET, Way.CLEAR, Way.DROP),
}


@dataclass(frozen=True, slots=True)
class Mending:
    """What to do with one group. `value` only for SET."""

    way: Way
    value: str = ""


def ways_for(code: str) -> tuple[Way, ...]:
    """The ways in which a group of that reason can be settled; at least dropping it."""
    return WAYS.get(code, (Way.DROP,))


def mend_group(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, code: str, path: str, mending: Mending, actor: str) -> RunResult | None:
    """Settle a group at once, in the open transaction. None when it was dropped; else what the new load did."""
    run = queries.get(conn, tenant_id, run_id)
    waiting = list(quality.rows(conn, tenant_id, run_id, code, path, MOST_ROWS))
    audit.record_on(conn, tenant_id, actor, "ingest.mend", f"run:{run_id}", {"code": code, "way": mending.way.value, "rows": len(waiting)})
    if mending.way is Way.DROP or run.answers is None:
        quality.settle(conn, tenant_id, [row.id for row in waiting], "dropped")
        return None
    answers = _changed(from_json(run.answers), path, mending.way)
    if mending.way in {Way.SET, Way.CLEAR}:
        value = mending.value.strip() if mending.way is Way.SET else None
        waiting = [dataclasses.replace(row, cells={**row.cells, path: value}) for row in waiting]
    return _take_in(conn, run, answers, waiting, actor)


def bring_back(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, path: Path, name: str, work: Path, actor: str) -> RunResult:
    """Take in the workbook of waiting rows after somebody mended it by hand. Raises UnusableFile when it is another table."""
    run = queries.get(conn, tenant_id, run_id)
    answers = from_json(run.answers)
    shape = tabular.inspect(path, name, work, header_row=1)
    own = next((name for name in quality.ROW_COLUMNS.values() if name in shape.reading.columns and name not in answers.reading.columns), None)
    if own is None or not set(answers.key) <= set(shape.reading.columns):
        raise UnusableFile(msg("Este ficheiro não é o das linhas em espera: falta a coluna “{column}”."), column=quality.ROW_COLUMNS["pt"])
    by_number: dict[int, dict[str, object]] = {}
    for batch in tabular.batches(path, name, work, shape.reading):
        columns = {column: values.to_pylist() for column, values in batch.columns.items()}
        for at in range(len(batch)):
            number = str(columns[own][at] or "")
            if number.isdigit():
                by_number[int(number)] = {column: columns[column][at] for column in answers.reading.columns if column in columns}
    waiting = [
        dataclasses.replace(row, cells=by_number[row.row_number])
        for row in quality.rows(conn, tenant_id, run_id, limit=MOST_ROWS)
        if row.row_number in by_number
    ]
    audit.record_on(conn, tenant_id, actor, "ingest.bring_back", f"run:{run_id}", {"rows": len(waiting)})
    return _take_in(conn, run, answers, waiting, actor)


def place(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, row_id: int, longitude: float, latitude: float, actor: str) -> RunResult | None:
    """Take in one row that waits, at the place somebody pointed at (degrees, WGS 84). None when it waits no longer."""
    run = queries.get(conn, tenant_id, run_id)
    row = quality.row(conn, tenant_id, run_id, row_id)
    if row is None or run.answers is None:
        return None
    audit.record_on(conn, tenant_id, actor, "ingest.place", f"run:{run_id}", {"row": row.row_number})
    answers = from_json(run.answers)
    pointed = PlaceAnswer(PlaceKind.COORDINATES, LON_COLUMN, LAT_COLUMN)
    columns = (*answers.reading.columns, LON_COLUMN, LAT_COLUMN)
    reading = dataclasses.replace(answers.reading, columns=columns, geometry="", decimal=".")
    told = {name: value for name, value in row.cells.items() if name != answers.reading.geometry}
    told |= {LON_COLUMN: str(longitude), LAT_COLUMN: str(latitude)} | ({answers.reading.geometry: None} if answers.reading.geometry else {})
    return _take_in(conn, run, dataclasses.replace(answers, reading=reading, place=pointed), [dataclasses.replace(row, cells=told)], actor)


def _changed(answers: Answers, path: str, way: Way) -> Answers:
    """The answers of the load, with what the mending says otherwise."""
    if way is Way.ACCEPT:
        return dataclasses.replace(answers, place=dataclasses.replace(answers.place, outside=Outside.KEEP))
    if way is Way.NO_PLACE:
        return dataclasses.replace(answers, place=PlaceAnswer())
    columns = list(answers.columns)
    for position, column in enumerate(columns):
        if column.column == path and way is Way.OTHER_DECIMAL:
            columns[position] = dataclasses.replace(column, decimal="," if column.decimal == "." else ".")
        if column.column == path and way is Way.OTHER_DATES:
            columns[position] = dataclasses.replace(column, day_first=not column.day_first)
    time = answers.time
    if way is Way.OTHER_DATES and path in time.columns:
        time = dataclasses.replace(time, day_first=not time.day_first)
    return dataclasses.replace(answers, columns=tuple(columns), time=time)


def _batch(answers: Answers, waiting: Sequence[HeldRow]) -> TextBatch:
    columns = {
        name: cells.clean(pa.array([_text(row.cells.get(name)) for row in waiting], pa.string()))
        for name in answers.reading.columns
        if name != answers.reading.geometry
    }
    if answers.reading.geometry:
        columns[answers.reading.geometry] = pa.nulls(len(waiting), pa.binary())
    return TextBatch(columns, np.array([row.row_number for row in waiting], int), Position())


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _take_in(conn: psycopg.Connection[Any], run: Run, answers: Answers, waiting: Sequence[HeldRow], actor: str) -> RunResult:
    """A load of mended rows; those that fit leave quarantine, the others stay with the reason they have now."""
    tenant = tenancy.by_id(run.tenant_id)
    run_id = queries.insert(
        conn,
        run.tenant_id,
        kind=RunKind.MENDED,
        title=run.title,
        parent_id=run.id,
        sha256=run.sha256 or None,
        type=run.type,
        expected_rows=len(waiting),
        actor=actor,
    )
    whole = [row for row in waiting if set(answers.reading.columns) - {answers.reading.geometry} <= set(row.cells)]
    plan = service.plan_for(conn, tenant, answers)
    batch = _batch(answers, whole)
    judge = service.judge_for(conn, plan, tenant.id)
    judged = holding_to_model.judged(conn, rules.apply(batch, plan), batch, plan, judge) if whole else None
    mapped = judged.mapped if judged is not None else None
    wrote = WriteOutcome()
    if mapped is not None and mapped.table.uris:
        wrote = store.upsert_table(conn, run.tenant_id, mapped.table, WriteOptions(run_id=run_id, live=False))
    entered = set(mapped.table.row_numbers or ()) if mapped is not None else set()
    quality.settle(conn, run.tenant_id, [row.id for row in whole if row.row_number in entered], "mended", run_id)
    counts = Counts(
        read=len(waiting), entered=len(entered), held=len(waiting) - len(entered), created=wrote.created, updated=wrote.updated,
        unchanged=wrote.unchanged, observations=wrote.observations, warned=judged.warned if judged is not None else 0,
    )  # fmt: skip
    judging.warn(conn, judge, judged.faults if judged is not None else ())
    queries.update(conn, run.tenant_id, run_id, state="done", counts=counts, started_at=now(), finished_at=now())
    return RunResult(run_id, RunState.DONE, counts, 0.0, tuple(quality.groups(conn, run.tenant_id, run.id)))
