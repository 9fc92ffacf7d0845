"""Where devices and network servers send their messages: `POST /devices/v1/{door}` and `/devices/v1/{door}/{device}`, on the plane."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.context.broker import door as broker
from malha.context.broker import pool, reading, rendering, tenants
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.ingest.devices import service
from malha.ingest.devices.contracts import Outcome, UnknownDoor
from malha.kernel.text import msg

#: bytes of one request; a thousand messages of a few kB each
BODY_LIMIT = 5 * 1024 * 1024
ROOT = "/devices/v1"
#: headers in which network servers and small devices can say a key
KEY_HEADERS = ("x-malha-key", "x-api-key", "x-downlink-apikey")


def routes() -> list[BaseRoute]:
    """Each guarded as the broker's own."""
    return [
        Route(ROOT + "/{door:int}", broker.guarded(receive), methods=["POST"]),
        Route(ROOT + "/{door:int}/{device:path}", broker.guarded(receive), methods=["POST"]),
    ]


async def receive(request: Request) -> Response:
    """Take one message, or a list of them. 202: all are kept; what could not be understood is told, and waits on the page."""
    key = _key(request)
    payload = reading.decode(await reading.body_of(request, BODY_LIMIT))
    sent = payload if isinstance(payload, list) else [payload]
    device = str(request.path_params.get("device", ""))

    def work() -> Outcome:
        with pool.connection() as conn:
            slug = str(request.scope.get("malha.slug", "")) or broker.by_host(conn, request)
            tenant = tenants.find(conn, slug) if slug else None
            if tenant is None:
                raise UnknownDoor(msg("A chave não serve para este endereço. Copie-a outra vez da página Sensores, ou renove-a."))
            with database.tenant_transaction(conn, [tenant.id]):
                door = service.find_door(conn, tenant.id, int(request.path_params["door"]), key)
                return service.receive(conn, door, sent, devices=[device] * len(sent) if device else ())

    outcome = await pool.run(work)
    told: dict[str, Any] = {"taken": outcome.taken, "waiting": outcome.waiting, "refused": outcome.refused, "repeated": outcome.repeated}
    tongue = language.of_request(request.headers, request.cookies)
    reasons = [language.word(reason, tongue) for reason in outcome.reasons[:20]]
    return rendering.plain(told | ({"reasons": reasons} if reasons else {}), status=202)


def _key(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return next((request.headers[name].strip() for name in KEY_HEADERS if request.headers.get(name)), "")
