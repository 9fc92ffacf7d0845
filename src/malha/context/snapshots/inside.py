"""Retrieve, query, discover and change inside a snapshot (GS CIM 009 §5.5.15, §6.3.22): its entities alone, by the rights of whoever asks now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import attributes, door, entities, entity_maps, linked, places, projection, query, questions, rendering
from malha.context.broker.contracts import Asked, OperationNotSupported
from malha.context.broker.discovery import Held
from malha.context.broker.door import Handler
from malha.context.broker.questions import Question
from malha.context.broker.rendering import Wanted
from malha.context.federation.asking import sifting
from malha.context.snapshots import keeping, ordering, service
from malha.context.snapshots.contracts import HEADER, Snapshot
from malha.context.snapshots.place import Inside, check, require_whole
from malha.context.store import service as store
from malha.context.store.contracts import AttributeUse, EntityPage, StoredEntity
from malha.kernel.text import msg


def named(request: Request) -> str:
    """The snapshot that a request is about. Raises BadRequestData for what is no URI."""
    return attributes.uri(HEADER, request.headers[HEADER])


def _require_plain(request: Request, question: Question | None = None) -> None:
    """Raise OperationNotSupported for what is not worked out in a snapshot."""
    asked = question.query if question is not None else None
    if entity_maps.meant(request) or (asked is not None and (asked.after_id or asked.text)):
        raise OperationNotSupported(msg("Dentro de um instantâneo não há mapas, nem procura por texto."))


def _finder(conn: psycopg.Connection[Any], one: Snapshot) -> Callable[[Sequence[str]], dict[str, StoredEntity]]:
    """Finds what the snapshot holds by URIs: relationships lead to what is in it, never out of it."""
    return lambda uris: {each.uri: each for each in keeping.entities(conn, one, uris=uris)} if uris else {}


async def question(request: Request) -> Response:
    """GET /entities and POST /entityOperations/query"""
    uri = named(request)
    asking = await query.asking(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        require_whole()
        asked, want = query.understood(request, who, asking)
        _require_plain(request, asked)
        one = service.use(conn, who.tenant_id, uri)
        page = _page(conn, who, one, asked)
        return query.written(request, page, asked, want, linked.led(who, page.entities, want, _finder(conn, one)))

    return _echoed(await door.look(request, work, asking.source), uri)


def _page(conn: psycopg.Connection[Any], who: Asked, one: Snapshot, asked: Question) -> EntityPage:
    narrowed = questions.narrowed(asked.query, who.principal.types)
    if narrowed is None:
        return EntityPage([], 0 if asked.count else None)
    questions.refuse_personal(conn, who, narrowed)
    find = _finder(conn, one)

    def seen(uris: Sequence[str]) -> dict[str, StoredEntity]:
        return {uri: door.shown(who, each) for uri, each in find(uris).items() if door.within_reach(who, each.types)}

    check(narrowed)
    test = sifting.holds(narrowed, seen)
    held = keeping.entities(conn, one, narrowed.types, narrowed.uris or None)
    found = [door.shown(who, each) for each in held if sifting.answers(who, narrowed, each, test, remote=True)]
    found = ordering.ordered(found, narrowed.order)
    return EntityPage(found[narrowed.offset : narrowed.offset + narrowed.limit], len(found) if asked.count else None)


async def retrieve(request: Request) -> Response:
    """GET /entities/{id}"""
    uri, name = entities.uri_of(request), named(request)
    projection.check_parameters(request, projection.RETRIEVE)

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[StoredEntity, Wanted, linked.Joined]:
        require_whole()
        want = rendering.wanted(request, who.context)
        _require_plain(request)
        one = service.use(conn, who.tenant_id, name)
        held = keeping.entities(conn, one, uris=[uri])
        found = door.shown(who, entities.within(who, uri, held[0] if held else None, request))
        return found, want, linked.led(who, [found], want, _finder(conn, one))

    found, want, joined = await door.look(request, work)
    return _echoed(entities.written(found, want, joined), name)


def listed(handler: Callable[[Request, Held], Awaitable[Response]]) -> Handler:
    """A list of the types or attributes that there are, or one of them, of what a snapshot holds."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        uri = named(request)

        def held(conn: psycopg.Connection[Any], who: Asked) -> list[StoredEntity]:
            require_whole()
            return keeping.entities(conn, service.use(conn, who.tenant_id, uri))

        def types(conn: psycopg.Connection[Any], who: Asked) -> Mapping[str, int]:
            counted = Counter(name for each in held(conn, who) for name in each.types if door.within_reach(who, (name,)))
            return dict(sorted(counted.items()))

        def uses(conn: psycopg.Connection[Any], who: Asked, entity_type: str, name: str) -> Sequence[AttributeUse]:
            return [each for each in store.uses_of(held(conn, who), entity_type, name) if door.within_reach(who, (each.type,))]

        return _echoed(await handler(request, Held(door.look, types, uses)), uri)

    return answer


def placed(handler: Handler, *, writes: bool = False, past: bool = False) -> Handler:
    """An operation on entities, or on how they evolved (`past`), of what a snapshot holds (§5.5.15): here alone, without history, notice or other sources."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        uri = named(request)
        request.scope[places.SCOPE] = Inside(uri, writes=writes, past=past)
        return _echoed(await handler(request), uri)

    return answer


def _echoed(response: Response, uri: str) -> Response:
    response.headers[HEADER] = uri
    return response
