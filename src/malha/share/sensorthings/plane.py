"""SensorThings 1.1 on the plane: `/sensorthings/v1.1/…`, with or without the tenant's step before it."""

from __future__ import annotations

from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.context.broker import door, reading
from malha.context.broker import rendering as broker
from malha.context.broker.contracts import Asked, UnsupportedMedia
from malha.foundation.access.contracts import Capability
from malha.kernel.text import msg
from malha.share.datahub import door as hub
from malha.share.sensorthings import asking, batch, operations
from malha.share.sensorthings.contracts import SETS
from malha.share.sensorthings.relations import view

ROOT = "/sensorthings/v1.1"
_SPEC = "http://www.opengis.net/spec/iot_sensing/1.1/req/"
CONFORMANCE = [
    *(f"{_SPEC}datamodel/{name}" for name in ("thing", "location", "historical-location", "datastream", "sensor", "observed-property", "observation", "feature-of-interest")),
    f"{_SPEC}resource-path/resource-path-to-entities",
    *(f"{_SPEC}request-data/{name}" for name in ("order", "expand", "select", "top", "skip", "count", "filter", "built-in-filter-operations", "built-in-query-functions", "pagination", "status-codes")),
    *(f"{_SPEC}create-update-delete/{name}" for name in ("create-entity", "link-to-existing-entities", "deep-insert", "deep-insert-status-code", "update-entity", "delete-entity")),
    f"{_SPEC}data-array/data-array", f"{_SPEC}batch-request/batch-request",
]  # fmt: skip


def routes() -> list[BaseRoute]:
    """Each guarded as the broker's own."""
    return [
        Route(path, door.guarded(handler), methods=[method])
        for path, method, handler in (
            (ROOT, "GET", root), (f"{ROOT}/", "GET", root), (f"{ROOT}/{operations.MANY}", "POST", create_observations), (f"{ROOT}/$batch", "POST", several),
            (f"{ROOT}/{{path:path}}", "GET", get), (f"{ROOT}/{{path:path}}", "POST", post), (f"{ROOT}/{{path:path}}", "DELETE", delete), (f"{ROOT}/{{path:path}}", "PATCH", patch),
        )
    ]  # fmt: skip


def _base(request: Request, conn: psycopg.Connection[Any], who: Asked) -> str:
    slug = str(request.scope.get("malha.slug", ""))
    if not slug:
        row = conn.execute("SELECT slug FROM organisation WHERE id = %s", [who.tenant_id]).fetchone()
        slug = str(row[0]) if row else ""
    return hub.base_of(request, slug) + ROOT


async def root(request: Request) -> Response:
    """GET /: the kinds, and what is kept of the standard (§9.2.1)."""

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        base = _base(request, conn, who)
        body = {"value": [{"name": name, "url": f"{base}/{name}"} for name in SETS], "serverSettings": {"conformance": CONFORMANCE}}
        return broker.plain(body)

    return await door.read(request, work)


async def get(request: Request) -> Response:
    """GET of a collection, one thing, a field, a value, or references."""
    path = asking.path(request.path_params["path"])
    options = asking.options(path.last.kind, request.query_params.multi_items())

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        return operations.read(view(conn, who, _base(request, conn, who)), path, options)

    return await door.read(request, work)


async def _body(request: Request) -> Any:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != reading.JSON:
        raise UnsupportedMedia(msg("Envie application/json, não “{found}”."), found=media[:80])
    return reading.decode(await reading.body_of(request))


async def post(request: Request) -> Response:
    """POST to a collection: one thing, with what hangs on it (§10.2)."""
    path = operations.creatable(request.path_params["path"])
    said = await _body(request)
    return await door.write(request, None, lambda conn, who: operations.create(view(conn, who, _base(request, conn, who)), path, said))


async def create_observations(request: Request) -> Response:
    """POST /CreateObservations (§13.3)"""
    said = await _body(request)
    return await door.write(request, None, lambda conn, who: operations.create_observations(view(conn, who, _base(request, conn, who)), said))


async def patch(request: Request) -> Response:
    """PATCH of one thing (§10.3)."""
    path = operations.one_thing(request.path_params["path"], delete=False)
    said = await _body(request)
    return await door.write(request, None, lambda conn, who: operations.change(view(conn, who, _base(request, conn, who)), path, said))


async def delete(request: Request) -> Response:
    """DELETE of one thing (§10.4)."""
    path = operations.one_thing(request.path_params["path"], delete=True)
    return await door.write(request, None, lambda conn, who: operations.remove(view(conn, who, ""), path))


async def several(request: Request) -> Response:
    """POST /$batch: several requests in one (§11)."""
    asks = batch.read(request.headers.get("content-type", ""), await reading.body_of(request))
    onwards = "odata.continue-on-error" in request.headers.get("prefer", "").replace(" ", "").split(",")
    alone = [ask for one in asks for ask in (one if isinstance(one, list) else [one])]

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        if any(ask.method == "GET" for ask in alone):
            who.principal.require(Capability.DATA_READ)
        base = _base(request, conn, who)
        return batch.answer(asks, lambda: view(conn, who, base), lambda error: door.problem(error, request), onwards=onwards)

    if all(ask.method == "GET" for ask in alone):
        return await door.read(request, work)
    return await door.write(request, None, work)
