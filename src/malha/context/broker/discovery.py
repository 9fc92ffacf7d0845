"""Which types and attributes there are (GS CIM 009 §5.7.5–5.7.10, §6.25–6.28)."""

from __future__ import annotations

from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, rendering
from malha.context.broker.contracts import Asked, ResourceMissing
from malha.context.store import service as store
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts


def _types(conn: psycopg.Connection[Any], who: Asked) -> dict[str, int]:
    return {name: count for name, count, _ in store.types(conn, who.tenant_id) if door.within_reach(who, (name,))}


async def types(request: Request) -> Response:
    """GET /types, with attributes when `details=true`"""
    details = request.query_params.get("details") == "true"

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[Any, rendering.Wanted]:
        want, found = rendering.wanted(request, who.context), _types(conn, who)
        compact = want.context.compact
        if not details:
            return {"id": "urn:malha:types", "type": "EntityTypeList", "typeList": [compact(name) for name in found]}, want
        return [
            {
                "id": contexts.iri_of(name),
                "type": "EntityType",
                "typeName": compact(name),
                "attributeNames": sorted(map(compact, store.attribute_names(conn, who.tenant_id, name))),
            }
            for name in found
        ], want

    payload, want = await door.read(request, work)
    return rendering.answer(payload, want)


async def type_(request: Request) -> Response:
    """GET /types/{type}"""

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[Any, rendering.Wanted]:
        want = rendering.wanted(request, who.context)
        name = want.context.expand(request.path_params["type"])
        found = _types(conn, who)
        if name not in found:
            raise ResourceMissing(msg("Não há nenhuma entidade do tipo “{type}”."), type=name)
        attributes = sorted(store.attribute_names(conn, who.tenant_id, name))
        details = [{"id": contexts.iri_of(a), "type": "Attribute", "attributeName": want.context.compact(a)} for a in attributes]
        return {
            "id": contexts.iri_of(name), "type": "EntityTypeInfo", "typeName": want.context.compact(name), "entityCount": found[name], "attributeDetails": details,
        }, want  # fmt: skip

    payload, want = await door.read(request, work)
    return rendering.answer(payload, want)


async def attributes(request: Request) -> Response:
    """GET /attributes"""

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[Any, rendering.Wanted]:
        want = rendering.wanted(request, who.context)
        found = {a for name in _types(conn, who) for a in store.attribute_names(conn, who.tenant_id, name)}
        return {"id": "urn:malha:attributes", "type": "AttributeList", "attributeList": sorted(map(want.context.compact, found))}, want

    payload, want = await door.read(request, work)
    return rendering.answer(payload, want)
