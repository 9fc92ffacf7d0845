"""Entity maps over several sources: which entities answered and where each lies, kept for pages that stay the same (§5.5.14, §5.14)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import attributes, door, entities, entity_maps, query, questions
from malha.context.broker.contracts import Asked, TooComplex
from malha.context.broker.door import Handler
from malha.context.broker.query import Asking, Mapped
from malha.context.federation.asking import answers, conversation, forms
from malha.context.federation.asking.answers import Told
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.gathering import behind, gather, linking
from malha.context.federation.gathering.gather import MOST_ENTITIES, Plan
from malha.context.federation.gathering.linking import Links
from malha.context.federation.registrations.matching import Share
from malha.context.federation.registrations.registry import Diverted
from malha.context.store import maps
from malha.context.store import service as store
from malha.context.store.contracts import EntityPage, Selector, StoredEntity
from malha.context.store.maps import EntityMap
from malha.kernel.text import msg
from malha.kernel.time import format_instant

HERE = "@none"
#: entities that are asked for by their ids in one request to a source: an address has an end
TOGETHER = 50


async def question(request: Request, found: Diverted, _handler: Handler) -> Response:
    """GET /entities and POST /entityOperations/query: a page of a map where one is asked for, which is made where it is not there."""
    asking = await query.asking(request)
    if not entity_maps.meant(request):
        return await gather.question(request, found, asking)
    session, plan, known = await _opened(request, found, asking)
    if not plan.shares:
        return await query.by_map(request, asking)
    if known is None:
        read, one = await _made(session, plan, asking)
        read = read[plan.question.query.offset :][: plan.question.query.limit]
    else:
        one = known
        read = await _still(session, plan, asking, known)
    page = EntityPage(read, len(one.uris) if plan.question.count else None)
    joined = await behind.join(session, found, page.entities, plan.want, asking.source)
    return session.warn(query.written(request, page, plan.question, plan.want, joined, Mapped(one, known is None, len(one.uris))))


async def retrieve(request: Request, found: Diverted, handler: Handler) -> Response:
    """GET /entities/{id}: where a map is meant, only the sources that it names are asked, by the maps that they keep (§5.7.1.4)."""
    if not entity_maps.meant(request):
        return await gather.retrieve(request, found, handler)
    uri = entities.uri_of(request)
    known = await door.look(request, lambda conn, who: entity_maps.found(conn, who, request))
    if known is not None and uri not in known.uris:
        known = None
    links = Links(dict(known.linked)) if known is not None else linking.to_be_made(entity_maps.wishes(request))
    one = await gather.looked_for(request, found, links, None if known is None else frozenset(known.places.get(uri, (HERE,))))
    if one.whole is None:
        return one.missing()
    response = await one.written(found)
    if known is None:
        places = [*([HERE] if one.own is not None else []), *(each.source.registration.uri for each in one.told if each.entities)]
        known = await door.look(
            request, lambda conn, who: entity_maps.kept(conn, who, request, [uri], places={uri: places}, linked=links.known)
        )  # fmt: skip
    else:
        await linking.remember(one.session, known, links)
    response.headers[entity_maps.HEADER] = entity_maps.address(request, known)
    return response


async def create(request: Request, found: Diverted, handler: Handler) -> Response:
    """GET /entityMaps: the map of a question, without the entities (§5.14.4)."""
    asking = await query.asking(request)
    session, plan, _ = await _opened(request, found, asking)
    if not plan.shares:
        return await handler(request)
    # which types an id has is not told, and what only whole entities answer is found out by reading them
    alone = not plan.split and session.who.principal.types is None
    one = await _listed(session, plan, asking) if alone else (await _made(session, plan, asking))[1]
    return session.warn(entity_maps.made(request, one))


async def change(request: Request, found: Diverted, handler: Handler) -> Response:
    """PATCH /entityMaps/{id}: the maps that sources keep end when this one does."""
    response = await handler(request)
    session, one = await _named(request)
    if one is not None and one.linked:
        await linking.prolong(session, found, one, format_instant(one.expires_at))
    return response


async def delete(request: Request, found: Diverted, handler: Handler) -> Response:
    """DELETE /entityMaps/{id}: the maps that sources keep end with it."""
    session, one = await _named(request)
    response = await handler(request)
    if one is not None and one.linked:
        await linking.end(session, found, one)
    return response


async def _named(request: Request) -> tuple[Session, EntityMap | None]:
    name = attributes.uri("id", str(request.path_params["id"]))

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, EntityMap | None]:
        return conversation.opened(request, conn, who), maps.find(conn, who.tenant_id, entity_maps.subject(who), name)

    return await door.look(request, look)


async def _opened(request: Request, found: Diverted, asking: Asking) -> tuple[Session, Plan, EntityMap | None]:
    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, Plan, EntityMap | None]:
        session = conversation.opened(request, conn, who)
        return session, gather.planned(request, found, who, asking, session.alias), entity_maps.found(conn, who, request)

    return await door.look(request, look, asking.source)


async def _made(session: Session, plan: Plan, asking: Asking) -> tuple[list[StoredEntity], EntityMap]:
    """All entities that answer, and their map. Raises TooComplex where one place has more than are read for one question."""
    whole = _asking_for(plan, offset=0, limit=MOST_ENTITIES)
    links = linking.to_be_made(entity_maps.wishes(session.request))
    own, told = await gather.said(session, whole, asking, links)
    require_all(told, len(own.entities))
    read = gather.assembled(session, whole, own, told).entities
    places = _places((entity.uri for entity in own.entities), told)
    return read, await _kept(session, {entity.uri: places[entity.uri] for entity in read}, links)


def require_all(told: Sequence[Told], own: int = 0) -> None:
    """Raise TooComplex where a place has more than is read of it."""
    if own >= MOST_ENTITIES or any(each.more for each in told):
        raise TooComplex(msg("A resposta tem mais de {most} entidades, que é o máximo de um mapa; restrinja a pergunta."), most=MOST_ENTITIES)


async def _kept(session: Session, places: dict[str, list[str]], links: Links) -> EntityMap:
    def keep(conn: psycopg.Connection[Any], who: Asked) -> EntityMap:
        return entity_maps.kept(conn, who, session.request, list(places), places=places, linked=links.known)

    return await door.look(session.request, keep)


def _places(own: Iterable[str], told: Sequence[Told]) -> dict[str, list[str]]:
    """Where each entity lies: here, and by the registrations of the sources that have a part of it."""
    places: dict[str, list[str]] = {uri: [HERE] for uri in own}
    for each in told:
        for raw in each.entities:
            if isinstance(uri := raw.get("id", raw.get("@id")), str):
                places.setdefault(uri, []).append(each.source.registration.uri)
    return places


async def _listed(session: Session, plan: Plan, asking: Asking) -> EntityMap:
    """The map of a question whose filters each place answers by itself: sources that keep maps tell the ids alone, the others what they have."""
    whole = _asking_for(plan, offset=0, limit=MOST_ENTITIES)
    links = linking.to_be_made(entity_maps.wishes(session.request))

    def own(conn: psycopg.Connection[Any], who: Asked) -> list[str]:
        questions.refuse_personal(conn, who, plan.question.query)
        narrowed = questions.narrowed(plan.question.query, who.principal.types)
        return [] if narrowed is None else store.uris(conn, who.tenant_id, replace(narrowed, offset=0, limit=entity_maps.MOST + 1))

    uris = await door.read(session.request, own, asking.source)
    speeches = await conversation.spoken(session, plan.shares)
    told = await conversation.together([_ids(session, whole, asking, share, speech, links) for share, speech in zip(plan.shares, speeches, strict=True)])
    require_all(told)
    return await _kept(session, _places(uris, told), links)


async def _ids(session: Session, plan: Plan, asking: Asking, share: Share, speech: Speech, links: Links) -> Told:
    """The ids of what a source has for a question, by a map that it makes of them; where it makes none its entities are read."""
    method, _, params, _ = forms.question(plan.asked, plan.wanted | gather.filtering(plan.question.query) if plan.wanted else frozenset(), share, speech)
    if method != "GET" or not linking.able(share.source):
        return await gather.ask_question(session, plan, share, speech, asking, links)
    params = {name: value for name, value in params.items() if name != "options"} | {"entityMapLifetime": links.lifetime}
    answer = await session.ask(share.source, speech, "GET", "/entityMaps", params)
    told = Told(share, speech, answer)
    if answer.status == 0:
        session.warnings.append(answers.Warning_(answer.warning, share.source.registration.uri, answer.reason))
        return told
    listed = linking.ids_in(answer.body) if answer.ok else None
    if listed is None:
        return await gather.ask_question(session, plan, share, speech, asking, links)
    name, uris = listed
    links.known[share.source.registration.uri] = linking.location(answer) or name
    told.entities = [{"id": uri} for uri in uris if share.source.of_entity(uri, ()) is not None and linking.may_mean(plan.question.query, uri)]
    return told


async def _still(session: Session, plan: Plan, asking: Asking, known: EntityMap) -> list[StoredEntity]:
    """Those entities of the page of a map that answer still, each asked for only where it lies. The map stays as it is, and so do the pages after this one."""
    asked = plan.question.query
    links = Links(dict(known.linked))
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
        own, told = await gather.said(session, part, asking, links)
        found |= {entity.uri: entity for entity in gather.assembled(session, part, own, told).entities}
    await linking.remember(session, known, links)
    return [found[uri] for uri in left if uri in found]


def _asking_for(plan: Plan, **changed: Any) -> Plan:
    return replace(plan, question=replace(plan.question, query=replace(plan.question.query, **changed)))


def _selectors(asked: Sequence[Selector], uris: Sequence[str]) -> tuple[Selector, ...]:
    """The selectors of a question, of these entities only."""
    cut = [replace(one, uris=tuple(uri for uri in uris if not one.uris or uri in one.uris)) for one in asked]
    return tuple(one for one in cut if one.uris)
