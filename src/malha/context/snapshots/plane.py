"""Routes of snapshots, and what the broker reads and writes of entities inside one."""

from __future__ import annotations

from functools import wraps

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.context.broker import discovery
from malha.context.broker.door import Handler, guarded
from malha.context.broker.plane import WRITES
from malha.context.snapshots import inside, operations
from malha.context.snapshots.contracts import HEADER, Evolutions

ROOT = "/ngsi-ld/v1/snapshots"


def routes(evolutions: Evolutions) -> list[BaseRoute]:
    """Every operation, each guarded. `evolutions` answers temporal queries: history lies further down the road."""

    async def create(request: Request) -> Response:
        """POST /snapshots: kept at once, filled afterwards"""
        return await operations.create(evolutions, request)

    return [
        *(Route(ROOT + end, guarded(create), methods=["POST"]) for end in ("", "/")),
        *(Route(ROOT + end, guarded(operations.purge), methods=["DELETE"]) for end in ("", "/")),
        Route(ROOT + "/{id:path}/clone", guarded(operations.clone), methods=["POST"]),
        Route(ROOT + "/{id:path}", guarded(operations.retrieve), methods=["GET"]),
        Route(ROOT + "/{id:path}", guarded(operations.change), methods=["PATCH"]),
        Route(ROOT + "/{id:path}", guarded(operations.delete), methods=["DELETE"]),
    ]


_ROADS: dict[tuple[str, str], Handler] = {
    ("GET", "/entities"): inside.question,
    ("GET", "/entities/{id}"): inside.retrieve,
    ("POST", "/entityOperations/query"): inside.question,
    **{at: inside.placed(handler, writes=True) for at, handler in WRITES.items()},
    ("GET", "/types"): inside.listed(discovery.types),
    ("GET", "/types/{type:path}"): inside.listed(discovery.type_),
    ("GET", "/attributes"): inside.listed(discovery.attributes),
    ("GET", "/attributes/{attr:path}"): inside.listed(discovery.attribute),
}


def around(method: str, path: str, handler: Handler) -> Handler:
    """The broker's handler, or the one inside a snapshot where the request names one."""
    road = _ROADS.get((method, path.rstrip("/")))
    if road is None:
        return handler

    @wraps(handler)
    async def answer(request: Request) -> Response:
        return await (road if HEADER in request.headers else handler)(request)

    return answer
