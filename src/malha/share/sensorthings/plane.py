"""SensorThings 1.1 on the plane: `/sensorthings/v1.1/…`, with or without the tenant's step before it."""

from __future__ import annotations

from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from malha.context.broker import door, reading
from malha.context.broker import rendering as broker
from malha.context.broker.contracts import Asked, UnsupportedMedia
from malha.kernel.text import msg
from malha.share.datahub import door as hub
from malha.share.sensorthings import asking, changing, creating, fetching, rendering
from malha.share.sensorthings.asking import Path, Step
from malha.share.sensorthings.contracts import SETS, BadRequest, EntitySet, NoSuchThing, NotOffered, Options, Page
from malha.share.sensorthings.relations import View, view

ROOT = "/sensorthings/v1.1"
_SPEC = "http://www.opengis.net/spec/iot_sensing/1.1/req/"
CONFORMANCE = [
    *(f"{_SPEC}datamodel/{name}" for name in ("thing", "location", "historical-location", "datastream", "sensor", "observed-property", "observation", "feature-of-interest")),
    f"{_SPEC}resource-path/resource-path-to-entities",
    *(f"{_SPEC}request-data/{name}" for name in ("order", "expand", "select", "top", "skip", "count", "filter", "built-in-filter-operations", "built-in-query-functions", "pagination", "status-codes")),
    *(f"{_SPEC}create-update-delete/{name}" for name in ("create-entity", "link-to-existing-entities", "deep-insert", "deep-insert-status-code", "update-entity", "delete-entity")),
    f"{_SPEC}data-array/data-array",
]  # fmt: skip


def routes() -> list[BaseRoute]:
    """Each guarded as the broker's own."""
    return [
        Route(path, door.guarded(handler), methods=[method])
        for path, method, handler in (
            (ROOT, "GET", root), (f"{ROOT}/", "GET", root), (f"{ROOT}/CreateObservations", "POST", create_observations),
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
        return _answer(view(conn, who, _base(request, conn, who)), path, options)

    return await door.read(request, work)


def _answer(seen: View, path: Path, options: Options) -> Response:
    kind = path.last.kind
    if path.is_collection:
        page, where = _page(seen, path, options)
        form = rendering.references if path.ref else rendering.collection
        return broker.plain(form(seen, kind, page, options, where))
    row = find(seen, path.steps)
    if path.fields:
        return _field(rendering.entities(seen, kind, [row], Options())[0], path)
    if path.ref:
        return broker.plain({"@iot.selfLink": rendering.address(seen, kind, row["id"])})
    return broker.plain(rendering.entities(seen, kind, [row], options)[0])


def _page(seen: View, path: Path, options: Options) -> tuple[Page, str]:
    last = path.last
    if last.link is None:
        return fetching.page(seen, last.kind, options), f"{seen.base}/{last.kind.name}"
    before = find(seen, path.steps[:-1])
    parent = path.steps[-2].kind
    where = f"{rendering.address(seen, parent, before['id'])}/{last.link.name}"
    if parent.name == "HistoricalLocations" and last.link.name == "Locations":
        return Page([rendering.past_location(before)], total=1 if options.count else None), where
    if before[last.link.here] is None:
        return Page(total=0 if options.count else None), where
    return fetching.page(seen, last.kind, options, only=(last.link.there, [before[last.link.here]])), where


def find(seen: View, steps: tuple[Step, ...]) -> dict[str, Any]:
    """The one row that steps lead to. Raises NoSuchThing."""
    row: dict[str, Any] | None = None
    for n, step in enumerate(steps):
        if step.link is None:
            row = _by_id(seen, step.kind, step.key)
        else:
            assert row is not None
            row = _along(seen, steps[n - 1].kind, row, step)
        if row is None:
            raise NoSuchThing(msg("Não há nada neste endereço."))
    assert row is not None
    return row


def _by_id(seen: View, kind: EntitySet, key: str) -> dict[str, Any] | None:
    if kind.name == "Locations" and ":" in key:
        past = fetching.one(seen, SETS["HistoricalLocations"], key)
        return rendering.past_location(past) if past else None
    return fetching.one(seen, kind, key)


def _along(seen: View, kind: EntitySet, row: dict[str, Any], step: Step) -> dict[str, Any] | None:
    link = step.link
    assert link is not None
    if kind.name == "HistoricalLocations" and link.name == "Locations":
        return rendering.past_location(row) if step.key == row["id"] else None
    if step.key:
        found = _by_id(seen, step.kind, step.key)
        return found if found is not None and found[link.there] == row[link.here] else None
    if row[link.here] is None:
        return None
    rows = fetching.page(seen, step.kind, Options(top=1), only=(link.there, [row[link.here]])).rows
    return rows[0] if rows else None


def _field(entity: dict[str, Any], path: Path) -> Response:
    value: Any = entity
    name = "@iot.id" if path.fields[0] == "id" else path.fields[0]
    for step in (name, *path.fields[1:]):
        if not isinstance(value, dict) or step not in value:
            if step == name:
                return Response(status_code=204)  # a field without a value (§9.2.4)
            raise NoSuchThing(msg("Não há nada neste endereço."))
        value = value[step]
    if not path.value:
        return broker.plain({path.fields[-1]: value})
    return PlainTextResponse(value) if isinstance(value, str) else broker.plain(value)


async def _body(request: Request) -> Any:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != reading.JSON:
        raise UnsupportedMedia(msg("Envie application/json, não “{found}”."), found=media[:80])
    return reading.decode(await reading.body_of(request))


async def post(request: Request) -> Response:
    """POST to a collection: one thing, with what hangs on it (§10.2)."""
    path = asking.path(request.path_params["path"])
    if not path.is_collection or path.ref:
        raise BadRequest(msg("Cria-se numa coleção: POST a Things, Observations ou outra."))
    if path.last.kind.name == "HistoricalLocations":
        raise NotOffered(msg("As posições de antes fazem-se sozinhas: mude a localização da coisa."))
    said = await _body(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        seen = view(conn, who, _base(request, conn, who))
        parent = (path.steps[-2].kind, find(seen, path.steps[:-1])) if path.last.link is not None else None
        key = creating.create(seen, path.last.kind, said, parent)
        seen = view(conn, who, seen.base)  # a type may be new
        row = _by_id(seen, path.last.kind, key)
        assert row is not None
        where = rendering.address(seen, path.last.kind, key)
        return broker.plain(rendering.entities(seen, path.last.kind, [row], Options())[0], status=201, headers={"Location": where})

    return await door.write(request, None, work)


async def create_observations(request: Request) -> Response:
    """POST /CreateObservations: observations of several datastreams as lists (§13.3); one address or "error" for each, in order."""
    said = await _body(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        seen = view(conn, who, _base(request, conn, who))
        keys = creating.create_observations(seen, said)
        return broker.plain([rendering.address(seen, SETS["Observations"], key) if key else "error" for key in keys], status=201)

    return await door.write(request, None, work)


async def patch(request: Request) -> Response:
    """PATCH of one thing: those members that are named (§10.3); what it is afterwards."""
    path = asking.path(request.path_params["path"])
    if path.is_collection or path.fields or path.ref:
        raise BadRequest(msg("Muda-se uma coisa de cada vez, pelo seu endereço."))
    said = await _body(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        seen = view(conn, who, _base(request, conn, who))
        changing.change(seen, path.last.kind, find(seen, path.steps), said)
        row = find(view(conn, who, seen.base), path.steps)
        return broker.plain(rendering.entities(seen, path.last.kind, [row], Options())[0])

    return await door.write(request, None, work)


async def delete(request: Request) -> Response:
    """DELETE of one thing (§10.4)."""
    path = asking.path(request.path_params["path"])
    if path.is_collection or path.fields or path.ref:
        raise BadRequest(msg("Apaga-se uma coisa de cada vez, pelo seu endereço."))

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        seen = view(conn, who, "")
        creating.delete(seen, path.last.kind, find(seen, path.steps))
        return Response(status_code=200)

    return await door.write(request, None, work)
