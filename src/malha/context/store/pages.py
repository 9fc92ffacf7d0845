"""Pages of the entities that answer a question, their total, and those that a map draws."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from malha.context.store import columns, conditions, filterable, limits, ordering, records, shapes, state
from malha.context.store.contracts import EntityPage, EntityQuery, PlacedEntity, StoredEntity, UnusableQuery
from malha.foundation.access import reach
from malha.kernel.text import msg

CHUNK = 500  # rows looked at in one go while shapes are checked
ORDERED_LIMIT = 20_000
FEW = 5_000  # points looked at in one go


def query(conn: psycopg.Connection[Any], tenant_ids: Sequence[int], question: EntityQuery) -> EntityPage:
    """A page of the entities that `question` asks for, in order of id."""
    condition = conditions.where(conn, tenant_ids, question)
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
        return _at_few_points(conn, question, condition, exact) or _refined(conn, question, condition, exact)
    total = None
    if question.count:
        total = filterable.count(conn, kept, condition.text, condition.params) if kept is not None and few is None and condition.within is None else None
        if total is None:
            total = _counted(conn, tenant_ids, question, condition)
    if question.limit <= 0:
        return EntityPage([], total)
    after = " AND e.id > %s" if question.after_id else ""
    order = ordering.clause(question.order)
    params = [*condition.params, *([question.after_id] if question.after_id else []), *order.params, question.limit, question.offset]
    statement = f"SELECT {records.COLUMNS} FROM entities e WHERE {condition.text}{after} ORDER BY {order.text} LIMIT %s OFFSET %s"
    rows = state.execute(conn, statement, params, prepare=False).fetchall()
    return EntityPage([seen for one in records.entities(conn, rows) if (seen := limits.seen(one, condition.within)) is not None], total)


def _counted(conn: psycopg.Connection[Any], tenant_ids: Sequence[int], question: EntityQuery, condition: conditions.Condition) -> int:
    """How many there are, by what is kept in memory where that tells; what takes long is noted, so that it does the next time.

    Where it finds few, the page is looked for among them alone.
    """
    asked = columns.asked(conn, tenant_ids[0], question) if len(tenant_ids) == 1 and condition.within is None else None
    if asked is None:
        return _walked(conn, condition)
    if (counted := columns.count(conn, asked, condition)) is None:
        begun = time.perf_counter()
        total = _walked(conn, condition)
        columns.note(asked, time.perf_counter() - begun)
        return total
    if counted.among is not None:
        condition.add("e.id = ANY (%s::bigint[])", counted.among)
    return counted.total


def _walked(conn: psycopg.Connection[Any], condition: conditions.Condition) -> int:
    """All, less those that have ended, which are few and have an index. To ask each for its end would take a fifth of the time."""
    statement = (
        f"SELECT (SELECT count(*) FROM entities e WHERE {condition.ended_too}) - "
        f"(SELECT count(*) FROM entities e WHERE {condition.ended_too} AND e.next_expiry <= now() AND e.expires_at <= now())"
    )
    row = state.execute(conn, statement, [*condition.params, *condition.params], prepare=False).fetchone()
    return int(row[0]) if row else 0


def _first(conn: psycopg.Connection[Any], kept: filterable.Kept, question: EntityQuery, condition: conditions.Condition) -> EntityPage | None:
    """The page where the first entities that a kept value finds fill it, however many it finds; None where all have to be looked at."""
    first = filterable.enough(kept, question)
    found = filterable.few(conn, kept, first) if first else None
    if found is None:
        return None
    statement = f"SELECT {records.COLUMNS} FROM entities e WHERE {condition.text} AND e.id = ANY (%s::bigint[]) ORDER BY e.id LIMIT %s OFFSET %s"
    rows = state.execute(conn, statement, [*condition.params, found, question.limit, question.offset], prepare=False).fetchall()
    if len(rows) < question.limit and len(found) == first:  # some of them have ended
        return None
    return EntityPage(records.entities(conn, rows), None)


def uris(conn: psycopg.Connection[Any], tenant_id: int, question: EntityQuery) -> list[str]:
    """Which entities `question` asks for, in its order, without pages but at most `question.limit`."""
    condition = conditions.where(conn, [tenant_id], question)
    if condition.empty:
        return []
    if shapes.filters(question) or limits.exact(condition.within):
        return [one.uri for one in query(conn, [tenant_id], replace(question, offset=0, count=False)).entities]
    order = ordering.clause(question.order)
    statement = f"SELECT e.uri FROM entities e WHERE {condition.text} ORDER BY {order.text} LIMIT %s"
    return [row[0] for row in state.execute(conn, statement, [*condition.params, *order.params, question.limit])]


def _refined(conn: psycopg.Connection[Any], question: EntityQuery, condition: conditions.Condition, exact: list[shapes.GeoFilter]) -> EntityPage:
    """Walk in order of id, chunk by chunk, until the page is full, or to the end for an exact count."""
    if question.order:
        return _refined_in_order(conn, question, condition, exact)
    page: list[StoredEntity | tuple[Any, ...]] = []
    matched, after = 0, question.after_id
    while True:
        statement = f"SELECT {records.COLUMNS}, (e.bbox[0])[0], (e.bbox[0])[1] FROM entities e WHERE {condition.text} AND e.id > %s ORDER BY e.id LIMIT %s"
        rows = state.execute(conn, statement, [*condition.params, after, CHUNK], prepare=False).fetchall()
        known = _at_points(rows, exact) if condition.within is None else {}
        looked_at = {each.id: each for each in shapes.all_holding(records.entities(conn, [row for row in rows if row[0] not in known]), exact)}
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
    read = iter(records.entities(conn, [one for one in page if isinstance(one, tuple)]))
    return EntityPage([next(read) if isinstance(one, tuple) else one for one in page], matched if question.count else None)


def _at_points(rows: Sequence[tuple[Any, ...]], exact: Sequence[shapes.GeoFilter]) -> dict[int, bool]:
    """By id, whether rows that lie at one point stand in every relation: told by their box, without reading what they hold."""
    points = [row for row in rows if row[5] is None and row[10] is None and row[11] is not None]
    held = _held([row[11] for row in points], [row[12] for row in points], exact) if points else None
    return {} if held is None else {row[0]: holds for row, holds in zip(points, held, strict=True)}


def _held(lons: Sequence[float], lats: Sequence[float], exact: Sequence[shapes.GeoFilter]) -> Sequence[bool] | None:
    """Which of these points stand in every relation; None where each has to be looked at as a shape."""
    if any(one.relation.attribute != "location" for one in exact):
        return None
    each = [one.hold_at(lons, lats) for one in exact]
    told = [one for one in each if one is not None]
    return [all(one) for one in zip(*told, strict=True)] if told and len(told) == len(each) else None


def _at_few_points(
    conn: psycopg.Connection[Any], question: EntityQuery, condition: conditions.Condition, exact: Sequence[shapes.GeoFilter]
) -> EntityPage | None:  # fmt: skip
    """The page where the boxes let few through and all of them lie at points: those are told apart before any document is read; else None.

    Without an order of its own: the planner knows not how many lie in a box, and would rather walk over all entities by their id.
    """
    if question.order or condition.within is not None or all(one.box is None for one in exact) or _held([0.0], [0.0], exact) is None:
        return None
    after = " AND e.id > %s" if question.after_id else ""
    params = [*condition.params, *([question.after_id] if question.after_id else [])]
    where = "e.geom IS NULL AND e.next_expiry IS NULL, (e.bbox[0])[0], (e.bbox[0])[1]"
    rows = state.execute(conn, f"SELECT e.id, {where} FROM entities e WHERE {condition.text}{after} LIMIT {FEW + 1}", params, prepare=False).fetchall()
    if len(rows) > FEW or not all(row[1] for row in rows):
        return None
    held = _held([row[2] for row in rows], [row[3] for row in rows], exact) or ()
    ids = sorted(row[0] for row, holds in zip(rows, held, strict=True) if holds)
    page = ids[question.offset : question.offset + question.limit]
    statement = f"SELECT {records.COLUMNS} FROM entities e WHERE {condition.text} AND e.id = ANY (%s::bigint[]) ORDER BY e.id"
    found = state.execute(conn, statement, [*condition.params, page], prepare=False).fetchall() if page else []
    return EntityPage(records.entities(conn, found), len(ids) if question.count else None)


def _refined_in_order(conn: psycopg.Connection[Any], question: EntityQuery, condition: conditions.Condition, exact: list[shapes.GeoFilter]) -> EntityPage:
    """As `_refined` in an order of its own: looks at what the boxes let through, up to a limit. Raises UnusableQuery beyond it."""
    order = ordering.clause(question.order)
    statement = f"SELECT {records.COLUMNS} FROM entities e WHERE {condition.text} ORDER BY {order.text} LIMIT %s"
    rows = state.execute(conn, statement, [*condition.params, *order.params, ORDERED_LIMIT + 1]).fetchall()
    if len(rows) > ORDERED_LIMIT:
        raise UnusableQuery(msg("São entidades a mais para ordenar; restrinja a pergunta."))
    found = [seen for one in shapes.all_holding(records.entities(conn, rows), exact) if (seen := limits.seen(one, condition.within)) is not None]
    return EntityPage(found[question.offset : question.offset + question.limit], len(found) if question.count else None)


def placed(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, box: tuple[float, float, float, float], limit: int) -> list[PlacedEntity]:
    """Entities of a type that meet a box, as a map draws them."""
    condition = conditions.where(conn, [tenant_id], EntityQuery(types=(entity_type,), bbox=box))
    if condition.empty:
        return []
    corners = "(e.bbox[1])[0], (e.bbox[1])[1], (e.bbox[0])[0], (e.bbox[0])[1]"
    statement = f"SELECT e.id, e.uri, e.doc::text, e.geom, {corners} FROM entities e WHERE {condition.text} LIMIT %s"
    rows = state.execute(conn, statement, [*condition.params, limit])
    found = [PlacedEntity(row[0], row[1], state.decode(row[2]), (row[4], row[5], row[6], row[7]), row[3]) for row in rows]
    return [seen for one in found if (seen := limits.placed(one, (entity_type,), condition.within)) is not None]


def fingerprint(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, box: tuple[float, float, float, float]) -> str:
    """How many entities of a type meet a box, and when the last of them changed."""
    condition = conditions.where(conn, [tenant_id], EntityQuery(types=(entity_type,), bbox=box))
    if condition.empty:
        return "0"
    statement = f"SELECT count(*), sum(e.id % 1000003), extract(epoch FROM max(e.modified_at)) FROM entities e WHERE {condition.text}".replace("% 1", "%% 1")
    row = state.execute(conn, statement, condition.params).fetchone()
    return "-".join(str(part or 0) for part in (*row, *filter(None, [reach.mark(condition.within)]))) if row else "0"
