"""Typed questions about one tenant's history, hot rows and lake as one, answers kept while nothing changes. Django-free."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pyarrow as pa

from malha.foundation.access import reach
from malha.foundation.access.contracts import BeyondReach
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import answering
from malha.history.engines.contracts import Busy, LakeMissing
from malha.history.engines.layout import Layout
from malha.history.engines.service import Connection
from malha.history.engines.specification import Question, Table
from malha.history.lake import catalogue
from malha.history.lake.contracts import Watermark
from malha.kernel.text import msg

#: answers kept in a process, and how large one may be
KEPT_ANSWERS, KEPT_BYTES = 128, 2_000_000
_HOT = """SELECT o.tenant_id, t.name AS type, a.name AS attribute, o.entity_id, o.dataset_id, o.observed_at, o.num, o.txt, o.kind, u.name AS unit,
    o.quality, o.run_id, o.op, o.seq
FROM observations o JOIN entity_type t ON t.id = o.type_id JOIN attribute a ON a.id = o.attr_id LEFT JOIN unit u ON u.id = o.unit_id
WHERE o.tenant_id = %s AND o.xid >= %s::text::xid8 AND (o.xid, o.seq) > (%s::text::xid8, %s)"""
_HOT_STATE = """SELECT h.newest, h.rows, p.newest, p.rows FROM (SELECT max(seq) AS newest, count(*) AS rows FROM observation_hot WHERE tenant_id = %s) AS h,
    (SELECT max(seq) AS newest, count(*) AS rows FROM observation_packed WHERE tenant_id = %s) AS p"""
_TYPES = {
    "tenant_id": pa.int64(), "type": pa.string(), "attribute": pa.string(), "entity_id": pa.int64(), "dataset_id": pa.int32(),
    "observed_at": pa.timestamp("us", "UTC"), "num": pa.float64(), "txt": pa.string(), "kind": pa.int16(), "unit": pa.string(),
    "quality": pa.int16(), "run_id": pa.int64(), "op": pa.int16(), "seq": pa.int64(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: the table, the engine that answered, and whether it was known already."""

    table: pa.Table
    engine: str
    known: bool = False


def ask(tenant_id: int, question: Question, *, engine: answering.Engine | None = None, timeout_seconds: float = answering.TIMEOUT_SECONDS) -> Answer:
    """The answer to a question of one tenant, with the hot rows where the engine is DuckDB.

    Entities deleted and loads undone since are left out. Raises UnusableQuestion, NotImplementedThere, and the engines' Busy and TooSlow.
    """
    if reach.current() is not None:
        raise BeyondReach(msg("O seu acesso é limitado a uma parte dos dados, e a esta pergunta responde-se com todos."))
    asked = engine or answering.chosen()
    with database.connect(autocommit=True) as connection:
        question = _seen(connection, tenant_id, question)
        state = _state(connection, tenant_id)
        key = (asked.name, tenant_id, question, state)
        if (known := _answers.get(key)) is not None:
            return Answer(known, asked.name, known=True)

        def tail(reader: Connection, known: Layout | None) -> pa.Table:
            known = known or catalogue.standing(reader, tenant_id)
            return _hot(connection, tenant_id, catalogue.noted(known) if known else Watermark())

        try:
            table = asked.answer(tenant_id, question, tail=tail, timeout_seconds=timeout_seconds)
        except LakeMissing:
            table = answering.Postgres().answer(tenant_id, question, timeout_seconds=timeout_seconds)
        if _state(connection, tenant_id) == state:
            _answers.keep(key, table)
    return Answer(table, asked.name)


def within(tenant_id: int, west: float, south: float, east: float, north: float) -> tuple[int, ...]:
    """The entities whose place touches a box of degrees (WGS 84), for `Question.entities`: so that any engine can ask by place."""
    with database.connect(autocommit=True) as connection, database.tenant_transaction(connection, [tenant_id]):
        found = connection.execute(
            "SELECT id FROM entities WHERE tenant_id = %s AND bbox && box(point(%s, %s), point(%s, %s)) ORDER BY id", [tenant_id, west, south, east, north]
        )
        return tuple(row[0] for row in found.fetchall())


def names(tenant_id: int, ids: Sequence[int]) -> dict[int, str]:
    """The URIs of entities by their number."""
    with database.connect(autocommit=True) as connection, database.tenant_transaction(connection, [tenant_id]):
        return dict(connection.execute("SELECT id, uri FROM entities WHERE tenant_id = %s AND id = ANY(%s)", [tenant_id, list(ids)]).fetchall())


def _seen(connection: psycopg.Connection[Any], tenant_id: int, question: Question) -> Question:
    """The question without what is deleted or undone. Raises Busy while sums still hold an undone load."""
    with database.tenant_transaction(connection, [tenant_id]):
        runs = tuple(row[0] for row in connection.execute("SELECT run_id FROM undone_run WHERE tenant_id = %s ORDER BY 1", [tenant_id]).fetchall())
        gone = tuple(row[0] for row in connection.execute("SELECT entity_id FROM entity_deleted WHERE tenant_id = %s ORDER BY 1", [tenant_id]).fetchall())
    if runs and question.table not in {Table.OBSERVATION, Table.ENTITY}:
        raise Busy(msg("Uma carga está a ser desfeita: as somas ficam certas dentro de um minuto."))
    return replace(question, without_entities=gone, without_runs=runs)


def _state(connection: psycopg.Connection[Any], tenant_id: int) -> tuple[object, ...]:
    """What changes when anything that an answer depends on does: the lake's newest snapshot and the newest hot row."""
    with database.tenant_transaction(connection, [tenant_id]):
        hot = connection.execute(_HOT_STATE, [tenant_id, tenant_id]).fetchone()
    with database.connect(Role.LAKE_READER, autocommit=True) as lake:
        known = lake.execute("SELECT to_regclass('ducklake_snapshot')").fetchone()
        snapshot = lake.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone() if known and known[0] else None
    return (*(hot or ()), *(snapshot or ()))


def _hot(connection: psycopg.Connection[Any], tenant_id: int, after: Watermark) -> pa.Table:
    with database.tenant_transaction(connection, [tenant_id]), connection.cursor(binary=True) as cursor:
        rows = cursor.execute(_HOT, [tenant_id, after.xid, after.xid, after.seq]).fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in _TYPES]
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(_TYPES.items(), columns, strict=True)})


class _Answers:
    """The answers of late, the longest unused first to go."""

    def __init__(self) -> None:
        self._kept: OrderedDict[object, pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> pa.Table | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: object, table: pa.Table) -> None:
        if table.nbytes <= KEPT_BYTES:
            with self._lock:
                self._kept[key] = table
                while len(self._kept) > KEPT_ANSWERS:
                    self._kept.popitem(last=False)


_answers = _Answers()
