"""The OpenAPI 3.1 description of the plane, made from its routes and what each room says of them (`description.py`)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.context.broker import description as broker
from malha.context.broker import plane as broker_plane
from malha.context.snapshots import description as snapshots
from malha.context.snapshots import plane as snapshots_plane
from malha.context.subscriptions import description as subscriptions
from malha.context.subscriptions import plane as subscriptions_plane
from malha.history.temporal import description as temporal
from malha.kernel.openapi import Operation, Parameter, of_path, path_of
from malha.share.sensorthings import description as sensorthings

ADDRESS = "/openapi.json"
_TAGS = (
    ("/ngsi-ld/v1/temporal", "History"), ("/ngsi-ld/v1/subscriptions", "Subscriptions"), ("/ngsi-ld", "NGSI-LD"), ("/history", "History"), ("/sensorthings", "SensorThings"),
    ("/odata", "OData"), ("/ogc", "OGC API"), ("/delta-sharing", "Delta Sharing"), ("/hub", "Files"), ("/devices", "Devices"), ("/tiles", "Tiles"), ("/events", "Live"),
)  # fmt: skip
_PROBLEM = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "title": {"type": "string"}, "detail": {"type": "string"}, "status": {"type": "integer"}},
}


def known() -> dict[str, Operation]:
    """What the rooms say, by `METHOD path`."""
    below = [
        (broker_plane.ROOT, broker.OPERATIONS),
        (snapshots_plane.ROOT, snapshots.OPERATIONS),
        (subscriptions_plane.ROOT, subscriptions.OPERATIONS),
        ("", temporal.OPERATIONS),
        ("", sensorthings.OPERATIONS),
    ]
    return {f"{method} {root}{path}": said for root, operations in below for key, said in operations.items() for method, _, path in [key.partition(" ")]}


def document(routes: Sequence[BaseRoute], root: str = "") -> dict[str, Any]:
    """The description of these routes, at `root` (a tenant's step, or nothing)."""
    said = known()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if not isinstance(route, Route) or (route.path.endswith("/") and len(route.path) > 1) or route.path in {ADDRESS, sensorthings.BEHIND}:
            continue
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
            path = path_of(route.path)
            paths.setdefault(path, {})[method.lower()] = _operation(
                method, path, of_path(route.path), said.get(f"{method} {path}", Operation()), _first_line(route)
            )
    for key, one in said.items():
        method, _, path = key.partition(" ")
        if path not in paths or method.lower() not in paths[path]:
            paths.setdefault(path, {})[method.lower()] = _operation(method, path, [], one, one.says)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Malha", "version": version("malha"), "license": {"name": "EUPL-1.2", "identifier": "EUPL-1.2"}, "description": "NGSI-LD, SensorThings, OData, OGC API, history and live streams of one tenant."},
        "servers": [{"url": root or "/"}],
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}, "schemas": {"Problem": _PROBLEM}},
    }  # fmt: skip


def _first_line(route: Route) -> str:
    lines = (inspect.getdoc(route.endpoint) or route.name).splitlines()
    return lines[0]


def _operation(method: str, path: str, inside: list[Parameter], said: Operation, summary: str) -> dict[str, Any]:
    problem = {"description": "Problem (RFC 9457)", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    done: Mapping[str, Any] = {"description": "Done", "content": {said.answers: {}}}
    words = [step.strip("{}$()") for step in path.split("/")]
    body: dict[str, Any] = {
        "operationId": "_".join([method.lower(), *(word for word in words if word)]).replace("{", "").replace("}", "").replace("(", "_").replace(".", "_"),
        "summary": said.says or summary,
        "tags": [next((tag for start, tag in _TAGS if path.startswith(start)), "Service")],
        "parameters": [one.written() for one in (*inside, *said.parameters)],
        "responses": {"2XX": done, "4XX": problem, "5XX": problem},
    }
    if said.body is not None:
        body["requestBody"] = {"required": True, "content": {media: {"schema": dict(said.body)} for media in said.media}}
    return body


def route(others: Sequence[BaseRoute]) -> Route:
    """GET /openapi.json: open to all, since it says what there is to ask and nothing of what there is."""

    async def describe(request: Request) -> Response:
        """This description."""
        body = document(others, str(request.scope.get("root_path", "")))
        return Response(
            msgspec.json.encode(body),
            media_type="application/vnd.oai.openapi+json;version=3.1",
            headers={"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"},
        )

    return Route(ADDRESS, describe, methods=["GET"])
