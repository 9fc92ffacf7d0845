"""How entities evolved, as a snapshot keeps it (GS CIM 009 §5.2.41, §5.16.1.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from malha.context.broker import door, pool
from malha.context.broker.contracts import BadRequestData, TooComplex
from malha.context.snapshots.contracts import Evolved, Told
from malha.history.temporal import consumption, evolution, temporal_query
from malha.history.temporal.contracts import EvolutionQuery, Instance, TimeProperty
from malha.kernel.text import msg

#: entities of one temporal question of a snapshot
MOST = 5_000
_TOO_MANY = msg("São valores a mais para um instantâneo; peça menos entidades, menos atributos, um período mais curto ou lastN.")


async def found(request: Request, source: Any, query: Mapping[str, Any]) -> Sequence[Evolved]:
    """What one of snapshotTemporalQueries gives: entities of this broker's own, each with every instance of the period, for whoever made the snapshot.

    Aggregates are worked out inside, of what was kept. Raises BadRequestData, and TooComplex for more than one answer holds.
    """
    if "aggrParams" in query or not isinstance(query.get("temporalQ"), dict) or "aggrMethods" in query["temporalQ"]:
        raise BadRequestData(msg("Cada uma de “snapshotTemporalQueries” diz o período em “temporalQ”; agregados pedem-se dentro do instantâneo."))
    context = await door.read(request, lambda _conn, who: who.context, source)
    asking, question, _ = await consumption.understood(request, temporal_query.of_body(query["temporalQ"]), (dict(query), context))
    if question is None:
        return ()
    whole = replace(question, offset=0, limit=MOST)

    def work() -> Sequence[Evolved]:
        page, _, more = consumption.page_of(asking, whole, False, order="")
        if more:
            raise TooComplex(_TOO_MANY)
        asked, _ = asking.scoped(page)
        told = _instances(asking.who.tenant_id, asked)
        if asked.by is TimeProperty.OBSERVED:  # where they ended, for timeproperty=deletedAt
            told += _instances(asking.who.tenant_id, replace(asked, by=TimeProperty.DELETED, ended=False))
        by_entity: dict[int, dict[tuple[object, ...], Told]] = {}
        for one in told:
            by_entity.setdefault(one.entity_id, {})[one.attribute, one.dataset_id, one.at, one.operation] = _told(one)
        return [Evolved(one, tuple(by_entity.get(one.id, {}).values())) for one in page]

    return await pool.run(work)


def _instances(tenant_id: int, asked: EvolutionQuery) -> list[Instance]:
    read = evolution.read(tenant_id, asked)
    if read.cut_at is not None:
        raise TooComplex(_TOO_MANY)
    return [one for entity in read.by_entity.values() for these in entity.values() for one in these]


def _told(one: Instance) -> Told:
    return Told(one.attribute, one.dataset_id, one.at, one.received_at, one.kind, one.operation, one.number, one.text, one.unit)
