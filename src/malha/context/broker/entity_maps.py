"""Entity maps over HTTP: pages that stay the same while entities come and go (GS CIM 009 §5.5.14, §5.14, §6.32)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import attributes, door, reading, rendering
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest, ResourceMissing, TooComplex
from malha.context.store import maps
from malha.context.store.maps import EntityMap
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now, parse_instant

#: entities in one map; a question with more has to be made narrower
MOST = 50_000
USUAL, LONGEST = timedelta(minutes=10), timedelta(days=1)
HEADER = "NGSILD-EntityMap"
#: what a request says of its map, in its address or in its Query
WISHES = ("entityMap", "entityMapLifetime")
_SAID = "malha.map"
_LIFETIME = re.compile(r"P(?=.)(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})(?:\.\d+)?S)?)?")
_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)


def meant(request: Request) -> bool:
    """Whether a question goes on with a map, or asks for one."""
    return HEADER in request.headers or wanted(request)


def note(request: Request, query: Mapping[str, str]) -> None:
    """Let what a Query in the body says of a map (§5.2.23) count as what the address says."""
    request.scope[_SAID] = {name: query[name] for name in WISHES if name in query}


def wishes(request: Request) -> Mapping[str, str]:
    """What a request says of its map."""
    return {**{name: request.query_params[name] for name in WISHES if name in request.query_params}, **request.scope.get(_SAID, {})}


def wanted(request: Request) -> bool:
    """Whether a question asks for a map. Raises BadRequestData."""
    said = wishes(request).get("entityMap", "false")
    if said not in {"true", "false"}:
        raise BadRequestData(msg("“{name}” é true ou false."), name="entityMap")
    return said == "true" or "entityMap" in request.query_params.get("options", "").split(",")


def named(request: Request) -> str:
    """The id of the map that a request goes on with: the last step of its address, or the id alone."""
    return unquote(request.headers.get(HEADER, "").rsplit("/", 1)[-1])


def ends(params: Mapping[str, str]) -> datetime:
    """When a map ends that is asked for with `entityMapLifetime`; never later than this broker allows. Raises BadRequestData."""
    said = params.get("entityMapLifetime")
    if said is None:
        return now() + USUAL
    span = duration(said)
    if span is None:
        raise BadRequestData(msg("entityMapLifetime é uma duração, como PT10M."))
    return now() + min(max(span, timedelta(seconds=1)), LONGEST)


def duration(text: str) -> timedelta | None:
    """A duration of ISO 8601, in days of 24 hours, months of 30 and years of 365 days; None for what is none."""
    found = _LIFETIME.fullmatch(text)
    return timedelta(seconds=sum(int(part or 0) * each for part, each in zip(found.groups(), _SECONDS, strict=True))) if found else None


def subject(who: Asked) -> str:
    """Whose a map is: it tells ids, and so nobody else may read it."""
    return f"client:{who.principal.client_id}" if who.principal.client_id else f"person:{who.principal.person_id}"


def found(conn: psycopg.Connection[Any], who: Asked, request: Request, *, temporal: bool = False) -> EntityMap | None:
    """The map that the request goes on with; None where it asks for one or names one that is not there (any more)."""
    return maps.find(conn, who.tenant_id, subject(who), named(request), temporal=temporal) if HEADER in request.headers else None


def kept(
    conn: psycopg.Connection[Any], who: Asked, request: Request, uris: list[str], *, temporal: bool = False, places: dict[str, list[str]] | None = None,
    linked: Mapping[str, str] | None = None,
) -> EntityMap:  # fmt: skip
    """A new map of these entities. Raises TooComplex for too many."""
    if len(uris) > MOST:
        raise TooComplex(msg("A resposta tem mais de {most} entidades, que é o máximo de um mapa; restrinja a pergunta."), most=MOST)
    return maps.keep(conn, who.tenant_id, subject(who), uris, ends(wishes(request)), temporal=temporal, places=places, linked=linked)


def address(request: Request, one: EntityMap) -> str:
    """Where a map is read."""
    return f"{request.scope.get('root_path', '')}/ngsi-ld/v1/entityMaps/{quote(one.id, safe=':')}"


def document(one: EntityMap) -> dict[str, Any]:
    """A map as it is told (§5.2.39)."""
    return {
        "id": one.id,
        "type": "EntityMap",
        "expiresAt": format_instant(one.expires_at),
        "entityMap": {uri: one.places.get(uri, ["@none"]) for uri in one.uris},
        **({"linkedMaps": {name: unquote(place.rsplit("/", 1)[-1]) for name, place in one.linked.items()}} if one.linked else {}),
    }


def made(request: Request, one: EntityMap) -> Response:
    """201 with the map that was made (§6.34.3.1)."""
    return rendering.plain(document(one), status=201, headers={HEADER: address(request, one)})


def _id(request: Request) -> str:
    return attributes.uri("id", str(request.path_params["id"]))


async def retrieve(request: Request) -> Response:
    """GET /entityMaps/{id}"""
    name = _id(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> EntityMap | None:
        return maps.find(conn, who.tenant_id, subject(who), name)

    one = await door.look(request, work)
    if one is None:
        raise _missing(name)
    return rendering.plain(document(one), headers={HEADER: address(request, one)})


async def change(request: Request) -> Response:
    """PATCH /entityMaps/{id}: when it ends; what the broker itself found is not changed (§5.14.2.4)"""
    name = _id(request)
    reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    if not isinstance(payload, dict):
        raise InvalidRequest(msg("Envie um objeto JSON."))
    moment: datetime | None = None
    if "expiresAt" in payload:
        try:
            moment = min(parse_instant(str(payload["expiresAt"])), now() + LONGEST)
        except ValueError as reason:
            raise BadRequestData(msg("“{name}” é uma data e hora (ISO 8601)."), name="expiresAt") from reason

    def work(conn: psycopg.Connection[Any], who: Asked) -> bool:
        return maps.prolong(conn, who.tenant_id, subject(who), name, moment)

    if not await door.look(request, work):
        raise _missing(name)
    return Response(status_code=204)


async def delete(request: Request) -> Response:
    """DELETE /entityMaps/{id}"""
    name = _id(request)
    if not await door.look(request, lambda conn, who: maps.drop(conn, who.tenant_id, subject(who), name)):
        raise _missing(name)
    return Response(status_code=204)


def _missing(name: str) -> ResourceMissing:
    return ResourceMissing(msg("Não há nenhum mapa de entidades “{id}”, ou já acabou."), id=name[:200])
