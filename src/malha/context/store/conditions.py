"""What a question asks of the rows of entities, as SQL: everything but exact shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from malha.context.store import limits, names, predicate, q, records, selections, shapes
from malha.context.store.contracts import EntityQuery, Selector, UnusableQuery
from malha.foundation.access import reach
from malha.foundation.access.contracts import BeyondReach
from malha.kernel.text import msg, normalise

PATTERN_LENGTH = 512


@dataclass(slots=True)
class Condition:
    """A WHERE clause in the making, on the entities that have not ended; `empty` when nothing can match."""

    parts: list[str] = field(default_factory=list)
    params: list[object] = field(default_factory=list)
    empty: bool = False
    within: limits.Parts | None = None  # the reader's reach, where it is limited

    def add(self, part: str, *params: object) -> None:
        self.parts.append(part)
        self.params += params

    @property
    def text(self) -> str:
        """The clause."""
        return f"{self.ended_too} AND {records.ALIVE}"

    @property
    def ended_too(self) -> str:
        """The clause with those that have ended and are not taken away yet."""
        return " AND ".join(self.parts)


def where(conn: psycopg.Connection[Any], tenant_ids: Sequence[int], question: EntityQuery) -> Condition:
    """The condition on `entities e` for everything but exact shapes; one tenant is always named (data-plane 2)."""
    condition = Condition()
    if len(tenant_ids) == 1:
        condition.add("e.tenant_id = %s", tenant_ids[0])
    else:
        condition.add("e.tenant_id = ANY (%s::bigint[])", list(tenant_ids))
    _by_type(conn, question, condition)
    if question.scope_selection:
        _by_scope(question.scope_selection, condition)
    _by_names(conn, tenant_ids, question, condition)
    if question.text.strip():
        word = normalise(question.text).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        condition.add("e.name_key LIKE %s", f"%{word}%")
    if question.run_id is not None:
        run = "EXISTS (SELECT FROM entity_before_run b WHERE b.tenant_id = e.tenant_id AND b.run_id = %s AND b.entity_id = e.id)"
        condition.add(f"(e.created_run = %s OR e.run_id = %s OR {run})", question.run_id, question.run_id, question.run_id)
    for box in (question.bbox, *(one.box for one in shapes.filters(question))):
        if box is not None:
            west, south, east, north = box
            condition.add("e.bbox && box(point(%s, %s), point(%s, %s))", east, north, west, south)
    condition.within = limits.narrow(conn, condition, question, _asked(question))
    return condition


def _by_names(conn: psycopg.Connection[Any], tenant_ids: Sequence[int], question: EntityQuery, condition: Condition) -> None:
    """What a question says of ids and attributes."""
    if question.uris:
        condition.add("e.uri = ANY (%s::text[])", list(question.uris))
    if question.id_pattern:
        condition.add("e.uri ~ %s", _pattern(question.id_pattern))
    if question.attrs:
        _by_attributes(question, condition)
    if question.having:
        condition.add("e.doc ?| %s::text[]", list(question.having))
    if question.q:
        if reach.parts(question.types) is not None and q.depth(q.parse(question.q)):
            raise BeyondReach(msg("O seu acesso é limitado, e assim a pergunta q não segue ligações."))
        params: list[object] = []
        types = tuple(names.existing(conn, "entity_type", question.types).values()) if question.count else ()  # only who counts looks at so many
        look = predicate.Look(datasets=question.datasets, tenants=tuple(tenant_ids), types=types)
        condition.add(predicate.compile_node(q.parse(question.q), params, look), *params)


def _asked(question: EntityQuery) -> set[str]:
    """The attributes that a question is about."""
    asked = set(question.attrs) | set(question.having) | (q.names(q.parse(question.q)) if question.q else set())
    asked |= {step.path[0] for step in question.order if step.path and step.path[0] not in {"id", "type", "scope", "createdAt", "modifiedAt", "expiresAt"}}
    if question.bbox is not None or question.near is not None or question.within is not None:
        asked.add("location")
    if question.geo is not None:
        asked.add(question.geo.attribute)
    return asked | ({"name"} if question.text.strip() else set())


def _by_type(conn: psycopg.Connection[Any], question: EntityQuery, condition: Condition) -> None:
    if question.type_selection:
        condition.add(_selected(conn, question.type_selection))
    if question.any_of:
        _by_selectors(conn, question.any_of, condition)
    if not question.types:
        return
    ids = list(names.existing(conn, "entity_type", question.types).values())
    if not ids:
        condition.empty = True
    elif len(ids) == 1:
        condition.add("(e.type_id = %s OR (cardinality(e.types) > 1 AND %s = ANY (e.types)))", ids[0], ids[0])
    else:
        condition.add("(e.type_id = ANY (%s::int[]) OR (cardinality(e.types) > 1 AND e.types && %s::int[]))", ids, ids)


def _by_attributes(question: EntityQuery, condition: Condition) -> None:
    condition.add("e.doc ?| %s::text[]", list(question.attrs))
    if question.datasets:
        condition.add(
            "EXISTS (SELECT FROM unnest(%s::text[]) a, jsonb_path_query(e.doc -> a, '$[*]') i WHERE coalesce(i ->> 'datasetId', '') = ANY (%s::text[]))",
            list(question.attrs), list(question.datasets),
        )  # fmt: skip


def _selected(conn: psycopg.Connection[Any], text: str) -> str:
    """A selection of types as a condition; a type that nobody has used holds for nothing."""
    tree = selections.parse(text)
    ids = names.existing(conn, "entity_type", selections.names(tree))

    def one(name: str) -> str:
        id_ = ids.get(name)
        return "false" if id_ is None else f"(e.type_id = {int(id_)} OR (cardinality(e.types) > 1 AND {int(id_)} = ANY (e.types)))"

    return selections.condition(tree, one)


def _by_selectors(conn: psycopg.Connection[Any], selectors: Sequence[Selector], condition: Condition) -> None:
    parts: list[str] = []
    params: list[object] = []
    for selector in selectors:
        of_one = [_selected(conn, selector.type_selection)] if selector.type_selection else []
        if selector.uris:
            of_one.append("e.uri = ANY (%s::text[])")
            params.append(list(selector.uris))
        elif selector.id_pattern:
            of_one.append("e.uri ~ %s")
            params.append(_pattern(selector.id_pattern))
        parts.append("(" + (" AND ".join(of_one) or "true") + ")")
    condition.add("(" + " OR ".join(parts) + ")", *params)


def _by_scope(text: str, condition: Condition) -> None:
    tree = selections.parse(text)
    params: list[object] = []

    def one(scope: str) -> str:
        params.append(selections.scope_pattern(scope))
        return "EXISTS (SELECT FROM unnest(e.scopes) s WHERE s ~ %s)"

    condition.add(selections.condition(tree, one), *params)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as reason:
        raise UnusableQuery(msg("O padrão “{pattern}” não é uma expressão regular."), pattern=text[:80]) from reason
    if len(text) > PATTERN_LENGTH:
        raise UnusableQuery(msg("O padrão de identificadores é demasiado longo."))
    return text
