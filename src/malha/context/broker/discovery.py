"""Which types and attributes there are (GS CIM 009 §5.7.5–5.7.10, §6.25–6.28)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import attributes as names
from malha.context.broker import door, projection, rendering
from malha.context.broker.contracts import Asked, BadRequestData, ResourceMissing
from malha.context.store import service as store
from malha.context.store.contracts import AttributeUse
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts

_LISTS, _ONE = frozenset({"details", "local", "count"}), frozenset({"local"})


def _details(request: Request) -> bool:
    said = request.query_params.get("details", "false")
    if said not in {"true", "false"}:
        raise BadRequestData(msg("“{name}” é true ou false."), name="details")
    return said == "true"


type Look = Callable[[Request, Callable[[psycopg.Connection[Any], Asked], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Held:
    """What is looked through: how a transaction is had, the types there with how many entities, and the attributes of a type, or one attribute by its name."""

    look: Look
    types: Callable[[psycopg.Connection[Any], Asked], Mapping[str, int]]
    uses: Callable[[psycopg.Connection[Any], Asked, str, str], Sequence[AttributeUse]]


def _used(conn: psycopg.Connection[Any], who: Asked, entity_type: str, name: str) -> list[AttributeUse]:
    """Which attributes entities of which types have, within the reader's reach."""
    return [use for use in store.attribute_uses(conn, who.tenant_id, entity_type, name) if door.within_reach(who, (use.type,))]


def _types(conn: psycopg.Connection[Any], who: Asked) -> dict[str, int]:
    return {name: count for name, count, _ in store.types(conn, who.tenant_id) if door.within_reach(who, (name,))}


LIVE = Held(door.read, _types, _used)


def _counted(request: Request, payload: Any, total: int, want: rendering.Wanted) -> Response:
    headers = {"NGSILD-Results-Count": str(total)} if request.query_params.get("count") == "true" else {}
    return rendering.answer(payload, want, headers=headers)


async def types(request: Request, held: Held = LIVE) -> Response:
    """GET /types, with attributes when `details=true`"""
    projection.check_parameters(request, _LISTS)
    details = _details(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[Any, int, rendering.Wanted]:
        want, found = rendering.wanted(request, who.context), held.types(conn, who)
        compact = want.context.compact
        if not details:
            return {"id": f"urn:ngsi-ld:EntityTypeList:{uuid4()}", "type": "EntityTypeList", "typeList": [compact(name) for name in found]}, len(found), want
        used = held.uses(conn, who, "", "")
        return [
            {
                "id": contexts.iri_of(name),
                "type": "EntityType",
                "typeName": compact(name),
                "attributeNames": sorted(compact(use.name) for use in used if use.type == name),
            }
            for name in found
        ], len(found), want  # fmt: skip

    payload, total, want = await held.look(request, work)
    return _counted(request, payload, total, want)


async def type_(request: Request, held: Held = LIVE) -> Response:
    """GET /types/{type}"""
    projection.check_parameters(request, _ONE)

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[Any, rendering.Wanted]:
        want = rendering.wanted(request, who.context)
        name = want.context.expand(_named(request, "type"))
        found = held.types(conn, who)
        if name not in found:
            raise ResourceMissing(msg("Não há nenhuma entidade do tipo “{type}”."), type=name)
        details = [
            {"id": contexts.iri_of(use.name), "type": "Attribute", "attributeName": want.context.compact(use.name), "attributeTypes": list(use.kinds)}
            for use in held.uses(conn, who, name, "")
        ]
        return {
            "id": contexts.iri_of(name), "type": "EntityTypeInfo", "typeName": want.context.compact(name), "entityCount": found[name], "attributeDetails": details,
        }, want  # fmt: skip

    payload, want = await held.look(request, work)
    return rendering.answer(payload, want)


def _named(request: Request, parameter: str) -> str:
    said = str(request.path_params[parameter])
    if not names.usable_name(said):
        raise BadRequestData(msg("O nome “{name}” não serve para um atributo."), name=said[:80])
    return said


async def attributes(request: Request, held: Held = LIVE) -> Response:
    """GET /attributes, with the types that have them when `details=true`"""
    projection.check_parameters(request, _LISTS)
    details = _details(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[Any, int, rendering.Wanted]:
        want = rendering.wanted(request, who.context)
        compact = want.context.compact
        by_name: dict[str, list[str]] = {}
        for use in held.uses(conn, who, "", ""):
            by_name.setdefault(use.name, []).append(use.type)
        if not details:
            listed = sorted(map(compact, by_name))
            return {"id": f"urn:ngsi-ld:AttributeList:{uuid4()}", "type": "AttributeList", "attributeList": listed}, len(by_name), want
        return [
            {"id": contexts.iri_of(name), "type": "Attribute", "attributeName": compact(name), "typeNames": sorted(map(compact, of))}
            for name, of in sorted(by_name.items())
        ], len(by_name), want  # fmt: skip

    payload, total, want = await held.look(request, work)
    return _counted(request, payload, total, want)


async def attribute(request: Request, held: Held = LIVE) -> Response:
    """GET /attributes/{attr}"""
    projection.check_parameters(request, _ONE)

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[Any, rendering.Wanted]:
        want = rendering.wanted(request, who.context)
        name = want.context.expand(_named(request, "attr"))
        used = held.uses(conn, who, "", name)
        if not used:
            raise ResourceMissing(msg("Nenhuma entidade tem o atributo “{name}”."), name=name)
        return {
            "id": contexts.iri_of(name), "type": "Attribute", "attributeName": want.context.compact(name), "attributeCount": sum(use.count for use in used),
            "attributeTypes": sorted({kind for use in used for kind in use.kinds}), "typeNames": sorted(want.context.compact(use.type) for use in used),
        }, want  # fmt: skip

    payload, want = await held.look(request, work)
    return rendering.answer(payload, want)
