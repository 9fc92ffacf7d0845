"""Properties that a model declares filterable: their values lie in `entity_value`, where a question finds and counts entities without their documents.

What is found there is looked at again in the document, so that the answer is the same with and without. Where nothing is kept,
or not all of it yet, the question takes the usual road. Triggers keep the rows (sql/migrations/0006_filterable.sql).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from malha.context.store import names, predicate, q, state
from malha.context.store.contracts import EntityQuery
from malha.context.store.q import Every, Range, Term
from malha.vocabulary.models import service as models

#: a question that leaves no more than these is answered by looking at them, any other by a walk along the index
FEW = 5_000
#: entities whose values are kept in one statement
CHUNK = 10_000
_OPERATORS = {"==": "=", ">": ">", "<": "<", ">=": ">=", "<=": "<="}


@dataclass(frozen=True, slots=True)
class Kept:
    """The terms of a question about properties of a type that are kept. `whole`: they are all that the question asks."""

    tenant_id: int
    type_id: int
    terms: tuple[tuple[int, Term], ...]  # number of the attribute, what is asked of it
    whole: bool


def kept(conn: psycopg.Connection[Any], tenant_id: int, question: EntityQuery) -> Kept | None:
    """Those terms of a question that filterable properties answer, None where there are none."""
    if not question.q or len(question.types) != 1 or question.datasets:
        return None
    model = models.find(question.types[0], tenant_id)
    filterable = {prop.name for prop in model.properties if prop.filterable} if model else set()
    if not filterable:
        return None
    tree = q.parse(question.q)
    parts = tree.parts if isinstance(tree, Every) else (tree,)
    asked = [part for part in parts if isinstance(part, Term) and part.operator in _OPERATORS and predicate.plain(part) and part.path.names[0] in filterable]
    if not asked:
        return None
    types = names.existing(conn, "entity_type", question.types)
    numbers = names.existing(conn, "attribute", [term.path.names[0] for term in asked])
    if not types or len(numbers) < len({term.path.names[0] for term in asked}):
        return None
    whole = len(asked) == len(parts) and not more(question)
    return Kept(tenant_id, types[question.types[0]], tuple((numbers[term.path.names[0]], term) for term in asked), whole)


def more(question: EntityQuery) -> bool:
    """Whether a question asks for more than types and `q`."""
    return bool(
        question.type_selection or question.any_of or question.uris or question.id_pattern or question.attrs or question.having or question.scope_selection
        or question.bbox or question.near or question.geo or question.within or question.text.strip() or question.run_id is not None
    )  # fmt: skip


def enough(found: Kept, question: EntityQuery) -> int:
    """How many of the first entities that a kept value finds fill the page, 0 where that cannot be told before all are looked at."""
    one = (
        len(found.terms) == 1
        and found.terms[0][1].operator == "=="
        and len(found.terms[0][1].values) == 1
        and not isinstance(found.terms[0][1].values[0], Range)
    )
    return question.offset + question.limit if found.whole and one and not (question.count or question.order or question.after_id) else 0


def few(conn: psycopg.Connection[Any], found: Kept, first: int = 0) -> list[int] | None:
    """The entities among which all answers are, or the `first` of them by id, None where they are not few, or not all values are kept yet."""
    number, term = next((each for each in found.terms if each[1].operator == "=="), found.terms[0])
    ready, ready_params = _ready(found)
    asked: list[object] = []
    holds = _holds(term, asked)
    where, keys = _of("v", found, number)
    some = f" ORDER BY entity_id LIMIT {first}" if first else f" LIMIT {FEW + 1}"
    each = "(SELECT v.entity_id FROM entity_values v WHERE {where} AND {holds}{some})"  # each part ends by itself: else all that are found are sorted for a few
    both = " UNION ALL ".join(each.format(where=where, holds=one, some=some) for one in (holds, "v.value IS NULL"))
    statement = f"SELECT CASE WHEN {ready} THEN ARRAY({both}{some}) END"
    row = state.execute(conn, statement, [*ready_params, *keys, *asked, *keys]).fetchone()
    return None if row is None or row[0] is None or len(row[0]) > FEW else list(row[0])


def count(conn: psycopg.Connection[Any], found: Kept, condition: str, condition_params: Sequence[object]) -> int | None:
    """How many entities answer a question that is about kept properties alone, None where not all values are kept yet.

    Those whose values are not plain are counted by the condition on their document.
    """
    if not found.whole:
        return None
    ready, params = _ready(found)
    parts: list[str] = []
    tables: list[str] = []
    for at, (number, term) in enumerate(found.terms):
        alias = f"v{at}"
        where, keys = _of(alias, found, number)
        tables.append(
            f"entity_values {alias}" if not at else f"JOIN entity_values {alias} ON {alias}.tenant_id = v0.tenant_id AND {alias}.entity_id = v0.entity_id"
        )
        params += keys
        parts.append(f"{where} AND {_holds(term, params, alias)}")
    parts.append("(v0.expires_at IS NULL OR v0.expires_at > now())")
    numbers = [number for number, _ in found.terms]
    other = (
        f"SELECT count(*) FROM entities e WHERE e.id IN (SELECT v.entity_id FROM entity_values v WHERE v.tenant_id = %s AND v.type_id = %s AND v.attr_id = ANY (%s::int[]) "
        f"AND v.value IS NULL) AND {condition}"
    )
    statement = f"SELECT CASE WHEN {ready} THEN (SELECT count(*) FROM {' '.join(tables)} WHERE {' AND '.join(parts)}) + ({other}) END"
    row = state.execute(conn, statement, [*params, found.tenant_id, found.type_id, numbers, *condition_params]).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def _ready(found: Kept) -> tuple[str, list[object]]:
    numbers = sorted({number for number, _ in found.terms})
    text = "(SELECT count(*) FROM entity_filter f WHERE f.tenant_id = %s AND f.type_id = %s AND f.attr_id = ANY (%s::int[]) AND f.ready) = %s"
    return text, [found.tenant_id, found.type_id, numbers, len(numbers)]


def _of(alias: str, found: Kept, number: int) -> tuple[str, list[object]]:
    return f"{alias}.tenant_id = %s AND {alias}.type_id = %s AND {alias}.attr_id = %s", [found.tenant_id, found.type_id, number]


def _holds(term: Term, params: list[object], alias: str = "v") -> str:
    """The condition on a kept value; numbers are compared with numbers alone."""
    place, either = f"{alias}.value", list[str]()
    for value in term.values:
        if isinstance(value, Range):
            either.append(f"({place} BETWEEN %s::jsonb AND %s::jsonb AND jsonb_typeof({place}) = 'number')")
            params += [json.dumps(value.low), json.dumps(value.high)]
        else:
            typed = "" if term.operator == "==" else f" AND jsonb_typeof({place}) = 'number'"
            either.append(f"({place} {_OPERATORS[term.operator]} %s::jsonb{typed})")
            params.append(json.dumps(value, ensure_ascii=False))
    return f"({' OR '.join(either)})"


# --- keeping up with the models

ENTITIES = "SELECT e.id FROM entities e WHERE e.tenant_id = %s AND e.id > %s ORDER BY e.id LIMIT %s FOR KEY SHARE"
KEEP = """
INSERT INTO entity_values (tenant_id, type_id, attr_id, entity_id, value, expires_at)
SELECT e.tenant_id, f.type_id, f.attr_id, e.id, entity_plain_value(e.doc -> f.name), e.expires_at
FROM entities e JOIN entity_filter f ON f.tenant_id = e.tenant_id AND f.type_id = ANY (e.types) AND NOT f.ready AND e.doc ? f.name
WHERE e.tenant_id = %s AND e.id = ANY (%s::bigint[])
ON CONFLICT (tenant_id, entity_id, attr_id, type_id) DO NOTHING
"""
#: nobody is still writing who began before the rows of `entity_filter` were there
SETTLED = (
    "SELECT count(*), coalesce(bool_and(f.xid < pg_snapshot_xmin(pg_current_snapshot())), true) FROM entity_filter f WHERE f.tenant_id = %s AND NOT f.ready"
)


def wanted(conn: psycopg.Connection[Any], tenant_id: int, types: Iterable[str]) -> dict[tuple[int, int], str]:
    """By (number of the type, number of the attribute) the names that the tenant's models of these types declare filterable."""
    found: dict[tuple[int, int], str] = {}
    for entity_type in types:
        model = models.find(entity_type, tenant_id)
        declared = [prop.name for prop in model.properties if prop.filterable] if model else []
        if not declared:
            continue
        type_id = names.existing(conn, "entity_type", [entity_type])[entity_type]
        for name, number in names.existing(conn, "attribute", declared).items():
            found[type_id, number] = name
    return found


def declare(conn: psycopg.Connection[Any], tenant_id: int, types: Iterable[str]) -> tuple[bool, bool]:
    """Note which properties of these types, all that the tenant has entities of, are to be kept and forget those that are not any more.

    Returns whether some are new, and whether there is something left to `keep`. In a transaction of its own, which ends before, where some are new,
    `seen` follows in another, and then `keep`.
    """
    has = {(row[0], row[1]) for row in state.execute(conn, "SELECT type_id, attr_id FROM entity_filter WHERE tenant_id = %s", [tenant_id])}
    want = wanted(conn, tenant_id, types)
    for type_id, number in has - want.keys():
        state.execute(conn, "DELETE FROM entity_filter WHERE tenant_id = %s AND type_id = %s AND attr_id = %s", [tenant_id, type_id, number])
        state.execute(conn, "DELETE FROM entity_values WHERE tenant_id = %s AND type_id = %s AND attr_id = %s", [tenant_id, type_id, number])
    for type_id, number in want.keys() - has:
        statement = "INSERT INTO entity_filter (tenant_id, type_id, attr_id, name) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
        state.execute(conn, statement, [tenant_id, type_id, number, want[type_id, number]])
    row = state.execute(conn, SETTLED, [tenant_id]).fetchone()
    return bool(want.keys() - has), row is not None and row[0] > 0


def seen(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Say that whoever begins from now on sees what is to be kept: a writer may have begun after `declare` did, and looked before it ended."""
    state.execute(conn, "UPDATE entity_filter SET xid = pg_current_xact_id() WHERE tenant_id = %s AND NOT ready", [tenant_id])


def keep(conn: psycopg.Connection[Any], tenant_id: int) -> bool:
    """Keep the values of the entities that were there before; False where somebody still writes who began before `declare`: come again.

    Rows are held against deletion until the transaction ends, not against change: what a writer keeps meanwhile is newer and stays.
    """
    row = state.execute(conn, SETTLED, [tenant_id]).fetchone()
    assert row is not None
    if not row[1]:
        return False
    after = 0
    while ids := [each[0] for each in state.execute(conn, ENTITIES, [tenant_id, after, CHUNK])]:
        state.execute(conn, KEEP, [tenant_id, ids])
        after = ids[-1]
    state.execute(conn, "UPDATE entity_filter SET ready = true WHERE tenant_id = %s AND NOT ready", [tenant_id])
    return True
