"""The scopes of an entity as a history: written as instances of a Property, and asked for (GS CIM 009 §4.5.6, §4.18, §5.7.4.4, annex C.5.16)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from malha.context.broker import reading
from malha.context.broker.contracts import BadRequestData
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, Operation, PastInstance, StoredEntity
from malha.history.temporal import evolution, rendering
from malha.history.temporal.contracts import EvolutionQuery, Instance, TimeProperty
from malha.history.temporal.rendering import SCOPE
from malha.history.temporal.temporal_query import BEGINNING
from malha.kernel.text import msg

#: a scope holds until another takes its place
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)

type Stretch = tuple[int, datetime, datetime]


def given(value: Any) -> bool:
    """Whether what a payload says of the scope is a history of it (§4.5.6), and not the scopes of now."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))


def split(
    conn: psycopg.Connection[Any], doc: EntityDocument, there: StoredEntity | None, value: Any, instant: Callable[[Mapping[str, Any], int], datetime]
) -> tuple[EntityDocument, list[PastInstance]]:
    """The document with the newest of the scopes in `value` as the present, where nothing newer is known; and the others for history.

    `there` is the entity where it exists. Raises BadRequestData for what is no history of scopes.
    """
    listed = value if isinstance(value, list) else [value]
    past = [PastInstance(SCOPE, instant(each, n), said) for n, (each, said) in enumerate((each, instance(each)) for each in listed)]
    newest = max(past, key=lambda one: one.at)
    if there is not None and _newest(conn, there) > newest.at:
        return doc, past
    return present(doc, newest), past


def present(doc: EntityDocument, one: PastInstance) -> EntityDocument:
    """The document with an instance of the scope as the present."""
    value = one.instance["value"]
    if value == rendering.NULL:
        return replace(doc, gone=doc.gone | {SCOPE}, scopes_at=one.at)
    return replace(doc, scopes=tuple(value) if isinstance(value, list) else (value,), scopes_at=one.at)


def instance(found: Any) -> dict[str, Any]:
    """One instance of the scope, as the Property that it is; its value is a text, a list of several, or what stands for none."""
    if not isinstance(found, dict) or found.get("type", "Property") != "Property" or "value" not in found:
        raise BadRequestData(msg("Cada instância do “scope” é um objeto com type “Property” e value, um texto ou uma lista de textos."))
    value = found["value"]
    if value in (rendering.NULL, [rendering.NULL], []):
        return {"type": "Property", "value": rendering.NULL}
    scopes = reading.scopes(value)
    return {"type": "Property", "value": scopes[0] if len(scopes) == 1 else list(scopes)}


def _newest(conn: psycopg.Connection[Any], entity: StoredEntity) -> datetime:
    """The instant of the newest that is known of an entity's scopes, in the transaction of `conn`."""

    def work(reader: evolution.Reading, found: str, given: dict[str, object]) -> list[Any]:
        return reader.execute(f"{found} SELECT max(told_at) FROM found", given).fetchall()

    every = EvolutionQuery((entity.id,), BEGINNING, _FOREVER, attributes=(SCOPE,))
    known = [evolution.through(conn, entity.tenant_id, replace(every, by=by), work)[0][0] for by in (TimeProperty.OBSERVED, TimeProperty.DELETED)]
    return max((at for at in known if at is not None), default=entity.created_at if entity.scopes else BEGINNING)


def bounded(tenant_id: int, found: Sequence[StoredEntity], query: EvolutionQuery, selection: str) -> tuple[EvolutionQuery, dict[int, list[Instance]]]:
    """The question about only the stretches in which the entities were of `selection`; and the scopes that held in its period.

    A scope holds from its instant to that of the next one, or to its end. Raises UnusableQuery.
    """
    holds = store.scope_test(selection)
    stretches: list[Stretch] = []
    held: dict[int, list[Instance]] = {}
    history = _history(tenant_id, query)
    for entity_id, told in history.items():
        for one, until in zip(told, [*(next_.at for next_ in told[1:]), _FOREVER], strict=True):
            if one.operation == Operation.VALUE and holds(_scopes(one)):
                stretches.append((entity_id, one.at, until))
                if query.by is not TimeProperty.OBSERVED or (one.at < query.end and until > query.start):
                    held.setdefault(entity_id, []).append(one)
    stretches += [(one.id, one.created_at, _FOREVER) for one in found if one.id not in history and one.scopes and holds(one.scopes)]
    kept = {id_ for id_, _, _ in stretches}
    return replace(query, entity_ids=tuple(id_ for id_ in query.entity_ids if id_ in kept), within=tuple(stretches)), held


def shown(query: EvolutionQuery) -> bool:
    """Whether the question has the scope in its answer."""
    return SCOPE in query.attributes if query.attributes else SCOPE not in query.without


def _history(tenant_id: int, query: EvolutionQuery) -> dict[int, list[Instance]]:
    """Every scope of the entities and every end of one, in order."""
    every = replace(query, start=BEGINNING, end=_FOREVER, attributes=(SCOPE,), without=(), datasets=None, last_n=None, most=evolution.MOST_ROWS)
    out: dict[int, list[Instance]] = {}
    for by in (TimeProperty.OBSERVED, TimeProperty.DELETED):
        for entity_id, told in evolution.read(tenant_id, replace(every, by=by)).by_entity.items():
            out.setdefault(entity_id, []).extend(told[SCOPE])
    return {entity_id: sorted(told, key=lambda one: one.at) for entity_id, told in out.items()}


def _scopes(one: Instance) -> list[str]:
    value = rendering.value_of(one)
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
