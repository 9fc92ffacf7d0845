"""The plane: NGSI-LD, tiles, event streams. Starlette and psycopg; nothing importable from here reaches Django."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from malha.context.broker import plane as broker
from malha.context.broker import pool

#: first step of every path that the plane answers, after the tenant's own step
PREFIXES = frozenset({"ngsi-ld", "tiles", "events", "health"})


async def health(_request: Request) -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok")


def routes() -> list[BaseRoute]:
    """The routes of every room that has a `plane.py`."""
    return [Route("/health", health), *broker.routes()]


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Connections close with the process."""
    try:
        yield
    finally:
        pool.close()


class TenantPath:
    """Take the tenant's step off the path: `/<slug>/ngsi-ld/…` reaches the same routes with `scope["malha.slug"]`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            slug, _, rest = scope["path"].removeprefix("/").partition("/")
            if slug not in PREFIXES and rest.partition("/")[0] in PREFIXES:
                scope = {**scope, "path": f"/{rest}", "root_path": f"/{slug}", "malha.slug": slug}
        await self.app(scope, receive, send)


def belongs_to_plane(path: str) -> bool:
    """Whether the plane answers `path`, with or without a tenant's step before it."""
    first, _, rest = path.removeprefix("/").partition("/")
    return first in PREFIXES or rest.partition("/")[0] in PREFIXES


def application() -> ASGIApp:
    """The plane as an ASGI callable."""
    return TenantPath(Starlette(routes=routes(), lifespan=lifespan))
