"""Create, read, list, change and end subscriptions over HTTP (§5.8.1–5.8.5, §6.10, §6.11)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, jsonld_contexts, parameters, pool, questions, reading, rendering, tenants
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest, NotPermitted
from malha.context.broker.rendering import Wanted
from malha.context.store import service as store
from malha.context.subscriptions import rules, service, writing
from malha.context.subscriptions.contracts import ENTITIES, REGISTRATIONS, CameBack, MethodNotAllowed, RefusedEndpoint
from malha.context.subscriptions.reading import is_uri
from malha.foundation.access import reach
from malha.foundation.access.contracts import BeyondReach, Capability
from malha.foundation.database import service as database
from malha.foundation.outgoing import internal as outgoing
from malha.foundation.outgoing.contracts import NoAnswer, RefusedAddress
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context

BODY_LIMIT = 1024 * 1024
DEFAULT_LIMIT, LARGEST_LIMIT = 100, 1000
_PORTS = {"http": 80, "https": 443, "mqtt": 1883, "mqtts": 8883}


def _subject(who: Asked) -> str:
    return f"client:{who.principal.client_id}" if who.principal.client_id else f"person:{who.principal.person_id}"


def _reach(who: Asked) -> str | None:
    """Whose subscriptions are within reach: one's own; all of them for who manages connections."""
    return None if who.principal.may(Capability.CLIENTS_MANAGE) else _subject(who)


async def _body(request: Request) -> tuple[Any, str]:
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request, BODY_LIMIT))
    if not isinstance(payload, dict):
        raise InvalidRequest(msg("Uma subscrição é um objeto JSON."))
    return payload, media


async def _in_transaction(request: Request, context: Context, work: Any) -> Any:
    """Run `work` in the tenant's transaction for a client that may read: to subscribe is to read."""

    def inside() -> Any:
        with pool.connection() as conn:
            who = door.asked(conn, request, context)
            who.principal.require(Capability.DATA_READ)
            if any(part.agreement_id is not None for part in reach.current() or ()):
                raise NotPermitted(msg("O que um acordo deixa ler não se guarda, e um aviso à espera seria uma cópia: leia quando precisar."))
            with database.tenant_transaction(conn, [who.tenant_id]):
                return work(conn, who)

    return await pool.run(inside)


def _check_endpoint(conn: psycopg.Connection[Any], who: Asked, payload: Any) -> None:
    """Refuse an internal address at once; it is checked again at each connection. An unknown name may yet come to be."""
    notification = payload.get("notification") if isinstance(payload, dict) else None
    endpoint = notification.get("endpoint") if isinstance(notification, dict) else None
    uri = endpoint.get("uri") if isinstance(endpoint, dict) else None
    if not isinstance(uri, str):
        return
    parts = urlsplit(uri)
    slug = conn.execute("SELECT slug FROM organisation WHERE id = %s", [who.tenant_id]).fetchone()
    try:
        outgoing.addresses(str(parts.hostname), parts.port or _PORTS[parts.scheme], str(slug[0]) if slug else "")
    except NoAnswer:
        return
    except RefusedAddress as refused:
        raise RefusedEndpoint(refused.message, **refused.params) from refused


def _refuse_personal(conn: psycopg.Connection[Any], who: Asked, uri: str, about: str) -> None:
    """Refuse a condition about what the client may not read: each notification would tell of it. What a notification may tell is looked at again at each."""
    if about == REGISTRATIONS:
        return
    found, _ = service.find(conn, who.tenant_id, uri, _reach(who), about)
    rule = rules.compiled(found)
    types = {name for one in rule.selectors for name in one.names}
    if any(not one.names for one in rule.selectors):
        types |= set(store.type_names(conn, who.tenant_id))
    door.refuse_personal(who, types, rule.asked)
    if (parts := reach.current()) is not None and (shown := reach.allowed(parts, types)) is not None and (hidden := rule.asked - shown):
        raise BeyondReach(msg("O seu acesso não abrange o atributo “{name}”."), name=min(hidden))
    questions.refuse_beyond(conn, who, rule.beyond)


def _words_of(conn: psycopg.Connection[Any], tenant_id: int, source: Any, request: Request) -> str:
    """The address of the context that was put on the shelf for a subscription whose own is no single address (§5.2.12, §5.13); "" for any other."""
    one = source[0] if isinstance(source, list) and len(source) == 1 else source
    return "" if one is None or isinstance(one, str) else contexts.implicit(conn, tenant_id, jsonld_contexts.address(request), source)


def _about(request: Request) -> str:
    """Which subscriptions an address means."""
    return REGISTRATIONS if request.url.path.rstrip("/").split("/ngsi-ld/v1/")[-1].startswith("csourceSubscriptions") else ENTITIES


def _base(request: Request) -> str:
    """The address of the subscriptions that the request is about."""
    return f"{request.scope.get('root_path', '')}/ngsi-ld/v1/{'csourceSubscriptions' if _about(request) == REGISTRATIONS else 'subscriptions'}"


async def create(request: Request) -> Response:
    """POST /subscriptions (§6.10.3.1)"""
    payload, media = await _body(request)
    context = await door.context_of(request, media, payload)
    await _reach_words(request, payload)

    through = sorted(reading.passed_through(request))

    def work(conn: psycopg.Connection[Any], who: Asked) -> str:
        if tenants.alias(who.tenant_id) in through:
            raise CameBack(msg("A subscrição já passou por aqui: as fontes apontam umas para as outras."))
        uri = service.create(conn, who.tenant_id, _subject(who), payload, context, _about(request), through)
        _words_of(conn, who.tenant_id, context.source, request)
        _refuse_personal(conn, who, uri, _about(request))
        _check_endpoint(conn, who, payload)
        return uri

    uri = await _in_transaction(request, context, work)
    return Response(status_code=201, headers={"Location": f"{_base(request)}/{quote(uri, safe=':')}"})


async def _reach_words(request: Request, payload: Any) -> None:
    """Fetch the context that notifications are to be written in. Raises ContextNotAvailable now, when its client can still mend it."""
    named = payload.get("jsonldContext") if isinstance(payload, dict) else None
    if isinstance(named, str) and is_uri(named):
        await door.reach_context(request, named)


async def retrieve(request: Request) -> Response:
    """GET /subscriptions/{id} (§6.11.3.1)"""
    uri = _identifier(request)
    system = parameters.system(request.query_params, frozenset())
    media = rendering.negotiated(request, places=False)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        found, state = service.find(conn, who.tenant_id, uri, _reach(who), _about(request))
        shown = writing.document(found, state, who.context, _words_of(conn, who.tenant_id, found.context, request), system=system)
        return rendering.answer(shown, Wanted(who.context, media=media))

    return await door.look(request, work)


async def query(request: Request) -> Response:
    """GET /subscriptions (§6.10.3.2)"""
    system = parameters.system(request.query_params, frozenset({"limit", "offset", "count"}))
    limit, offset = parameters.number(request.query_params, "limit", DEFAULT_LIMIT), parameters.number(request.query_params, "offset", 0)
    counted = request.query_params.get("count") == "true"
    if limit > LARGEST_LIMIT or (limit == 0 and not counted):
        raise BadRequestData(msg("Uma página tem de 1 a {limit} subscrições; limit=0 só com count=true."), limit=LARGEST_LIMIT)
    media = rendering.negotiated(request, places=False)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        reach = _reach(who)
        found = service.page(conn, who.tenant_id, reach, limit=limit + 1, offset=offset, about=_about(request)) if limit else []
        headers = _pages(request, limit, offset, more=len(found) > limit)
        if counted:
            headers["NGSILD-Results-Count"] = str(service.count(conn, who.tenant_id, reach, _about(request)))
        shown = [writing.document(one, state, who.context, _words_of(conn, who.tenant_id, one.context, request), system=system) for one, state in found[:limit]]
        answer = rendering.answer(shown, Wanted(who.context, media=media))
        for value in headers.pop("Link", "").split("\n"):
            if value:
                answer.headers.append("Link", value)
        answer.headers.update(headers)
        return answer

    return await door.look(request, work)


def _pages(request: Request, limit: int, offset: int, *, more: bool) -> dict[str, str]:
    """Links to the pages before and after this one (§5.5.9, §6.3.10)."""
    links: list[str] = []
    for relation, at in (("prev", offset - limit if offset else None), ("next", offset + limit if more else None)):
        if at is not None:
            params = {**request.query_params, "limit": str(limit), "offset": str(max(0, at))}
            links.append(f'<{_base(request)}?{urlencode(params)}>;rel="{relation}";type="application/ld+json"')
    return {"Link": "\n".join(links)} if links else {}


async def change(request: Request) -> Response:
    """PATCH /subscriptions/{id} (§6.11.3.2)"""
    uri = _identifier(request)
    payload, media = await _body(request)
    named = await door.context_of(request, media, payload) if media == reading.JSON_LD or reading.linked(request) is not None else None
    await _reach_words(request, payload)

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        service.change(conn, who.tenant_id, uri, payload, named, _reach(who), _about(request))
        _refuse_personal(conn, who, uri, _about(request))
        _check_endpoint(conn, who, payload)

    await _in_transaction(request, named or contexts.CORE, work)
    return Response(status_code=204)


async def delete(request: Request) -> Response:
    """DELETE /subscriptions/{id} (§6.11.3.3)"""
    uri = _identifier(request)
    await _in_transaction(request, contexts.CORE, lambda conn, who: service.delete(conn, who.tenant_id, uri, _reach(who), _about(request)))
    return Response(status_code=204)


def _identifier(request: Request) -> str:
    uri = str(request.path_params["id"])
    if not uri:
        raise MethodNotAllowed(msg("Falta o id da subscrição no caminho."))
    if not is_uri(uri):
        raise BadRequestData(msg("“{uri}” não é um URI."), uri=uri[:80])
    return uri
