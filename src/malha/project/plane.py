"""The plane: NGSI-LD, tiles, event streams. Starlette and psycopg; nothing importable from here reaches Django."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from malha.context.broker import express, pool, turns
from malha.context.broker import plane as broker
from malha.context.broker.door import Handler
from malha.context.federation import plane as federation
from malha.context.federation.asking import wire
from malha.context.federation.registrations import registry
from malha.context.live import hub
from malha.context.live import plane as live
from malha.context.snapshots import filling
from malha.context.snapshots import plane as snapshots
from malha.context.subscriptions import plane as subscriptions
from malha.foundation.access import reach
from malha.history.temporal import kept
from malha.history.temporal import plane as temporal
from malha.ingest.devices import plane as devices
from malha.ingest.runs import queries as loads
from malha.project import entrance, openapi, operating
from malha.share.datahub import plane as datahub
from malha.share.sensorthings import plane as sensorthings
from malha.vocabulary.models import service as models

#: first step of every path that the plane answers, after the tenant's own step
PREFIXES = frozenset(
    {"ngsi-ld", "federation", "tiles", "events", "history", "devices", "health", "odata", "delta-sharing", "ogc", "hub", "sensorthings", "openapi.json"}
)

#: how long a thread that works keeps the event loop waiting, which has all requests in hand: Python's own 5 ms would be one wait after another
SWITCH_SECONDS = 0.0005
#: objects that may be made, less those that went, before the collector looks at the new ones
GARBAGE = 20_000


async def health(_request: Request) -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok")


def around(method: str, path: str, handler: Handler) -> Handler:
    """The broker's handler of an operation, with other sources in it, or inside a snapshot where the request names one."""
    return snapshots.around(method, path, federation.around(method, path, handler))


def routes() -> list[BaseRoute]:
    """The routes of every room that has a `plane.py`."""
    every: list[BaseRoute] = [
        Route("/health", health),
        *temporal.routes(loads.told),
        *subscriptions.routes(),
        *federation.routes(),
        *snapshots.routes(kept.found),
        *broker.routes(around),
        *live.routes(),
        *devices.routes(),
        *datahub.routes(),
        *sensorthings.routes(),
    ]
    return [openapi.route(every), *every]


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Streams end when the process is asked to (the server waits for them), connections close with it."""
    before = _end_streams_on(signal.SIGTERM, signal.SIGINT)
    operating.ending.clear()
    sys.setswitchinterval(SWITCH_SECONDS)
    _leave_what_stays()
    entrance.make_room()
    await express.open_lane()
    try:
        yield
    finally:
        hub.stop_all()
        await filling.stop()
        await wire.close()
        await express.close_lane()
        pool.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_what_stays() -> None:
    """Have the collector of cycles leave what the start made, which stays, and look less often at what requests make, which mostly goes by itself.

    Else a batch of a thousand entities, which makes some hundred thousand objects, is stopped a hundred times, now and then for a walk over all there is.
    """
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE, 10, 10)


def _end_streams_on(*numbers: signal.Signals) -> dict[signal.Signals, Any]:
    """Put the end of the streams before what the server does at a signal. Returns the handlers as they were."""
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is not threading.main_thread():
        return before
    for number in numbers:
        handler = before[number] = signal.getsignal(number)

        def stop(received: int, frame: Any, then: Any = handler) -> None:
            operating.ending.set()
            hub.stop_all()
            if callable(then):
                then(received, frame)

        signal.signal(number, stop)
    return before


class TenantPath:
    """Take the tenant's step off the path: `/<slug>/ngsi-ld/…` reaches the same routes with `scope["malha.slug"]`."""

    def __init__(self, app: ASGIApp, straight: Callable[[Scope], ASGIApp | None]) -> None:
        self.app, self.straight = app, straight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            account = express.account(scope)
            pool.account.set(account)
            turns.heard.note(account)
            slug, _, rest = scope["path"].removeprefix("/").partition("/")
            if slug not in PREFIXES and rest.partition("/")[0] in PREFIXES:
                scope["malha.path"] = f"/{rest}"  # for whoever watches from outside
                scope = {**scope, "path": f"/{rest}", "root_path": f"/{slug}", "malha.slug": slug}
            if (straight := self.straight(scope)) is not None:
                await straight(scope, receive, send)
                return
        await self.app(scope, receive, send)


def belongs_to_plane(path: str) -> bool:
    """Whether the plane answers `path`, with or without a tenant's step before it."""
    first, _, rest = path.removeprefix("/").partition("/")
    return path in operating.ADDRESSES or first in PREFIXES or rest.partition("/")[0] in PREFIXES


def application() -> ASGIApp:
    """The plane as an ASGI callable."""
    reach.provide_categories(models.types_of_theme)
    if registry.look not in express.looks:
        express.looks.append(registry.look)
    app = Starlette(routes=routes(), lifespan=lifespan, exception_handlers={404: broker.not_found, 405: broker.not_allowed})
    return operating.Watched(TenantPath(app, broker.straight(around)))
