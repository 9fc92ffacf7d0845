"""What was true before: instances given for the past, and instances that are taken out of history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from malha.context.store import announce, documents, names, predicate, q, shapes, state
from malha.context.store.cells import canonical, observed
from malha.context.store.contracts import ENDED_AS_OBSERVED as OBSERVED
from malha.context.store.contracts import MEMBER, EntityQuery, InstanceKey, ObservationKind, Operation, PastInstance, StoredEntity, WriteOptions
from malha.kernel.time import format_instant, now

NULL = "urn:ngsi-ld:null"


def record(conn: psycopg.Connection[Any], tenant_id: int, entity: StoredEntity, past: Sequence[PastInstance], options: WriteOptions) -> int:
    """Add instances to the history of one entity; what it is now stays. Returns how many were new or corrected."""
    if not past:
        return 0
    types = names.numbers(conn, "entity_type", [entity.types[0]])
    attributes = names.numbers(conn, "attribute", {one.attribute for one in past})
    units = names.numbers(conn, "unit", {one.instance["unitCode"] for one in past if one.instance.get("unitCode")})
    datasets = names.numbers(conn, "attribute_dataset", {one.instance["datasetId"] for one in past if one.instance.get("datasetId")})
    rows = []
    for one in past:
        kind, num, txt, operation = _told(one)
        rows.append(
            state.Observation(
                types[entity.types[0]],
                entity.id,
                attributes[one.attribute],
                format_instant(one.at),
                kind,
                num,
                txt,
                unit_id=units.get(one.instance.get("unitCode", "")),
                dataset_id=datasets.get(one.instance.get("datasetId", ""), 0),
                op=operation,
            )
        )
    return _append(conn, tenant_id, entity, rows, sorted(attributes), [one.at for one in past], options)


def _told(one: PastInstance) -> tuple[int, float | None, str | None, Operation]:
    """What history keeps of an instance; the value that stands for nothing says that the attribute ended there (§4.5.7)."""
    documents.check_instance(one.attribute, one.instance)
    value = one.instance[MEMBER[one.instance["type"]]]
    if value == NULL:
        dated = OBSERVED if "observedAt" in one.instance else None
        return documents.ENDED.get(one.instance["type"], ObservationKind.NUMBER), None, dated, Operation.DELETED
    return *observed(one.instance["type"], value), Operation.VALUE


def hide(conn: psycopg.Connection[Any], tenant_id: int, entity: StoredEntity, keys: Sequence[InstanceKey], options: WriteOptions) -> int:
    """Take instances out of the history of one entity. Returns how many."""
    if not keys:
        return 0
    types = names.numbers(conn, "entity_type", [entity.types[0]])
    attributes = names.numbers(conn, "attribute", {key.attribute for key in keys})
    rows = [
        state.Observation(types[entity.types[0]], entity.id, attributes[key.attribute], format_instant(key.at), 0, None, None, dataset_id=key.dataset_id, op=Operation.HIDDEN)
        for key in keys
    ]  # fmt: skip
    return _append(conn, tenant_id, entity, rows, sorted(attributes), [key.at for key in keys], options)


def _append(
    conn: psycopg.Connection[Any], tenant_id: int, entity: StoredEntity, rows: list[state.Observation], attributes: list[str],
    instants: list[datetime], options: WriteOptions,
) -> int:  # fmt: skip
    keys = [(row.entity_id, row.attr_id, row.dataset_id, row.observed_at) for row in rows]
    known = state.known(conn, tenant_id, keys)
    fresh = [row for n, row in enumerate(rows) if known.get(n) != (row.num, row.txt, row.unit_id, row.op)]
    if fresh:
        documents.mark_corrections(fresh, {keys[n] for n in known}, now())
        state.observe(conn, tenant_id, options.run_id, fresh)
        announce.changed(conn, tenant_id, entity.types[0], [entity.id], attributes, min(instants), max(instants), options)
    return len(fresh)


def answering(conn: psycopg.Connection[Any], found: Mapping[int, Mapping[str, Sequence[Mapping[str, Any]]]], question: EntityQuery) -> set[int]:
    """Those of the entities whose instances (by id and attribute) answer the `q` and the places of `question`."""
    kept = set(found)
    for one in shapes.filters(question):
        places = {
            id_: (shapes.shape_of({one.relation.attribute: i}, one.relation.attribute) for i in found[id_].get(one.relation.attribute, ())) for id_ in kept
        }
        kept = {id_ for id_, these in places.items() if any(shape is not None and one.holds(shape) for shape in these)}
    if not question.q or not kept:
        return kept
    params: list[object] = [list(kept), [canonical(found[id_]) for id_ in kept]]
    condition = predicate.compile_node(q.parse(question.q), params)
    statement = f"""SELECT e.id FROM (SELECT n.id, n.doc::jsonb AS doc, NULL::timestamptz AS created_at, NULL::timestamptz AS modified_at
        FROM unnest(%s::bigint[], %s::text[]) AS n (id, doc)) AS e WHERE {condition}"""
    return {row[0] for row in state.execute(conn, statement, params)}
