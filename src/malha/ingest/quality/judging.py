"""What comes in against its model, by the rule of the tenant: off, warn or enforce. Django-free.

Without a rule nothing is looked at. With one, a batch is judged column by column, the model compiled once; what the store
has already counts for a mandatory property that a file does not bring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityDocument, plain
from malha.vocabulary.models import policy
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import ColumnFinding, DataModel, Finding, Severity, ValueType
from malha.vocabulary.models.policy import Mode

type Flags = np.ndarray[Any, np.dtype[np.bool_]]

#: a code that quarantine groups by: the platform's own when the mapping has one for the same fault, else this
MODEL = "model"
_TIMES = frozenset({ValueType.INSTANT, ValueType.DATE})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that the model does not let through, the rows that have it, and the URI of the first."""

    finding: Finding
    rows: Sequence[int]
    example_uri: str


@dataclass(frozen=True, slots=True)
class Judge:
    """How one type of a tenant is held to its model. `model` is None where there is nothing to hold it to."""

    tenant_id: int
    type: str
    mode: Mode = Mode.OFF
    model: DataModel | None = None

    @property
    def looks(self) -> bool:
        """Whether there is anything to judge."""
        return self.mode is not Mode.OFF and self.model is not None

    def faults(self, conn: psycopg.Connection[Any], uris: Any, columns: Sequence[Column]) -> list[Fault]:
        """What is wrong in the rows of a batch, errors only. `uris` has one per row; `conn` is in the tenant's scope."""
        if not self.looks or not len(uris):
            return []
        assert self.model is not None
        looked = {column.name: column.values for column in columns if not self._is_certain(column)}
        certain = {column.name for column in columns if column.name not in looked}
        units = {c.name: c.unit for c in columns if c.unit and c.name in looked}
        found = models.validate_columns(self.model, looked, row_count=len(uris), units=units, stored=self._stored(conn, uris))
        faults = []
        for group in found.groups:
            absent = group.finding.code == "missing" and self.model.find(group.finding.path) is not None  # and no member inside an object
            if group.finding.severity is not Severity.ERROR or (absent and group.finding.path in certain):
                continue
            rows = self._really_missing(conn, group, uris) if absent else group.rows
            if len(rows):
                faults.append(Fault(group.finding, rows, _at(uris, int(rows[0]))))
        return faults

    def _stored(self, conn: psycopg.Connection[Any], uris: Any) -> list[dict[str, Any]]:
        """What each row's entity has already, where the model has rules between properties; else nothing is asked."""
        if not self.model or not self.model.constraints:
            return []
        names = [_at(uris, row) for row in range(len(uris))]
        there = store.by_uris(conn, self.tenant_id, sorted(set(names)))
        plain_of = {uri: models.plain_values(entity.attributes) for uri, entity in there.items()}
        return [plain_of.get(uri, {}) for uri in names]

    def _is_certain(self, column: Column) -> bool:
        """Instants that the mapping itself wrote, as typed values: they are right by being written."""
        prop = self.model.find(column.name) if self.model else None
        if prop is None or prop.type not in _TIMES or hasattr(column.values, "to_pylist"):
            return False
        first = next((value for value in column.values if value is not None), None)
        return isinstance(first, Mapping) and "@value" in first

    def _really_missing(self, conn: psycopg.Connection[Any], group: ColumnFinding, uris: Any) -> list[int]:
        """Rows of things that do not have the property in the store either: a file may bring only what changed."""
        names = {row: _at(uris, row) for row in group.rows}
        there = store.by_uris(conn, self.tenant_id, sorted(set(names.values())))
        return [row for row, uri in names.items() if uri not in there or group.finding.path not in there[uri].attributes]


def judge_of(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, model: DataModel | None = None) -> Judge:
    """The judge of a type, by the rule of the tenant; `model` when the caller has it already."""
    mode = policy.of_tenant(conn, tenant_id).of(entity_type).mode
    if mode is Mode.OFF:
        return Judge(tenant_id, entity_type)
    return Judge(tenant_id, entity_type, mode, model or models.find(entity_type, tenant_id))


def flags(faults: Sequence[Fault], count: int) -> Flags:
    """The rows that have a fault."""
    bad = np.zeros(count, bool)
    for fault in faults:
        bad[np.asarray(fault.rows, int)] = True
    return bad


def warn(conn: psycopg.Connection[Any], judge: Judge, faults: Sequence[Fault]) -> None:
    """Remember the faults of rows that were let in, for the page of rules."""
    policy.warned_rows(conn, judge.tenant_id, judge.type, [(fault.example_uri, fault.finding, len(fault.rows)) for fault in faults])


@dataclass(slots=True)
class JudgedDocuments:
    """Documents that may go in, those that may not with the faults of each, and how many went in with a warning."""

    sound: list[EntityDocument] = field(default_factory=list)
    refused: list[tuple[EntityDocument, list[Finding]]] = field(default_factory=list)
    warned: int = 0


def documents(conn: psycopg.Connection[Any], tenant_id: int, docs: Sequence[EntityDocument]) -> JudgedDocuments:
    """Whole entities against the rules of the tenant; each counts as it will be when it is written over what is there."""
    if not policy.of_tenant(conn, tenant_id).any:
        return JudgedDocuments(list(docs))
    judged = JudgedDocuments()
    there = store.by_uris(conn, tenant_id, sorted({doc.uri for doc in docs}))
    for doc in docs:
        kept = there[doc.uri].attributes if doc.uri in there else {}
        after = {name: value for name, value in {**kept, **doc.attributes}.items() if value is not None}
        verdict = policy.judged(conn, tenant_id, doc.types, {"id": doc.uri, "type": list(doc.types), **after})
        if verdict is not None and verdict.mode is Mode.ENFORCE:
            judged.refused.append((doc, verdict.errors))
            continue
        if verdict is not None:
            policy.warned(conn, tenant_id, verdict.type, doc.uri, verdict.errors)
            judged.warned += 1
        judged.sound.append(doc)
    return judged


def _at(uris: Any, row: int) -> str:
    return str(plain(uris[row : row + 1])[0])
