"""Snapshots over HTTP: make, read, change, copy, end, and end many (GS CIM 009 §5.16, §6.36–6.38)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import attributes, door, entity_maps, projection, reading, rendering
from malha.context.broker.contracts import Asked, InvalidRequest
from malha.context.snapshots import filling, service, telling
from malha.context.snapshots import reading as snapshots
from malha.context.snapshots.contracts import HEADER, Evolutions, Snapshot
from malha.foundation.access.contracts import Capability
from malha.kernel.text import msg

BODY_LIMIT = 256 * 1024


def _reach(who: Asked) -> str | None:
    """Whose snapshots may be changed and ended: one's own; all of them for who manages connections."""
    return None if who.principal.may(Capability.CLIENTS_MANAGE) else entity_maps.subject(who)


async def _body(request: Request) -> tuple[Any, Any]:
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request, BODY_LIMIT))
    return payload, reading.source_of(request, media, payload)


def _uri(request: Request) -> str:
    return attributes.uri("id", str(request.path_params["id"]))


def _made(request: Request, one: Snapshot) -> Response:
    address = f"{request.scope.get('root_path', '')}/ngsi-ld/v1/snapshots/{quote(one.uri, safe=':')}"
    return Response(status_code=201, headers={"Location": address, HEADER: one.uri})


async def create(evolutions: Evolutions, request: Request) -> Response:
    """POST /snapshots: kept at once, filled afterwards; `evolutions` answers its temporal queries."""
    payload, source = await _body(request)
    said = snapshots.made(payload)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Snapshot:
        return service.create(conn, who.tenant_id, entity_maps.subject(who), said)

    one = await door.look(request, work, source)
    filling.begin(request, source, one, evolutions)
    return _made(request, one)


async def retrieve(request: Request) -> Response:
    """GET /snapshots/{id}: how it fares"""
    uri = _uri(request)
    one = await door.look(request, lambda conn, who: service.find(conn, who.tenant_id, uri))
    return rendering.plain(snapshots.document(one), headers={HEADER: one.uri})


async def change(request: Request) -> Response:
    """PATCH /snapshots/{id}: its priority, and how long it lives"""
    uri = _uri(request)
    payload, _ = await _body(request)
    said = snapshots.changed(payload)
    one = await door.look(request, lambda conn, who: service.change(conn, who.tenant_id, uri, said, _reach(who)))
    telling.begin(one)
    return rendering.plain(snapshots.document(one), headers={HEADER: one.uri})


async def clone(request: Request) -> Response:
    """POST /snapshots/{id}/clone: one of its own with the same entities"""
    uri = _uri(request)
    payload, _ = await _body(request)
    said = snapshots.changed(payload)
    one = await door.look(request, lambda conn, who: service.copy(conn, who.tenant_id, uri, said, entity_maps.subject(who)))
    telling.begin(one)
    return _made(request, one)


async def delete(request: Request) -> Response:
    """DELETE /snapshots/{id}"""
    uri = _uri(request)
    telling.begin(await door.look(request, lambda conn, who: service.delete(conn, who.tenant_id, uri, _reach(who))), ended=True)
    return Response(status_code=204)


async def purge(request: Request) -> Response:
    """DELETE /snapshots: those of one's own whose members answer q"""
    projection.check_parameters(request, frozenset({"q"}))
    q = request.query_params.get("q", "")
    if not q:
        raise InvalidRequest(msg("Diga quais em q, por exemplo q=snapshotPriority<3."))
    for one in await door.look(request, lambda conn, who: service.purge(conn, who.tenant_id, q, _reach(who))):
        telling.begin(one, ended=True)
    return Response(status_code=204)
