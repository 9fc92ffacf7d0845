"""One entity: create, read, replace, delete (GS CIM 009 §5.6, §5.7.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import checking, door, entity_maps, express, linked, projection, reading, rendering
from malha.context.broker.contracts import AlreadyExists, Asked, BadRequestData, MethodNotAllowed, ResourceMissing
from malha.context.broker.line import Told
from malha.context.store import express as express_store
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, EntityNotFound, StoredEntity, UnusableEntity, WriteMode, WriteOptions, WriteOutcome
from malha.context.store.maps import EntityMap
from malha.context.store.table import usable_uri
from malha.foundation.access.contracts import Capability
from malha.kernel.text import msg
from malha.kernel.time import now

_REPLACE = WriteOptions(mode=WriteMode.REPLACE)


async def retrieve(request: Request) -> Response:
    """GET /entities/{id}"""
    uri = uri_of(request)
    projection.check_parameters(request, projection.RETRIEVE)
    if entity_maps.meant(request):
        return await _by_map(request, uri)
    if (response := await _retrieve_at_once(request, uri)) is not None:
        return response

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[list[StoredEntity], rendering.Wanted, linked.Joined]:
        want = rendering.wanted(request, who.context)
        found = door.shown(who, reached(conn, who, uri, request))
        return [found], want, linked.join(conn, who, [found], want)

    (found,), want, joined = await door.read(request, work)
    return written(found, want, joined)


async def _by_map(request: Request, uri: str) -> Response:
    """`retrieve` with the address of a map that has the entity, made where there is none (§5.7.1.4)."""

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[StoredEntity, rendering.Wanted, linked.Joined, EntityMap]:
        want = rendering.wanted(request, who.context)
        found = door.shown(who, reached(conn, who, uri, request))
        known = entity_maps.found(conn, who, request)
        here = known if known is not None and uri in known.uris else entity_maps.kept(conn, who, request, [uri])
        return found, want, linked.join(conn, who, [found], want), here

    found, want, joined, here = await door.look(request, work)
    response = written(found, want, joined)
    response.headers[entity_maps.HEADER] = entity_maps.address(request, here)
    return response


async def _retrieve_at_once(request: Request, uri: str) -> Response | None:
    """`retrieve` on the express lane; None where that road does not lead there."""
    here = express.lane()
    if here is None or here.memory is None or "join" in request.query_params or (who := express.asked(here, request, Capability.DATA_READ)) is None:
        return None
    want = rendering.wanted(request, who.context)
    told = await express.found(here, who, uri)
    try:
        if told is not None and want.as_stored and (response := _as_stored(here.memory, told, who, uri, want, request)) is not None:
            return response
        stored = None if told is None else express_store.stored(here.memory, told.row())
    except express.NotAtHand:
        return None
    return written(door.shown(who, within(who, uri, stored, request)), want, linked.Joined())


def _as_stored(conn: psycopg.Connection[Any], told: Told, who: Asked, uri: str, want: rendering.Wanted, request: Request) -> Response | None:
    """The entity as it lies there, where all of it may be seen; else None."""
    plain = express_store.plain(conn, told.column)
    if plain is None or not _meant(who, plain[0], request) or door.personal(who, plain[0]):
        return None
    types, attributes, stamped = plain
    return rendering.as_stored(uri, types, rendering.without_stamps(attributes) if stamped else attributes, want)


def written(found: StoredEntity, want: rendering.Wanted, joined: linked.Joined) -> Response:
    """The answer that is one entity. Raises ResourceMissing when it has nothing of what is wanted."""
    if (want.attrs and not want.attrs & set(found.attributes)) or ((want.pick or want.omit) and not rendering.entity(found, want)):
        raise ResourceMissing(msg("A entidade “{uri}” não tem nenhum desses atributos."), uri=found.uri)
    return rendering.one(found, want, joined)


def uri_of(request: Request) -> str:
    """The id in the path. Raises BadRequestData for what is no URI."""
    uri = str(request.path_params.get("id", ""))
    if uri.rstrip("/").endswith("/attrs"):
        raise MethodNotAllowed(msg("Falta o nome do atributo."))
    if not usable_uri(uri):
        raise BadRequestData(msg("O “id” da entidade tem de ser um URI, com até 2048 bytes."))
    return uri


def reached(conn: psycopg.Connection[Any], who: Asked, uri: str, request: Request | None = None, *, lock: bool = False) -> StoredEntity:
    """The entity, when the principal reaches it and it is of the types that the request names."""
    return within(who, uri, who.place.retrieve(conn, who.tenant_id, uri, lock=lock), request)


def within(who: Asked, uri: str, entity: StoredEntity | None, request: Request | None) -> StoredEntity:
    """The entity when the principal reaches it and it is of the types that the request names. Raises EntityNotFound."""
    if entity is None or not _meant(who, entity.types, request):
        raise EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
    return entity


def _meant(who: Asked, types: tuple[str, ...], request: Request | None) -> bool:
    """Whether an entity of these types is within reach, and of those that the request names."""
    wish = request.query_params.get("type", "") if request else ""
    return door.within_reach(who, types) and not (wish and not store.type_holds(store.rename_in_types(wish, who.context.expand), types))


def accepted(outcome: WriteOutcome) -> WriteOutcome:
    """The outcome, or BadRequestData with the reason why the store refused."""
    if outcome.refused:
        raise BadRequestData.of_kept(outcome.refused[0][1])
    return outcome


async def create(request: Request) -> Response:
    """POST /entities"""
    media = reading.media_type(request)
    payload = reading.entity_body(await reading.body_of(request))
    source = reading.source_of(request, media, payload)

    def sound(conn: psycopg.Connection[Any], who: Asked) -> tuple[EntityDocument, str]:
        doc = reading.document(payload, who.context, tenant_id=who.tenant_id)
        door.require_reach(who, doc.types)
        check_expiry(doc)
        doc = checking.completed(conn, who, doc)
        return doc, checking.checked(conn, who, doc)

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[str, str]:
        doc, warning = sound(conn, who)
        if who.place.exists(conn, who.tenant_id, doc.uri) or not accepted(who.place.upsert_documents(conn, who.tenant_id, [doc])).created:
            raise AlreadyExists(msg("Já existe uma entidade “{uri}”."), uri=doc.uri)
        return doc.uri, warning

    made = await _create_at_once(request, source, sound)
    uri, warning = made if made is not None else await door.write(request, source, work)
    headers = {"Location": f"{request.scope.get('root_path', '')}/ngsi-ld/v1/entities/{quote(uri, safe=':')}"}
    return Response(status_code=201, headers=headers | ({"NGSILD-Warning": warning} if warning else {}))


async def _create_at_once(
    request: Request, source: Any, sound: Callable[[psycopg.Connection[Any], Asked], tuple[EntityDocument, str]]
) -> tuple[str, str] | None:  # fmt: skip
    """(URI, warning) of the entity made on the express lane; None where nothing was made and the usual road says why."""
    here = express.lane()
    if here is None or here.memory is None or (who := express.asked(here, request, Capability.DATA_WRITE, source)) is None:
        return None
    try:
        doc, warning = sound(here.memory, who)
        params = express_store.make(here.memory, who.tenant_id, doc)
    except (express.NotAtHand, UnusableEntity):
        return None
    made = await here.fetch(express_store.MADE, params)
    if not made or made[0] is None:
        return None
    if (row := express_store.made(params, made[0], made[1])) is not None:
        here.rows.keep(who.tenant_id, doc.uri, row)
    return doc.uri, warning


def check_expiry(doc: EntityDocument) -> None:
    """Raise BadRequestData for an entity that would be over before it began (§4.22)."""
    if doc.expires_at is not None and doc.expires_at <= now():
        raise BadRequestData(msg("O expiresAt da entidade já passou."))


async def fragment_of(request: Request, uri: str) -> tuple[dict[str, Any], Any]:
    """The body of an edit and its @context as sent. Raises BadRequestData for one that says nothing, or is about another entity."""
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    if not isinstance(payload, dict):
        raise BadRequestData(msg("Envie um objeto JSON."))
    source = reading.source_of(request, media, payload)
    if not set(payload) - {"@context"}:
        raise BadRequestData(msg("O pedido não diz o que muda."))
    if payload.get("id", uri) != uri:
        raise BadRequestData(msg("O “id” do corpo não é o do endereço."))
    return payload, source


async def replace(request: Request) -> Response:
    """PUT /entities/{id}: the whole entity; createdAt stays."""
    uri = uri_of(request)
    payload, source = await fragment_of(request, uri)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        entity = reached(conn, who, uri, lock=True)
        doc = checking.completed(conn, who, reading.document(payload, who.context, tenant_id=who.tenant_id, kept=entity))
        warning = checking.checked(conn, who, doc)
        accepted(who.place.upsert_documents(conn, who.tenant_id, [doc], _REPLACE))
        return Response(status_code=204, headers={"NGSILD-Warning": warning} if warning else {})

    return await door.write(request, source, work)


async def delete(request: Request) -> Response:
    """DELETE /entities/{id}"""
    uri = uri_of(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        reached(conn, who, uri, request)
        who.place.delete(conn, who.tenant_id, [uri])

    await door.write(request, None, work)
    return Response(status_code=204)
