"""Evolutions over several sources, page by page, with an entity map or without (§5.5.9, §5.5.14, §5.7.3.4, §5.7.4.4, §5.14.5).

The ids are found out first, with as little of the past as sources give; each page is then asked for where its entities lie. The first
page of a question without a map is asked for at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, entity_maps, questions
from malha.context.broker.contracts import Asked, TooComplex
from malha.context.broker.door import Handler
from malha.context.federation.asking import answers, conversation, evolutions
from malha.context.federation.distribute import distributed
from malha.context.federation.gathering import linking, past
from malha.context.federation.gathering.gather import MOST_ENTITIES, SOURCE_PAGE
from malha.context.federation.gathering.linking import Links
from malha.context.federation.gathering.mapped import HERE, TOGETHER
from malha.context.federation.gathering.past import Alone, Entity, Gathering
from malha.context.federation.registrations.matching import Share
from malha.context.federation.registrations.registry import Diverted
from malha.context.store.maps import EntityMap
from malha.kernel.text import msg

#: parameters that a map does not depend on, or that it is asked for otherwise
_NOT_OF_MAPS = frozenset({"options", "format", "aggrMethods", "aggrPeriodDuration", "lastN", "limit", "offset", "count", "local", *entity_maps.WISHES})


def around(alone: Alone) -> Handler:
    """A temporal reading of this broker with other sources in it."""

    async def road(request: Request, found: Diverted, _handler: Handler) -> Response:
        mapped = await _meant(request)
        asked = await past.opened(request, found, alone)
        if not asked.shares:
            return asked.session.warn(await alone.answer(request))
        known = await door.look(request, lambda conn, who: entity_maps.found(conn, who, request, temporal=True)) if mapped else None
        if asked.past.uri:
            return asked.session.warn(await _retrieved(asked, known, mapped=mapped))
        return asked.session.warn(await (_by_map(asked, known) if mapped else _page(asked)))

    return distributed(alone.answer, road)


def making(handler: Handler, alone: Alone) -> Handler:
    """GET /temporal/entityMaps with other sources in it (§5.14.5)."""

    async def road(request: Request, found: Diverted, _handler: Handler) -> Response:
        asked = await past.opened(request, found, alone)
        return asked.session.warn(await handler(request) if not asked.shares else entity_maps.made(request, await _made(asked)))

    return distributed(handler, road)


async def _meant(request: Request) -> bool:
    """Whether a map is asked for, by the address, the body or the header."""
    if request.method == "POST":
        said = (await evolutions.read(request)).said or {}
        entity_maps.note(request, {name: _plain(said[name]) for name in entity_maps.WISHES if name in said})
    return entity_maps.meant(request)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _retrieved(asked: Gathering, known: EntityMap | None, *, mapped: bool) -> Response:
    """The evolution of one entity: from where its map says that it lies, or from everywhere, where a map is meant with a new one of it."""
    session, uri = asked.session, asked.past.uri
    if known is not None and uri not in known.uris:
        known = None
    listed = None if known is None else known.places.get(uri, (HERE,))
    links = Links(dict(known.linked)) if known is not None else _links(asked) if mapped else None
    shares = [share for share in asked.shares if listed is None or share.source.registration.uri in listed]
    all_ = await past.gathered(asked.of(asked.past, shares), links)
    if not all_.entities:
        refused = all_.heard[0].refused
        assert refused is not None
        return door.problem(refused, session.request)
    response = past.answer(asked, list(all_.entities.values()), all_.headers)
    if links is not None:
        if known is None:
            places = [HERE if each.share is None else each.share.source.registration.uri for each in all_.heard if each.entities]
            known = await _kept(asked, {uri: places}, links)
        else:
            await linking.remember(session, known, links)
        response.headers[entity_maps.HEADER] = entity_maps.address(session.request, known)
    return response


def _links(asked: Gathering) -> Links:
    return linking.to_be_made(entity_maps.wishes(asked.session.request), linking.MAKES_OF_PAST)


async def _page(asked: Gathering) -> Response:
    """A page of a question without a map."""
    limit, offset = questions.page(asked.past.params)
    if offset or asked.past.params.get("count") == "true" or limit > SOURCE_PAGE:
        places = await _places(asked, Links())
        return await _written(asked, list(places), places, Links())
    first = await past.gathered(asked.of(replace(asked.past, params={**asked.past.params, "limit": str(limit)})))
    here = list(first.entities)[:limit]
    found = {uri: first.entities[uri] for uri in here}
    # a place that gave as many as it was asked for may have parts of the others, too
    full = [each.share for each in first.heard if each.share is not None and len(each.entities) >= limit]
    part = [share for share in full if any(uri not in each.entities for each in first.heard if each.share is share for uri in here)]
    if part:
        whole = await past.gathered(asked.of(asked.past.among(here), asked.shares))
        found |= {uri: whole.entities[uri] for uri in here if uri in whole.entities}
    response = past.answer(asked, list(found.values()), first.headers)
    more = len(first.entities) > limit or any(len(each.entities) >= limit for each in first.heard)
    _link(response, asked.session.request, 0, limit, limit + more)
    return response


async def _by_map(asked: Gathering, known: EntityMap | None) -> Response:
    """A page of a map, which is made where it is not there; each entity is asked for only where it lies."""
    one = known or await _made(asked)
    meant = asked.past.asked(asked.session.who)
    links = Links(dict(one.linked), makes=linking.MAKES_OF_PAST)
    response = await _written(asked, [uri for uri in one.uris if linking.may_mean(meant, uri)], one.places, links)
    await linking.remember(asked.session, one, links)
    response.headers[entity_maps.HEADER] = entity_maps.address(asked.session.request, one)
    response.status_code = 201 if known is None and response.status_code == 200 else response.status_code
    return response


async def _written(asked: Gathering, uris: Sequence[str], places: Mapping[str, Sequence[str]], links: Links) -> Response:
    """The page of these entities that is asked for, with the addresses of its neighbours."""
    limit, offset = questions.page(asked.past.params)
    found: dict[str, Entity] = {}
    headers: dict[str, str] = {}
    here = uris[offset : offset + limit]
    for first in range(0, len(here), TOGETHER):
        some = here[first : first + TOGETHER]
        there = {name for uri in some for name in places.get(uri, (HERE,))}
        shares = [share for share in asked.shares if share.source.registration.uri in there]
        part = await past.gathered(asked.of(asked.past.among(some), shares), links, here=HERE in there)
        found |= part.entities
        headers |= part.headers
    response = past.answer(asked, [found[uri] for uri in here if uri in found], headers, len(uris))
    _link(response, asked.session.request, offset, limit, len(uris))
    return response


def _link(response: Response, request: Request, offset: int, limit: int, total: int) -> None:
    """Say the addresses of the pages before and after this one."""
    if request.method != "GET" or not limit:
        return
    here = f"{request.scope.get('root_path', '')}/ngsi-ld/v1/temporal/entities"
    params = [(name, value) for name, value in request.query_params.multi_items() if name != "offset"]
    pages = [("next", offset + limit)] if offset + limit < total else []
    pages += [("prev", max(0, offset - limit))] if offset else []
    for way, value in pages:
        response.headers.append("Link", f'<{here}?{urlencode([*params, ("offset", str(value))])}>; rel="{way}"')


async def _made(asked: Gathering) -> EntityMap:
    """A new map of all entities that have an evolution which answers. Raises TooComplex where a source has more than are read for one question."""
    links = _links(asked)
    return await _kept(asked, await _places(asked, links), links)


async def _places(asked: Gathering, links: Links) -> dict[str, list[str]]:
    """Where each entity lies that has an evolution which answers. Raises TooComplex."""
    places = {uri: [HERE] for uri in await asked.alone.ids(asked.past.here(asked.session.request))}
    told = await conversation.together([_ids(asked, share, links) for share in asked.shares])
    for share, uris in zip(asked.shares, told, strict=True):
        for uri in uris:
            places.setdefault(uri, []).append(share.source.registration.uri)
    return places


async def _kept(asked: Gathering, places: dict[str, list[str]], links: Links) -> EntityMap:
    def keep(conn: psycopg.Connection[object], who: Asked) -> EntityMap:
        return entity_maps.kept(conn, who, asked.session.request, list(places), temporal=True, places=places, linked=links.known)

    return await door.look(asked.session.request, keep)


async def _ids(asked: Gathering, share: Share, links: Links) -> Sequence[str]:
    """The ids of what a source has: of a map that it makes of them, or of what it tells, page by page."""
    meant = asked.past.asked(asked.session.who)
    # which types an id has is not told by a map
    listed = await _of_map(asked, share, links) if links.lifetime and asked.past.said is None and asked.session.who.principal.types is None else None
    found = listed if listed is not None else await _read(asked, share, links)
    return [uri for uri in found if share.source.of_entity(uri, ()) is not None and linking.may_mean(meant, uri)]


async def _of_map(asked: Gathering, share: Share, links: Links) -> list[str] | None:
    """The ids in a map that a source makes; None where it makes none."""
    source, session = share.source, asked.session
    if not linking.able(source, links.makes):
        return None
    speech = await conversation.speech_to(session, source)
    _, _, params, _ = asked.past.there(session, share, speech)
    bare = {name: value for name, value in params.items() if name not in _NOT_OF_MAPS}
    answer = await session.ask(source, speech, "GET", "/temporal/entityMaps", {**bare, "entityMapLifetime": links.lifetime})
    if answer.status == 0:
        session.warnings.append(answers.Warning_(answer.warning, source.registration.uri, answer.reason))
        return []
    listed = linking.ids_in(answer.body) if answer.ok else None
    if listed is None:
        return None
    name, uris = listed
    links.known[source.registration.uri] = linking.location(answer) or name
    return uris


async def _read(asked: Gathering, share: Share, links: Links) -> list[str]:
    """The ids of what a source tells, each with as little as can be. Raises TooComplex."""
    found: dict[str, None] = {}
    for first in range(0, MOST_ENTITIES, SOURCE_PAGE):
        heard = await past.hear(asked.of(asked.past.of_ids(first, SOURCE_PAGE)), share, links)
        found |= dict.fromkeys(heard.entities)
        if len(heard.entities) < SOURCE_PAGE:
            return list(found)
    raise TooComplex(msg("A resposta tem mais de {most} entidades, que é o máximo de um mapa; restrinja a pergunta."), most=MOST_ENTITIES)
