"""The temporal doors on the plane: how entities evolved (GS CIM 009 §6.18 to §6.24) and series for charts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial, wraps
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.context.broker import door, pool
from malha.context.broker import rendering as entities
from malha.context.broker.contracts import Asked, NotPermitted, ResourceMissing
from malha.context.federation.gathering import past_maps
from malha.context.federation.gathering.past import Alone
from malha.context.snapshots import inside as snapshot
from malha.context.snapshots.contracts import HEADER
from malha.context.store import service as store
from malha.context.store.contracts import StoredEntity
from malha.foundation.access import subjects
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.history.temporal import asking, consumption, provision, rendering, service, summing, tracks, values
from malha.history.temporal.contracts import Correction, Teller
from malha.kernel.text import msg
from malha.vocabulary.models import service as models

ROOT = "/ngsi-ld/v1/temporal"


def routes(loads: Teller) -> list[BaseRoute]:
    """Each guarded as the broker's own. `loads` says who brought what a load brought, and why: loads lie further down the road."""
    table: list[tuple[str, str, door.Handler]] = [
        ("PATCH", "/entities/{id:path}/attrs/{attr}/{instance}", provision.change_instance),
        ("DELETE", "/entities/{id:path}/attrs/{attr}/{instance}", provision.delete_instance),
        ("DELETE", "/entities/{id:path}/attrs/{attr}", provision.delete_attribute),
        ("POST", "/entities/{id:path}/attrs", provision.append),
        ("GET", "/entities/{id:path}", consumption.retrieve),
        ("DELETE", "/entities/{id:path}", provision.delete),
        ("GET", "/entities", consumption.query),
        ("GET", "/entityMaps", consumption.create_map),
        ("POST", "/entities", provision.create),
        ("POST", "/entityOperations/query", consumption.query),
    ]
    table += [(method, f"{path}/", handler) for method, path, handler in table if not path.endswith("}")]
    table.sort(key=lambda row: row[1].endswith("/{id:path}"))  # an id may hold a slash
    reading = {consumption.retrieve, consumption.query, consumption.create_map}
    ngsild = [
        Route(
            ROOT + path,
            door.guarded(
                _with_sources(handler) if handler in reading else handler,
                limited=handler in reading,
                averages=True,
                snapshots=handler in reading - {consumption.create_map},
            ),
            methods=[method],
        )
        for method, path, handler in table
    ]

    async def history_values(request: Request) -> Response:
        """GET /history/values: a page of one attribute's history as JSON, CSV, Arrow or Parquet; a corrected value says what it was, when, by whom and why it was corrected."""
        return await _values(loads, request)

    people = [("/history/series", series), ("/history/values", history_values)]
    return [
        *ngsild,
        Route("/history/track", door.guarded(track, limited=True), methods=["GET"]),
        *(Route(path, door.guarded(handler, limited=True, averages=True), methods=["GET"]) for path, handler in people),
    ]


def _with_sources(handler: door.Handler) -> door.Handler:
    """A reading with what other sources have in it; of a snapshot alone where the request names one."""
    if handler is consumption.create_map:
        return past_maps.making(handler, Alone(consumption.query, partial(consumption.ids, needed=True), summing.of_told))
    far, near = past_maps.around(Alone(handler, consumption.ids, summing.of_told)), snapshot.placed(handler, past=True)

    @wraps(handler)
    async def answer(request: Request) -> Response:
        return await (near if HEADER in request.headers else far)(request)

    return answer


async def series(request: Request) -> Response:
    """GET /history/series: the JSON of a chart."""
    query = asking.chart(request.query_params)

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Asked, ZoneInfo, dict[str, str]]:
        door.require_reach(who, (query.type,))
        if query.attribute in door.personal(who, (query.type,)):
            raise NotPermitted(msg("O atributo “{name}” é sobre pessoas; o seu acesso não o abrange."), name=query.attribute)
        named = "SELECT uri, doc->'name'->>'value' FROM entities WHERE tenant_id = %s AND uri = ANY(%s)"
        rows = conn.execute(named, [who.tenant_id, list(query.uris)]).fetchall() if query.uris else []
        return who, _zone(conn, who.tenant_id), {row[0]: row[1] or row[0] for row in rows}

    who, zone, names = await door.read(request, look)

    def answer() -> dict[str, Any]:
        model = models.find(query.type, who.tenant_id)
        prop = model.find(query.attribute) if model else None
        title = prop.label.in_language(who.language) if prop else query.attribute
        source = model.label.in_language(who.language) if model else query.type
        found = service.series(who.tenant_id, query)
        drawn = rendering.chart(query, found, names, title=title, unit=prop.unit if prop else "", zone=zone, source=source)
        corrected = service.corrected(who.tenant_id, query)
        return drawn | {"corrected": rendering.marks(found, corrected)} if corrected else drawn

    return entities.plain(await pool.run(answer), headers={"Cache-Control": "private, max-age=30"})


async def _values(loads: Teller, request: Request) -> Response:
    query = values.read(request.query_params)
    values.form(request)  # a form that is not there is said before anything is read

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Asked, ZoneInfo]:
        door.require_reach(who, (query.type,))
        if query.attribute in door.personal(who, (query.type,)):
            raise NotPermitted(msg("O atributo “{name}” é sobre pessoas; o seu acesso não o abrange."), name=query.attribute)
        return who, _zone(conn, who.tenant_id)

    who, zone = await door.read(request, look)

    def answer() -> Response:
        model = models.find(query.type, who.tenant_id)
        prop = model.find(query.attribute) if model else None
        found = service.series(who.tenant_id, query)
        corrected = service.corrected(who.tenant_id, query)
        return values.respond(request, query, found, _told(loads, who, corrected), unit=prop.unit if prop else "", zone=zone)

    return await pool.run(answer)


def _told(loads: Teller, who: Asked, corrected: Mapping[tuple[str, datetime], Correction]) -> values.Corrected:
    """Corrections with who made them, named as far as the reader may know, and why."""
    if not corrected:
        return values.Corrected({}, {}, {})
    with pool.connection() as conn, database.tenant_transaction(conn, [who.tenant_id]):
        told = loads(conn, who.tenant_id, sorted({one.by_run for one in corrected.values() if one.by_run is not None}))
        actors = {one.told(told)[0] for one in corrected.values()} - {""}
        return values.Corrected(corrected, told, subjects.names(conn, actors, who.language, people=subjects.may_name(who.principal)))


async def track(request: Request) -> Response:
    """GET /history/track: where a thing that moves was over a period, as a line; with `at`, where it was at that instant."""
    asked = asking.track(request.query_params)

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Asked, StoredEntity, bool]:
        entity = store.retrieve(conn, who.tenant_id, asked.uri)
        if not door.within_reach(who, entity.types):
            raise ResourceMissing(msg("Não há nenhuma entidade “{uri}”."), uri=asked.uri)
        if "location" in door.personal(who, entity.types):
            raise NotPermitted(msg("O atributo “{name}” é sobre pessoas; o seu acesso não o abrange."), name="location")
        return who, entity, who.principal.may(Capability.PERSONAL_READ)

    who, entity, personal = await door.read(request, look)

    def answer() -> dict[str, Any]:
        found = service.track(who.tenant_id, entity, asked.start, asked.end, personal=personal, fastest_km_h=asked.fastest_km_h)
        return tracks.feature(entity.uri, found) if asked.at is None else tracks.placed(entity.uri, found, asked.at)

    return entities.plain(await pool.run(answer), headers={"Cache-Control": "private, max-age=30"}, media="application/geo+json")


def _zone(conn: psycopg.Connection[Any], tenant_id: int) -> ZoneInfo:
    row = conn.execute("SELECT time_zone FROM organisation WHERE id = %s", [tenant_id]).fetchone()
    return ZoneInfo(row[0] if row else "Europe/Lisbon")
