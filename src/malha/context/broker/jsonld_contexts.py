"""The tenant's shelf of JSON-LD contexts: add, list, serve, delete, reload (GS CIM 009 §5.13, §6.29, §6.30)."""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, pool, reading, rendering
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest, OperationNotSupported
from malha.foundation.settings import service as settings
from malha.kernel.text import msg
from malha.kernel.time import format_instant
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.contracts import KeptContext, Kind


def address(request: Request) -> str:
    """Where a context of this tenant is served; `{id}` stands for its id."""
    conf = settings.current()
    base = (conf.public_url or f"http://localhost:{conf.port}").rstrip("/")
    return f"{base}{request.scope.get('root_path', '')}/ngsi-ld/v1/jsonldContexts/{{id}}"


async def add(request: Request) -> Response:
    """POST /jsonldContexts"""
    reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    if not isinstance(payload, dict) or "@context" not in payload:
        raise InvalidRequest(msg("Envie um objeto JSON com um membro @context."))
    contexts.check(payload)

    def work(conn: psycopg.Connection[Any], who: Asked) -> str:
        return contexts.keep(conn, who.tenant_id, address(request), {"@context": payload["@context"]}, Kind.HOSTED)

    kept = await door.write(request, None, work)
    return Response(status_code=201, headers={"Location": f"{request.scope.get('root_path', '')}/ngsi-ld/v1/jsonldContexts/{kept}"})


def _flag(request: Request, name: str) -> bool:
    said = request.query_params.get(name, "false")
    if said not in {"true", "false"}:
        raise BadRequestData(msg("“{name}” é true ou false."), name=name)
    return said == "true"


async def list_all(request: Request) -> Response:
    """GET /jsonldContexts, of one `kind` or all, with `details=true` or as addresses"""
    details, kind = _flag(request, "details"), request.query_params.get("kind", "")
    if kind and kind not in set(Kind):
        raise BadRequestData(msg("“kind” é Hosted, Cached ou ImplicitlyCreated."))

    def work(conn: psycopg.Connection[Any], who: Asked) -> list[KeptContext]:
        return contexts.kept(conn, who.tenant_id, Kind(kind) if kind else None)

    found = await door.look(request, work)
    return rendering.plain([_detailed(one) if details else one.url for one in found])


def _detailed(one: KeptContext) -> dict[str, Any]:
    shown: dict[str, Any] = {"URL": one.url, "localId": one.id, "kind": one.kind, "createdAt": format_instant(one.created_at), "numberOfHits": one.hits}
    if one.last_used_at is not None:
        shown["lastUsage"] = format_instant(one.last_used_at)
    return shown


async def serve(request: Request) -> Response:
    """GET /jsonldContexts/{id}"""
    details, name = _flag(request, "details"), request.path_params["id"]

    def work(conn: psycopg.Connection[Any], who: Asked) -> KeptContext | None:
        return None if contexts.is_core(name) else contexts.get(conn, who.tenant_id, name)

    found = await door.look(request, work)
    if details:
        return rendering.plain(_detailed(found) if found is not None else {"URL": name, "localId": name, "kind": Kind.CACHED})
    if found is None or found.kind is Kind.CACHED:
        raise OperationNotSupported(msg("Este @context vem de outro endereço; peça-o lá, ou peça só os pormenores (details=true)."))
    return rendering.plain(found.body, media=reading.JSON_LD if reading.JSON_LD in request.headers.get("accept", "") else reading.JSON)


async def delete(request: Request) -> Response:
    """DELETE /jsonldContexts/{id}; with `reload=true` a cached one is fetched again and, if that fails, stays as it was

    The core context is part of this broker: there is nothing to fetch, and it stays.
    """
    name, reload = request.path_params["id"], _flag(request, "reload")
    if contexts.is_core(name) and not reload:
        raise BadRequestData(msg("O @context de base da NGSI-LD não se apaga."))

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[int, str]:
        if not reload:
            contexts.remove(conn, who.tenant_id, name)
            return who.tenant_id, ""
        if contexts.is_core(name):
            return who.tenant_id, ""
        found = contexts.find_kept(conn, who.tenant_id, name)
        if found is None or found.kind is not Kind.CACHED:
            raise BadRequestData(msg("Só um @context que veio de outro endereço se recarrega."))
        return who.tenant_id, found.url

    tenant_id, again = await door.write(request, None, work)
    if again:
        await pool.run_apart(partial(contexts.reload, pool.connection, tenant_id, again))
    return Response(status_code=204)
