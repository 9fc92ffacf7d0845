"""The temporal doors on the plane: the evolution of an entity (GS CIM 009 §5.7.3) and series for charts."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.context.broker import door, pool
from malha.context.broker import rendering as entities
from malha.context.broker.contracts import Asked, ResourceMissing
from malha.context.store import service as store
from malha.context.store.contracts import EntityNotFound, StoredEntity
from malha.history.temporal import asking, rendering, service
from malha.history.temporal.contracts import Series, SeriesQuery
from malha.kernel.text import msg
from malha.vocabulary.models import service as models

#: never numbers over time
_STEADY = frozenset({"location"})


def routes() -> list[BaseRoute]:
    """Each guarded as the broker's own."""
    return [
        Route("/ngsi-ld/v1/temporal/entities/{id:path}", door.guarded(retrieve), methods=["GET"]),
        Route("/history/series", door.guarded(series), methods=["GET"]),
    ]


async def retrieve(request: Request) -> Response:
    """GET /temporal/entities/{id}: what the entity's attributes were."""
    question = asking.temporal(request.query_params)
    uri = request.path_params["id"]

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[StoredEntity, Asked, ZoneInfo]:
        entity = store.retrieve(conn, who.tenant_id, uri)
        if not door.within_reach(who, entity.types):
            raise EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
        return entity, who, _zone(conn, who.tenant_id)

    entity, who, zone = await door.read(request, look)
    wished = {who.context.expand(name.strip()) for name in request.query_params.get("attrs", "").split(",") if name.strip()}
    attributes = [name for name in entity.attributes if not wished or name in wished]
    if wished and not attributes:
        raise ResourceMissing(msg("A entidade “{uri}” não tem nenhum desses atributos."), uri=uri)
    options = request.query_params.get("options", "").split(",")
    want = entities.Wanted(context=who.context, media=entities.negotiated(request))

    def answer() -> dict[str, Any]:
        compact = who.context.compact
        if question.methods:
            return rendering.aggregated(_aggregates(who.tenant_id, entity, attributes, question), question.grain, zone, compact)
        found = service.evolution(who.tenant_id, uri, attributes, question.start, question.end, question.last_n)
        return rendering.temporal_values(found, compact) if "temporalValues" in options else rendering.instances(found, compact, who.tenant_id)

    types = [who.context.compact(name) for name in entity.types]
    shown = await pool.run(answer)
    return entities.answer({"id": uri, "type": types[0] if len(types) == 1 else types, **shown}, want)


async def series(request: Request) -> Response:
    """GET /history/series: the JSON of a chart."""
    query = asking.chart(request.query_params)

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Asked, ZoneInfo, dict[str, str]]:
        door.require_reach(who, (query.type,))
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
        return rendering.chart(query, found, names, title=title, unit=prop.unit if prop else "", zone=zone, source=source)

    return entities.plain(await pool.run(answer), headers={"Cache-Control": "private, max-age=30"})


def _aggregates(tenant_id: int, entity: StoredEntity, attributes: list[str], question: asking.TemporalQuestion) -> dict[str, dict[str, Series]]:
    found: dict[str, dict[str, Series]] = {}
    for attribute in attributes:
        if attribute in _STEADY:
            continue
        for method in question.methods:
            query = SeriesQuery(
                entity.types[0], attribute, question.start, question.end, (entity.uri,), question.grain, asking.METHODS[method], limit=question.last_n
            )
            for one in service.series(tenant_id, query):
                found.setdefault(attribute, {})[method] = one
    return found


def _zone(conn: psycopg.Connection[Any], tenant_id: int) -> ZoneInfo:
    row = conn.execute("SELECT time_zone FROM organisation WHERE id = %s", [tenant_id]).fetchone()
    return ZoneInfo(row[0] if row else "Europe/Lisbon")
