"""Create, read, query, change and end registrations over HTTP (§5.9, §5.10, §6.8, §6.9), and who this broker is (§6.33)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, parameters, reading, rendering, tenants
from malha.context.broker.contracts import Asked, BadRequestData
from malha.context.broker.rendering import Wanted
from malha.context.federation import service
from malha.context.federation.contracts import MethodNotAllowed, Unusable
from malha.context.federation.registrations import discovering, outcomes, registry, writing
from malha.context.subscriptions.reading import is_uri
from malha.foundation.access.contracts import Capability
from malha.foundation.audit import service as audit
from malha.foundation.outgoing import internal as outgoing
from malha.foundation.outgoing.contracts import NoAnswer, RefusedAddress
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now
from malha.vocabulary.contexts import service as contexts

BODY_LIMIT = 4 * 1024 * 1024
DEFAULT_LIMIT, LARGEST_LIMIT = 100, 1000
_STARTED = time.monotonic()


async def _body(request: Request) -> tuple[Any, str]:
    media = reading.media_type(request)
    return reading.decode(await reading.body_of(request, BODY_LIMIT)), media


async def _write[T](request: Request, source: Any, work: Callable[[psycopg.Connection[Any], Asked], T]) -> T:
    """Run `work` in the tenant's transaction; it may be undone and run again while a context is fetched."""
    done = await door.write(request, source, work)
    registry.forget()
    return done


def _check_endpoint(conn: psycopg.Connection[Any], who: Asked, endpoint: object) -> None:
    """Refuse an internal address at once; it is checked again at each connection. An unknown name may yet come to be."""
    if not isinstance(endpoint, str):
        return
    parts = urlsplit(endpoint)
    slug = conn.execute("SELECT slug FROM organisation WHERE id = %s", [who.tenant_id]).fetchone()
    try:
        outgoing.addresses(str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80), str(slug[0]) if slug else "")
    except NoAnswer:
        return
    except RefusedAddress as refused:
        raise Unusable(refused.message, **refused.params) from refused


def _actor(who: Asked) -> str:
    return f"client:{who.principal.client_id}" if who.principal.client_id else f"person:{who.principal.person_id}"


async def create(request: Request) -> Response:
    """POST /csourceRegistrations (§6.8.3.1)"""
    payload, media = await _body(request)
    source = reading.source_of(request, media, payload)

    def work(conn: psycopg.Connection[Any], who: Asked) -> str:
        uri = service.create(conn, who.tenant_id, payload, who.context)
        _check_endpoint(conn, who, payload["endpoint"])
        audit.record_on(conn, who.tenant_id, _actor(who), "federation.register", uri, {"endpoint": payload["endpoint"]})
        return uri

    uri = await _write(request, source, work)
    return Response(status_code=201, headers={"Location": f"{request.scope.get('root_path', '')}/ngsi-ld/v1/csourceRegistrations/{quote(uri, safe=':')}"})


async def retrieve(request: Request) -> Response:
    """GET /csourceRegistrations/{id} (§6.9.3.1)"""
    uri = _identifier(request)
    system = parameters.system(request.query_params, frozenset())
    media = rendering.negotiated(request, places=False)
    await outcomes.gathered.written()

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        found, state = service.find(conn, who.tenant_id, uri)
        return rendering.answer(writing.document(found, state, who.context, system=system), Wanted(who.context, media=media))

    return await door.read(request, work)


async def query(request: Request) -> Response:
    """GET /csourceRegistrations (§6.8.3.2)"""
    system = parameters.system(request.query_params, discovering.PARAMETERS | {"limit", "offset", "count"})
    limit, offset = parameters.number(request.query_params, "limit", DEFAULT_LIMIT), parameters.number(request.query_params, "offset", 0)
    counted = request.query_params.get("count") == "true"
    if limit > LARGEST_LIMIT or (limit == 0 and not counted):
        raise BadRequestData(msg("Uma página tem de 1 a {limit} registos; limit=0 só com count=true."), limit=LARGEST_LIMIT)
    media = rendering.negotiated(request, places=False)
    await outcomes.gathered.written()

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        asked = discovering.read(dict(request.query_params), who.context)
        found = [(one, state) for one, state in service.every(conn, who.tenant_id) if asked.means(one)]
        shown = [writing.document(one, state, who.context, system=system) for one, state in found[offset : offset + limit]]
        answer = rendering.answer(shown, Wanted(who.context, media=media))
        if counted:
            answer.headers["NGSILD-Results-Count"] = str(len(found))
        for link in _pages(request, limit, offset, more=len(found) > offset + limit):
            answer.headers.append("Link", link)
        return answer

    return await door.read(request, work)


def _pages(request: Request, limit: int, offset: int, *, more: bool) -> list[str]:
    """Links to the pages before and after this one (§5.5.9, §6.3.10)."""
    links: list[str] = []
    for relation, at in (("prev", offset - limit if offset else None), ("next", offset + limit if more and limit else None)):
        if at is not None:
            params = {**request.query_params, "limit": str(limit), "offset": str(max(0, at))}
            address = f"{request.scope.get('root_path', '')}/ngsi-ld/v1/csourceRegistrations?{urlencode(params)}"
            links.append(f'<{address}>;rel="{relation}";type="application/ld+json"')
    return links


async def change(request: Request) -> Response:
    """PATCH /csourceRegistrations/{id} (§6.9.3.2)"""
    uri = _identifier(request)
    payload, media = await _body(request)
    source = reading.source_of(request, media, payload)

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        service.change(conn, who.tenant_id, uri, payload, who.context if source is not None else None)
        _check_endpoint(conn, who, payload.get("endpoint"))
        audit.record_on(conn, who.tenant_id, _actor(who), "federation.change", uri, {})

    await _write(request, source, work)
    return Response(status_code=204)


async def delete(request: Request) -> Response:
    """DELETE /csourceRegistrations/{id} (§6.9.3.3)"""
    uri = _identifier(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        service.delete(conn, who.tenant_id, uri)
        audit.record_on(conn, who.tenant_id, _actor(who), "federation.end", uri, {})

    await _write(request, None, work)
    return Response(status_code=204)


async def identity(request: Request) -> Response:
    """GET /info/sourceIdentity (§6.33): the name that requests through this broker carry."""
    media = rendering.negotiated(request, places=False)

    def work(_conn: psycopg.Connection[Any], who: Asked) -> tuple[Asked, str]:
        return who, tenants.alias(who.tenant_id)

    who, alias = await door.allowed(request, Capability.DATA_READ, work)
    seconds = int(time.monotonic() - _STARTED)
    told = {
        "id": f"urn:ngsi-ld:ContextSourceIdentity:{alias}", "type": "ContextSourceIdentity", "contextSourceAlias": alias,
        "contextSourceUptime": f"PT{seconds}S", "contextSourceTimeAt": format_instant(now()),
    }  # fmt: skip
    return rendering.answer(told, Wanted(contexts.CORE if media == reading.JSON_LD else who.context, media=media))


def _identifier(request: Request) -> str:
    uri = str(request.path_params["id"])
    if not uri:
        raise MethodNotAllowed(msg("Falta o id do registo no caminho."))
    if not is_uri(uri):
        raise BadRequestData(msg("“{uri}” não é um URI."), uri=uri[:80])
    return uri
