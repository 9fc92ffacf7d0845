"""The doors by which two installations join and part: `/federation/offer`, `/federation/join`. Each comes with the key of an invitation."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, reading, rendering
from malha.context.broker.contracts import Asked
from malha.context.federation import service
from malha.context.federation.contracts import Missing, Unusable
from malha.context.federation.partners import links
from malha.context.federation.partners.links import Link, Terms
from malha.context.federation.registrations import registry
from malha.foundation.access.contracts import Capability
from malha.foundation.audit import service as audit
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts

NAME = "SELECT name FROM organisation WHERE id = %s"


async def _with_link[T](request: Request, work: Any) -> T:
    """Run `work(conn, who, link)` in the tenant's transaction for the machine of a link."""

    def inside(conn: psycopg.Connection[Any], who: Asked) -> T:
        with database.tenant_transaction(conn, [who.tenant_id]):
            if not who.principal.client_id:
                raise Missing(msg("Esta ligação entre instalações não existe, ou já terminou."))
            found: T = work(conn, who, links.find(conn, who.tenant_id, client_id=who.principal.client_id))
            return found

    return await door.allowed(request, Capability.DATA_READ, inside)


async def offer(request: Request) -> Response:
    """GET /federation/offer: who we are, what may be read here with this key, and what not and why."""

    def work(conn: psycopg.Connection[Any], who: Asked, link: Link) -> dict[str, Any]:
        made = links.offer(conn, who.tenant_id, link.gives)
        row = conn.execute(NAME, [who.tenant_id]).fetchone()
        return {
            "name": row[0] if row else "", "licence": link.gives.licence, "area": link.gives.area_name,
            "types": [{"type": each.type, "attributes": list(each.attributes), "count": each.count} for each in made.types],
            "refused": [
                {"what": what, "reason": language.translate(reason, who.language).format(**more)} for what, reason, more in made.refused
            ],
        }  # fmt: skip

    return rendering.plain(await _with_link(request, work))


async def join(request: Request) -> Response:
    """POST /federation/join: the invited side says where it is, what it gives, and with which key it is read."""
    reading.media_type(request)
    payload = reading.decode(await reading.body_of(request, 256 * 1024))
    name, endpoint, pairs, gives, takes = _said(payload)

    def work(conn: psycopg.Connection[Any], who: Asked, link: Link) -> dict[str, Any]:
        if link.joined_at is not None:
            raise Unusable(msg("Este convite já serviu. Peça outro a quem lho deu."))
        uri = ""
        if gives.types:
            uri = service.create(conn, who.tenant_id, links.registration(name, endpoint, gives, pairs), contexts.CORE)
        links.accepted(conn, who.tenant_id, link.id, name=name, url=endpoint, registration_uri=uri, secrets=pairs, takes=gives)
        audit.record_on(conn, who.tenant_id, f"client:{who.principal.client_id}", "federation.join", name, {"gives": takes, "takes": list(gives.types)})
        return {"joined": True}

    done: dict[str, Any] = await _with_link(request, work)
    registry.forget()
    return rendering.plain(done, status=201)


def _said(payload: Any) -> tuple[str, str, dict[str, str], Terms, list[str]]:
    try:
        pairs = {f"oauth:{key}": str(payload["oauth"][key]) for key in ("url", "id", "secret")}
        return str(payload["name"])[:200], str(payload["endpoint"]), pairs, links.terms(payload["gives"]), [str(each) for each in payload.get("takes", ())]
    except (TypeError, KeyError, AttributeError) as reason:
        raise Unusable(msg("O pedido para juntar instalações não está completo.")) from reason


async def part(request: Request) -> Response:
    """DELETE /federation/join: the other side ends it; we forget its key and its data are asked for no more."""

    def work(conn: psycopg.Connection[Any], who: Asked, link: Link) -> None:
        forget(conn, who.tenant_id, link, f"client:{who.principal.client_id}")

    await _with_link(request, work)
    registry.forget()
    return Response(status_code=204)


def forget(conn: psycopg.Connection[Any], tenant_id: int, link: Link, by: str) -> None:
    """End this side of a link, but for its machine: no source, no credentials. In the tenant's transaction."""
    if link.registration_uri:
        with contextlib.suppress(Missing):  # somebody ended it by hand
            service.delete(conn, tenant_id, link.registration_uri)
    links.end(conn, tenant_id, link.id, by)
    audit.record_on(conn, tenant_id, by, "federation.leave", link.name, {})
