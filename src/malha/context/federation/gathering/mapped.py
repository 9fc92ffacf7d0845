"""Entity maps over several sources: which entities answered and where each lies, kept for pages that stay the same (§5.5.14, §5.14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, entity_maps, query
from malha.context.broker.contracts import Asked, TooComplex
from malha.context.broker.door import Handler
from malha.context.broker.query import Asking, Mapped
from malha.context.federation.asking import conversation
from malha.context.federation.asking.answers import Told
from malha.context.federation.asking.conversation import Session
from malha.context.federation.gathering import behind, gather
from malha.context.federation.gathering.gather import MOST_ENTITIES, Plan
from malha.context.federation.registrations.registry import Diverted
from malha.context.store.contracts import EntityPage, Selector, StoredEntity
from malha.context.store.maps import EntityMap
from malha.kernel.text import msg

HERE = "@none"
#: entities that are asked for by their ids in one request to a source: an address has an end
TOGETHER = 50


async def question(request: Request, found: Diverted, handler: Handler) -> Response:
    """GET /entities and POST /entityOperations/query: a page of a map where one is asked for, which is made where it is not there."""
    if not entity_maps.meant(request):
        return await gather.question(request, found, handler)
    asking = await query.asking(request)
    session, plan, known = await _opened(request, found, asking)
    if not plan.shares:
        return await query.by_map(request, asking)
    if known is None:
        entities, one = await _made(session, plan, asking)
        entities = entities[plan.question.query.offset :][: plan.question.query.limit]
    else:
        one = known
        entities = await _still(session, plan, asking, known)
    page = EntityPage(entities, len(one.uris) if plan.question.count else None)
    joined = await behind.join(session, found, page.entities, plan.want, asking.source)
    return session.warn(query.written(request, page, plan.question, plan.want, joined, Mapped(one, known is None, len(one.uris))))


async def create(request: Request, found: Diverted, handler: Handler) -> Response:
    """GET /entityMaps: the map of a question, without the entities (§5.14.4)."""
    asking = await query.asking(request)
    session, plan, _ = await _opened(request, found, asking)
    if not plan.shares:
        return await handler(request)
    _, one = await _made(session, plan, asking)
    return session.warn(entity_maps.made(request, one))


async def _opened(request: Request, found: Diverted, asking: Asking) -> tuple[Session, Plan, EntityMap | None]:
    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, Plan, EntityMap | None]:
        session = conversation.opened(request, conn, who)
        return session, gather.planned(request, found, who, asking, session.alias), entity_maps.found(conn, who, request)

    return await door.look(request, look, asking.source)


async def _made(session: Session, plan: Plan, asking: Asking) -> tuple[list[StoredEntity], EntityMap]:
    """All entities that answer, and their map. Raises TooComplex where one place has more than are read for one question."""
    whole = _asking_for(plan, offset=0, limit=MOST_ENTITIES)
    own, told = await gather.said(session, whole, asking)
    if len(own.entities) >= MOST_ENTITIES or any(each.more for each in told):
        raise TooComplex(msg("A resposta tem mais de {most} entidades, que é o máximo de um mapa; restrinja a pergunta."), most=MOST_ENTITIES)
    entities = gather.assembled(session, whole, own, told).entities
    places = _places(own, told)
    uris = [entity.uri for entity in entities]

    def keep(conn: psycopg.Connection[Any], who: Asked) -> EntityMap:
        return entity_maps.kept(conn, who, session.request, uris, places={uri: places[uri] for uri in uris})

    return entities, await door.look(session.request, keep)


def _places(own: EntityPage, told: Sequence[Told]) -> dict[str, list[str]]:
    """Where each entity lies: here, and by the registrations of the sources that have a part of it."""
    places: dict[str, list[str]] = {entity.uri: [HERE] for entity in own.entities}
    for each in told:
        for raw in each.entities:
            if isinstance(uri := raw.get("id", raw.get("@id")), str):
                places.setdefault(uri, []).append(each.source.registration.uri)
    return places


async def _still(session: Session, plan: Plan, asking: Asking, known: EntityMap) -> list[StoredEntity]:
    """Those entities of the page of a map that answer still, each asked for only where it lies. The map stays as it is, and so do the pages after this one."""
    asked = plan.question.query
    left = [uri for uri in known.uris if not asked.uris or uri in asked.uris][asked.offset :][: asked.limit]
    found: dict[str, StoredEntity] = {}
    for start in range(0, len(left), TOGETHER):
        some = left[start : start + TOGETHER]
        there = {name for uri in some for name in known.places.get(uri, (HERE,))}
        shares = tuple(share for share in plan.shares if share.source.registration.uri in there)
        selectors = _selectors(asked.any_of, some)
        if asked.any_of and not selectors:
            continue
        part = replace(_asking_for(plan, uris=tuple(some), any_of=selectors, offset=0, limit=len(some)), shares=shares)
        own, told = await gather.said(session, part, asking)
        found |= {entity.uri: entity for entity in gather.assembled(session, part, own, told).entities}
    return [found[uri] for uri in left if uri in found]


def _asking_for(plan: Plan, **changed: Any) -> Plan:
    return replace(plan, question=replace(plan.question, query=replace(plan.question.query, **changed)))


def _selectors(asked: Sequence[Selector], uris: Sequence[str]) -> tuple[Selector, ...]:
    """The selectors of a question, of these entities only."""
    cut = [replace(one, uris=tuple(uri for uri in uris if not one.uris or uri in one.uris)) for one in asked]
    return tuple(one for one in cut if one.uris)
