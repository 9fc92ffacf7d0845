"""Read entities back: one by its URI, many by a question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from malha.context.store import filterable, limits, names, ordering, predicate, q, selections, shapes, state
from malha.context.store.contracts import AttributeUse, EntityNotFound, EntityPage, EntityQuery, PlacedEntity, Selector, StoredEntity, UnusableQuery
from malha.foundation.access import reach
from malha.foundation.access.contracts import BeyondReach
from malha.kernel.text import msg, normalise
from malha.kernel.time import now

COLUMNS = "e.id, e.tenant_id, e.uri, e.types, e.doc::text, e.geom, e.scopes, e.created_at, e.modified_at, e.expires_at, e.next_expiry"
#: what has ended is not there, whether or not the job has been (§4.22)
ALIVE = "(e.expires_at IS NULL OR e.expires_at > now())"
CHUNK = 500  # rows looked at in one go while shapes are checked
PATTERN_LENGTH = 512
ORDERED_LIMIT = 20_000


@dataclass(slots=True)
class _Condition:
    """A WHERE clause in the making; `empty` when nothing can match."""

    parts: list[str] = field(default_factory=list)
    params: list[object] = field(default_factory=list)
    empty: bool = False
    within: limits.Parts | None = None  # the reader's reach, where it is limited

    def add(self, part: str, *params: object) -> None:
        self.parts.append(part)
        self.params += params

    @property
    def text(self) -> str:
        return " AND ".join(self.parts)


def retrieve(conn: psycopg.Connection[Any], tenant_id: int, uri: str, *, lock: bool = False) -> StoredEntity:
    """The entity with that URI, with `lock` kept from other writers to the end of the transaction. Raises EntityNotFound."""
    kept = " FOR NO KEY UPDATE OF e" if lock else ""
    row = state.execute(conn, f"SELECT {COLUMNS} FROM entities e WHERE e.tenant_id = %s AND e.uri = %s AND {ALIVE}{kept}", [tenant_id, uri]).fetchone()
    found = _seen(_entities(conn, [row])) if row is not None else []
    if not found:
        raise EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
    return found[0]


def entity_of_row(conn: psycopg.Connection[Any], row: Sequence[Any]) -> StoredEntity:
    """The entity in a row of COLUMNS, for a reader without limits."""
    return _entities(conn, [tuple(row)])[0]


def exists(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> bool:
    """Whether the entity is there."""
    return state.execute(conn, f"SELECT 1 FROM entities e WHERE e.tenant_id = %s AND e.uri = %s AND {ALIVE}", [tenant_id, uri]).fetchone() is not None


def existing(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str]) -> set[str]:
    """Those of `uris` that are there."""
    return {
        row[0]
        for row in state.execute(conn, f"SELECT uri FROM entities e WHERE e.tenant_id = %s AND e.uri = ANY (%s::text[]) AND {ALIVE}", [tenant_id, list(uris)])
    }


def by_uris(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], *, lock: bool = False) -> dict[str, StoredEntity]:
    """The entities with those URIs that are there; with `lock` in the order of their URI, kept from other writers."""
    kept = " ORDER BY e.uri FOR NO KEY UPDATE OF e" if lock else ""
    rows = state.execute(
        conn, f"SELECT {COLUMNS} FROM entities e WHERE e.tenant_id = %s AND e.uri = ANY (%s::text[]) AND {ALIVE}{kept}", [tenant_id, list(uris)]
    ).fetchall()
    return {entity.uri: entity for entity in _seen(_entities(conn, rows))}


def _seen(entities: list[StoredEntity]) -> list[StoredEntity]:
    """Those within the reader's reach, as they may be seen, and noted as read."""
    within = reach.parts()
    if within is None:
        return entities
    found = [entity for one in entities if (entity := limits.seen(one, within)) is not None]
    for entity in found:
        reach.note((part for part in within if part.types is None or not part.types.isdisjoint(entity.types)), entity.types)
    return found


def query(conn: psycopg.Connection[Any], tenant_ids: Sequence[int], question: EntityQuery) -> EntityPage:
    """A page of the entities that `question` asks for, in order of id."""
    condition = where(conn, tenant_ids, question)
    if condition.empty:
        return EntityPage([], 0 if question.count else None)
    kept = filterable.kept(conn, tenant_ids[0], question) if len(tenant_ids) == 1 else None
    if kept is not None and condition.within is None and (page := _first(conn, kept, question, condition)) is not None:
        return page
    few = filterable.few(conn, kept) if kept is not None else None
    if few is not None:
        condition.add("e.id = ANY (%s::bigint[])", few)
    exact = shapes.filters(question)
    if exact or limits.exact(condition.within):
        return _refined(conn, question, condition, exact)
    total = None
    if question.count:
        total = filterable.count(conn, kept, condition.text, condition.params) if kept is not None and few is None and condition.within is None else None
        if total is None:
            row = state.execute(conn, f"SELECT count(*) FROM entities e WHERE {condition.text}", condition.params, prepare=False).fetchone()
            total = int(row[0]) if row else 0
    if question.limit <= 0:
        return EntityPage([], total)
    after = " AND e.id > %s" if question.after_id else ""
    order = ordering.clause(question.order)
    params = [*condition.params, *([question.after_id] if question.after_id else []), *order.params, question.limit, question.offset]
    statement = f"SELECT {COLUMNS} FROM entities e WHERE {condition.text}{after} ORDER BY {order.text} LIMIT %s OFFSET %s"
    rows = state.execute(conn, statement, params, prepare=False).fetchall()
    return EntityPage([seen for one in _entities(conn, rows) if (seen := limits.seen(one, condition.within)) is not None], total)


def _first(conn: psycopg.Connection[Any], kept: filterable.Kept, question: EntityQuery, condition: _Condition) -> EntityPage | None:
    """The page where the first entities that a kept value finds fill it, however many it finds; None where all have to be looked at."""
    first = filterable.enough(kept, question)
    found = filterable.few(conn, kept, first) if first else None
    if found is None:
        return None
    statement = f"SELECT {COLUMNS} FROM entities e WHERE {condition.text} AND e.id = ANY (%s::bigint[]) ORDER BY e.id LIMIT %s OFFSET %s"
    rows = state.execute(conn, statement, [*condition.params, found, question.limit, question.offset], prepare=False).fetchall()
    if len(rows) < question.limit and len(found) == first:  # some of them have ended
        return None
    return EntityPage(_entities(conn, rows), None)


def uris(conn: psycopg.Connection[Any], tenant_id: int, question: EntityQuery) -> list[str]:
    """Which entities `question` asks for, in its order, without pages but at most `question.limit`."""
    condition = where(conn, [tenant_id], question)
    if condition.empty:
        return []
    if shapes.filters(question) or limits.exact(condition.within):
        return [one.uri for one in query(conn, [tenant_id], replace(question, offset=0, count=False)).entities]
    order = ordering.clause(question.order)
    statement = f"SELECT e.uri FROM entities e WHERE {condition.text} ORDER BY {order.text} LIMIT %s"
    return [row[0] for row in state.execute(conn, statement, [*condition.params, *order.params, question.limit])]


def where(conn: psycopg.Connection[Any], tenant_ids: Sequence[int], question: EntityQuery) -> _Condition:
    """The condition on `entities e` for everything but exact shapes; one tenant is always named (data-plane 2)."""
    condition = _Condition()
    if len(tenant_ids) == 1:
        condition.add("e.tenant_id = %s", tenant_ids[0])
    else:
        condition.add("e.tenant_id = ANY (%s::bigint[])", list(tenant_ids))
    _by_type(conn, question, condition)
    if question.scope_selection:
        _by_scope(question.scope_selection, condition)
    _by_names(question, condition)
    condition.add(ALIVE)
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


def _by_names(question: EntityQuery, condition: _Condition) -> None:
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
        condition.add(predicate.compile_node(q.parse(question.q), params, predicate.Look(datasets=question.datasets)), *params)


def _asked(question: EntityQuery) -> set[str]:
    """The attributes that a question is about."""
    asked = set(question.attrs) | set(question.having) | (q.names(q.parse(question.q)) if question.q else set())
    asked |= {step.path[0] for step in question.order if step.path and step.path[0] not in {"id", "type", "scope", "createdAt", "modifiedAt", "expiresAt"}}
    if question.bbox is not None or question.near is not None or question.within is not None:
        asked.add("location")
    if question.geo is not None:
        asked.add(question.geo.attribute)
    return asked | ({"name"} if question.text.strip() else set())


def _by_type(conn: psycopg.Connection[Any], question: EntityQuery, condition: _Condition) -> None:
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


def _by_attributes(question: EntityQuery, condition: _Condition) -> None:
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


def _by_selectors(conn: psycopg.Connection[Any], selectors: Sequence[Selector], condition: _Condition) -> None:
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


def _by_scope(text: str, condition: _Condition) -> None:
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


def _refined(conn: psycopg.Connection[Any], question: EntityQuery, condition: _Condition, exact: list[shapes.GeoFilter]) -> EntityPage:
    """Walk in order of id, chunk by chunk, until the page is full, or to the end for an exact count."""
    if question.order:
        return _refined_in_order(conn, question, condition, exact)
    page: list[StoredEntity | tuple[Any, ...]] = []
    matched, after = 0, question.after_id
    while True:
        statement = f"SELECT {COLUMNS}, (e.bbox[0])[0], (e.bbox[0])[1] FROM entities e WHERE {condition.text} AND e.id > %s ORDER BY e.id LIMIT %s"
        rows = state.execute(conn, statement, [*condition.params, after, CHUNK], prepare=False).fetchall()
        known = _at_points(rows, exact) if condition.within is None else {}
        looked_at = {each.id: each for each in shapes.all_holding(_entities(conn, [row for row in rows if row[0] not in known]), exact)}
        for row in rows:
            one = (row if known[row[0]] else None) if row[0] in known else limits.seen(each, condition.within) if (each := looked_at.get(row[0])) else None
            if one is None:
                continue
            matched += 1
            if matched > question.offset and len(page) < question.limit:
                page.append(one)
        if len(rows) < CHUNK or (len(page) >= question.limit and not question.count):
            break
        after = rows[-1][0]
    read = iter(_entities(conn, [one for one in page if isinstance(one, tuple)]))
    return EntityPage([next(read) if isinstance(one, tuple) else one for one in page], matched if question.count else None)


def _at_points(rows: Sequence[tuple[Any, ...]], exact: Sequence[shapes.GeoFilter]) -> dict[int, bool]:
    """By id, whether rows that lie at one point stand in every relation: told by their box, without reading what they hold."""
    points = [row for row in rows if row[5] is None and row[10] is None and row[11] is not None]
    held = [True] * len(points)
    for one in exact:
        told = one.hold_at([row[11] for row in points], [row[12] for row in points]) if one.relation.attribute == "location" and points else None
        if told is None:
            return {}
        held = [before and now_ for before, now_ in zip(held, told, strict=True)]
    return {row[0]: holds for row, holds in zip(points, held, strict=True)}


def _refined_in_order(conn: psycopg.Connection[Any], question: EntityQuery, condition: _Condition, exact: list[shapes.GeoFilter]) -> EntityPage:
    """As `_refined` in an order of its own: looks at what the boxes let through, up to a limit. Raises UnusableQuery beyond it."""
    order = ordering.clause(question.order)
    statement = f"SELECT {COLUMNS} FROM entities e WHERE {condition.text} ORDER BY {order.text} LIMIT %s"
    rows = state.execute(conn, statement, [*condition.params, *order.params, ORDERED_LIMIT + 1]).fetchall()
    if len(rows) > ORDERED_LIMIT:
        raise UnusableQuery(msg("São entidades a mais para ordenar; restrinja a pergunta."))
    found = [seen for one in shapes.all_holding(_entities(conn, rows), exact) if (seen := limits.seen(one, condition.within)) is not None]
    return EntityPage(found[question.offset : question.offset + question.limit], len(found) if question.count else None)


def _entities(conn: psycopg.Connection[Any], rows: Sequence[tuple[Any, ...]]) -> list[StoredEntity]:
    types = names.names(conn, "entity_type", {id_ for row in rows for id_ in row[3]})
    return [_entity(row, types) for row in rows]


def _entity(row: tuple[Any, ...], types: dict[int, str]) -> StoredEntity:
    attributes = state.whole(row[4], row[5])
    if row[10] is not None:
        attributes = _living(attributes)
    location = attributes.get("location")
    if isinstance(location, list):
        location = location[0] if location else None
    place = location.get("value") if isinstance(location, dict) else None
    return StoredEntity(
        id=row[0], tenant_id=row[1], uri=row[2], types=tuple(types[id_] for id_ in row[3]), attributes=attributes,
        location=place if isinstance(place, dict) else None, created_at=row[7], modified_at=row[8], scopes=tuple(row[6] or ()), expires_at=row[9],
    )  # fmt: skip


def names_of_types(conn: psycopg.Connection[Any], ids: Sequence[int]) -> tuple[str, ...]:
    """The names of an entity's types, in its order."""
    found = names.names(conn, "entity_type", ids)
    return tuple(found[id_] for id_ in ids)


def _living(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes without instances that have ended."""
    moment = now()
    living: dict[str, Any] = {}
    for name, attribute in attributes.items():
        kept = [i for i in (attribute if isinstance(attribute, list) else [attribute]) if not ended(i, moment)]
        if kept:
            living[name] = kept[0] if len(kept) == 1 else kept
    return living


def ended(instance: Any, moment: datetime) -> bool:
    """Whether an instance of an attribute has an expiresAt that is not after `moment`."""
    text = instance.get("expiresAt") if isinstance(instance, dict) else None
    return isinstance(text, str) and datetime.fromisoformat(text) <= moment


def placed(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, box: tuple[float, float, float, float], limit: int) -> list[PlacedEntity]:
    """Entities of a type that meet a box, as a map draws them."""
    condition = where(conn, [tenant_id], EntityQuery(types=(entity_type,), bbox=box))
    if condition.empty:
        return []
    corners = "(e.bbox[1])[0], (e.bbox[1])[1], (e.bbox[0])[0], (e.bbox[0])[1]"
    statement = f"SELECT e.id, e.uri, e.doc::text, e.geom, {corners} FROM entities e WHERE {condition.text} LIMIT %s"
    rows = state.execute(conn, statement, [*condition.params, limit])
    found = [PlacedEntity(row[0], row[1], state.decode(row[2]), (row[4], row[5], row[6], row[7]), row[3]) for row in rows]
    return [seen for one in found if (seen := limits.placed(one, (entity_type,), condition.within)) is not None]


def fingerprint(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, box: tuple[float, float, float, float]) -> str:
    """How many entities of a type meet a box, and when the last of them changed."""
    condition = where(conn, [tenant_id], EntityQuery(types=(entity_type,), bbox=box))
    if condition.empty:
        return "0"
    statement = f"SELECT count(*), sum(e.id % 1000003), extract(epoch FROM max(e.modified_at)) FROM entities e WHERE {condition.text}".replace("% 1", "%% 1")
    row = state.execute(conn, statement, condition.params).fetchone()
    return "-".join(str(part or 0) for part in (*row, *filter(None, [reach.mark(condition.within)]))) if row else "0"


def types(conn: psycopg.Connection[Any], tenant_id: int) -> list[tuple[str, int, datetime]]:
    """Each type that the tenant has entities of: (type, how many, last change)."""
    statement = (
        "SELECT t.name, count(*), max(e.modified_at) FROM entities e JOIN entity_type t ON t.id = ANY (e.types) WHERE e.tenant_id = %s AND "
        + ALIVE
        + " GROUP BY t.name ORDER BY t.name"
    )
    within = reach.parts()
    if within is None:
        return [(row[0], row[1], row[2]) for row in state.execute(conn, statement, [tenant_id])]
    found = [(row[0], row[2]) for row in state.execute(conn, statement, [tenant_id]) if reach.parts((row[0],))]
    counted = [(name, query(conn, [tenant_id], EntityQuery(types=(name,), limit=0, count=True)).total or 0, changed) for name, changed in found]
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


USES = """
SELECT t.name, a.key, count(DISTINCT e.id), array_agg(DISTINCT i ->> 'type') FILTER (WHERE i ? 'type')
FROM entities e JOIN entity_type t ON t.id = ANY (e.types)
CROSS JOIN LATERAL jsonb_each(e.doc) a CROSS JOIN LATERAL jsonb_path_query(a.value, '$[*]') i
WHERE e.tenant_id = %(tenant)s AND {which} GROUP BY t.name, a.key ORDER BY t.name, a.key
"""


def attribute_uses(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, name: str) -> list[AttributeUse]:
    """Which attributes entities of which types have now; reads them all, or those of one type, or those with one attribute."""
    if reach.parts() is not None:
        return _uses_within_reach(conn, tenant_id, entity_type, name)
    which = [ALIVE, *(["t.name = %(type)s"] if entity_type else []), *(["e.doc ? %(name)s AND a.key = %(name)s"] if name else [])]
    rows = state.execute(conn, USES.format(which=" AND ".join(which)), {"tenant": tenant_id, "type": entity_type, "name": name})
    return [AttributeUse(row[0], row[1], row[2], tuple(row[3] or ())) for row in rows]


def _uses_within_reach(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, name: str) -> list[AttributeUse]:
    """As `attribute_uses`, counted from what a limited reader may see."""
    counted: dict[tuple[str, str], tuple[int, set[str]]] = {}
    question = EntityQuery(types=(entity_type,) if entity_type else (), attrs=(name,) if name else (), limit=CHUNK)
    while page := query(conn, [tenant_id], question).entities:
        for entity in page:
            for key, attribute in entity.attributes.items():
                kinds = {str(i.get("type")) for i in (attribute if isinstance(attribute, list) else [attribute]) if isinstance(i, dict)}
                for kind in entity.types:
                    if (not entity_type or kind == entity_type) and (not name or key == name):
                        number, known = counted.get((kind, key), (0, set()))
                        counted[kind, key] = (number + 1, known | kinds)
        question = replace(question, after_id=page[-1].id)
    return [AttributeUse(kind, key, number, tuple(sorted(kinds))) for (kind, key), (number, kinds) in sorted(counted.items())]


def attribute_names(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str) -> set[str]:
    """The names of the attributes that entities of the type have now; reads them all."""
    ids = list(names.existing(conn, "entity_type", [entity_type]).values())
    statement = "SELECT DISTINCT k FROM entities e, jsonb_object_keys(e.doc) k WHERE e.tenant_id = %s AND (e.type_id = %s OR (cardinality(e.types) > 1 AND %s = ANY (e.types)))"
    found = {row[0] for row in state.execute(conn, statement, [tenant_id, ids[0], ids[0]])} if ids else set()
    within = reach.parts((entity_type,))
    shown = reach.allowed(within, (entity_type,)) if within is not None else None
    return found if shown is None else found & shown
