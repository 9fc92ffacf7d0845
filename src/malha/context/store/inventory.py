"""Which types and attributes a tenant has, and how many entities of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from malha.context.store import names, pages, records, state
from malha.context.store.contracts import AttributeUse, EntityQuery, StoredEntity
from malha.foundation.access import reach

USES = """
SELECT t.name, a.key, count(DISTINCT e.id), array_agg(DISTINCT i ->> 'type') FILTER (WHERE i ? 'type')
FROM entities e JOIN entity_type t ON t.id = ANY (e.types)
CROSS JOIN LATERAL jsonb_each(e.doc) a CROSS JOIN LATERAL jsonb_path_query(a.value, '$[*]') i
WHERE e.tenant_id = %(tenant)s AND {which} GROUP BY t.name, a.key ORDER BY t.name, a.key
"""


def types(conn: psycopg.Connection[Any], tenant_id: int) -> list[tuple[str, int, datetime]]:
    """Each type that the tenant has entities of: (type, how many, last change)."""
    statement = (
        "SELECT t.name, count(*), max(e.modified_at) FROM entities e JOIN entity_type t ON t.id = ANY (e.types) WHERE e.tenant_id = %s AND "
        + records.ALIVE
        + " GROUP BY t.name ORDER BY t.name"
    )
    within = reach.parts()
    if within is None:
        return [(row[0], row[1], row[2]) for row in state.execute(conn, statement, [tenant_id])]
    found = [(row[0], row[2]) for row in state.execute(conn, statement, [tenant_id]) if reach.parts((row[0],))]
    counted = [(name, pages.query(conn, [tenant_id], EntityQuery(types=(name,), limit=0, count=True)).total or 0, changed) for name, changed in found]
    return [one for one in counted if one[1]]


def holds_anything(conn: psycopg.Connection[Any], tenant_id: int) -> bool:
    """Whether the tenant has an entity at all."""
    return state.execute(conn, "SELECT 1 FROM entities e WHERE e.tenant_id = %s LIMIT 1", [tenant_id]).fetchone() is not None


def type_names(conn: psycopg.Connection[Any], tenant_id: int) -> list[str]:
    """Each type that the tenant has entities of: one jump through the index a type, not a look at each entity."""
    statement = """
    WITH RECURSIVE first AS (
        (SELECT e.type_id FROM entities e WHERE e.tenant_id = %(tenant)s ORDER BY e.type_id LIMIT 1)
        UNION ALL
        SELECT (SELECT e.type_id FROM entities e WHERE e.tenant_id = %(tenant)s AND e.type_id > f.type_id ORDER BY e.type_id LIMIT 1) FROM first f WHERE f.type_id IS NOT NULL
    )
    SELECT t.name FROM entity_type t WHERE t.id IN (
        SELECT type_id FROM first UNION SELECT unnest(e.types) FROM entities e WHERE e.tenant_id = %(tenant)s AND cardinality(e.types) > 1
    ) ORDER BY t.name"""
    with conn.cursor(row_factory=tuple_row) as cursor:
        return [row[0] for row in cursor.execute(statement, {"tenant": tenant_id})]


def attribute_uses(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, name: str) -> list[AttributeUse]:
    """Which attributes entities of which types have now; reads them all, or those of one type, or those with one attribute."""
    if reach.parts() is not None:
        return _uses_within_reach(conn, tenant_id, entity_type, name)
    which = [records.ALIVE, *(["t.name = %(type)s"] if entity_type else []), *(["e.doc ? %(name)s AND a.key = %(name)s"] if name else [])]
    rows = state.execute(conn, USES.format(which=" AND ".join(which)), {"tenant": tenant_id, "type": entity_type, "name": name})
    return [AttributeUse(row[0], row[1], row[2], tuple(row[3] or ())) for row in rows]


def _uses_within_reach(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, name: str) -> list[AttributeUse]:
    """As `attribute_uses`, counted from what a limited reader may see."""
    counted: dict[tuple[str, str], tuple[int, set[str]]] = {}
    question = EntityQuery(types=(entity_type,) if entity_type else (), attrs=(name,) if name else (), limit=pages.CHUNK)
    while page := pages.query(conn, [tenant_id], question).entities:
        _count(counted, page, entity_type, name)
        question = replace(question, after_id=page[-1].id)
    return _uses(counted)


def uses_of(entities: Iterable[StoredEntity], entity_type: str, name: str) -> list[AttributeUse]:
    """As `attribute_uses`, of these entities."""
    counted: dict[tuple[str, str], tuple[int, set[str]]] = {}
    _count(counted, entities, entity_type, name)
    return _uses(counted)


def _count(counted: dict[tuple[str, str], tuple[int, set[str]]], entities: Iterable[StoredEntity], entity_type: str, name: str) -> None:
    for entity in entities:
        for key, attribute in entity.attributes.items():
            kinds = {str(i.get("type")) for i in (attribute if isinstance(attribute, list) else [attribute]) if isinstance(i, dict)}
            for kind in entity.types:
                if (not entity_type or kind == entity_type) and (not name or key == name):
                    number, known = counted.get((kind, key), (0, set()))
                    counted[kind, key] = (number + 1, known | kinds)


def _uses(counted: dict[tuple[str, str], tuple[int, set[str]]]) -> list[AttributeUse]:
    return [AttributeUse(kind, key, number, tuple(sorted(kinds))) for (kind, key), (number, kinds) in sorted(counted.items())]


def attribute_names(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str) -> set[str]:
    """The names of the attributes that entities of the type have now; reads them all."""
    ids = list(names.existing(conn, "entity_type", [entity_type]).values())
    statement = "SELECT DISTINCT k FROM entities e, jsonb_object_keys(e.doc) k WHERE e.tenant_id = %s AND (e.type_id = %s OR (cardinality(e.types) > 1 AND %s = ANY (e.types)))"
    found = {row[0] for row in state.execute(conn, statement, [tenant_id, ids[0], ids[0]])} if ids else set()
    within = reach.parts((entity_type,))
    shown = reach.allowed(within, (entity_type,)) if within is not None else None
    return found if shown is None else found & shown
