"""Server-sent events: what changes in a tenant, as it is committed (HTML standard §9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from malha.context.broker import auth, door, pool
from malha.context.broker.contracts import NotPermitted
from malha.context.live import hub as hubs
from malha.foundation.access import reach
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.events.contracts import Event, Position
from malha.foundation.tokens.contracts import Claims
from malha.kernel.text import msg
from malha.kernel.time import format_instant

PING_SECONDS = 5.0  # pages say that they lost the line after fifteen
RETRY_MS = 3000
REPLAY_PAGES = 10
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def stream(request: Request) -> Response:
    """GET /events/stream?types=A,B: every event of the tenant, or those about entities of these types."""

    def who() -> tuple[Principal, Claims]:
        with pool.connection() as conn:
            slug = str(request.scope.get("malha.slug", "")) or door.by_host(conn, request)
            return auth.identify(conn, request.headers, request.cookies, slug, limited=True)

    principal, claims = await pool.run(who)
    principal.require(Capability.DATA_READ)
    if any(part.agreement_id is not None for part in principal.reach or ()):
        raise NotPermitted(msg("Um acordo não abrange o que acontece ao minuto: pergunte pelos dados quando precisar deles."))
    wish = frozenset(part for part in request.query_params.get("types", "").split(",") if part)
    start = position(request.headers.get("last-event-id", ""))
    return StreamingResponse(_body(principal, claims, wish, start), media_type="text/event-stream", headers=_HEADERS)


def position(text: str) -> Position | None:
    """Where a browser stood, from the id of the last event that it had."""
    xid, _, seq = text.partition("-")
    return (int(xid), int(seq)) if xid.isdigit() and seq.isdigit() and len(text) < 40 else None


def passes(event: Event, principal: Principal, wish: frozenset[str]) -> bool:
    """Whether an event is for this listener: by the types within reach, then by those asked for."""
    payload = event.payload
    given = payload.get("types") if isinstance(payload.get("types"), list) else [payload["type"]] if isinstance(payload.get("type"), str) else None
    if given is None or not event.name.startswith("entities."):
        return not wish and principal.types is None
    types = frozenset(map(str, given))  # type: ignore[call-overload]  # a list, as seen above
    return (principal.types is None or not types.isdisjoint(principal.types)) and (not wish or not types.isdisjoint(wish))


def written(event: Event, principal: Principal | None = None) -> bytes:
    """An event as the stream says it; to somebody who may see a part of the tenant, only that something of a type changed."""
    payload = event.payload
    if principal is not None and not reach.only_types(principal.reach):
        payload = {name: payload[name] for name in ("type", "types") if name in payload}
    data: dict[str, Any] = {"name": event.name, "at": format_instant(event.at), "payload": payload}
    return f"id: {event.xid}-{event.seq}\nevent: {event.name}\ndata: {msgspec.json.encode(data).decode()}\n\n".encode()


async def _body(principal: Principal, claims: Claims, wish: frozenset[str], start: Position | None) -> AsyncIterator[bytes]:
    assert principal.tenant_id is not None
    hub = hubs.hub()
    last: Position = (0, 0)
    async with hub.listen(principal.tenant_id) as listener:
        yield f"retry: {RETRY_MS}\nevent: hello\ndata: {{}}\n\n".encode()
        async for event in _missed(principal.tenant_id, start):
            last = event.position
            if passes(event, principal, wish):
                yield written(event, principal)
        stopping = asyncio.create_task(hub.stopping.wait())
        try:
            while not stopping.done() and not listener.lost:
                found = await _next(listener, stopping)
                if stopping.done():
                    return
                if found is None:
                    if await pool.run(lambda: _revoked(claims)):
                        return
                    yield b"event: ping\ndata: {}\n\n"
                elif found.position > last and passes(found, principal, wish):
                    yield written(found, principal)
        finally:
            stopping.cancel()


async def _missed(tenant_id: int, start: Position | None) -> AsyncIterator[Event]:
    """What happened since the browser was last here, up to two thousand events."""
    at = start
    for _ in range(REPLAY_PAGES if at is not None else 0):
        assert at is not None
        found = await pool.run(lambda here=at: hubs.since(tenant_id, here))  # type: ignore[misc]  # a lambda's default has no type
        for event in found:
            yield event
        if len(found) < hubs.BATCH:
            return
        at = found[-1].position


async def _next(listener: hubs.Listener, stopping: asyncio.Task[Any]) -> Event | None:
    """The next event, None when nothing came for a while or the process ends."""
    waiting = asyncio.create_task(listener.queue.get())
    await asyncio.wait({waiting, stopping}, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        return waiting.result()
    waiting.cancel()
    return None


def _revoked(claims: Claims) -> bool:
    with pool.connection() as conn:
        return auth.revoked(conn, claims)
