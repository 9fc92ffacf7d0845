"""One entity and its attributes: create, read, replace, merge, append, change, delete (GS CIM 009 §5.6, §5.7.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace as dataclass_replace
from typing import Any
from urllib.parse import quote

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, reading, rendering
from malha.context.broker.contracts import AlreadyExists, Asked, BadRequestData, ResourceMissing
from malha.context.store import service as store
from malha.context.store.contracts import MEMBER, EntityDocument, EntityNotFound, StoredEntity, WriteMode, WriteOptions, WriteOutcome
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts

_REPLACE = WriteOptions(mode=WriteMode.REPLACE)
type Edit = Callable[[psycopg.Connection[Any], Asked, StoredEntity], Response]


async def retrieve(request: Request) -> Response:
    """GET /entities/{id}"""
    uri = request.path_params["id"]

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[StoredEntity, rendering.Wanted]:
        return door.shown(who, _found(conn, who, uri)), rendering.wanted(request, who.context)

    entity, want = await door.read(request, work)
    if want.attrs and not want.attrs & set(entity.attributes):
        raise ResourceMissing(msg("A entidade “{uri}” não tem nenhum desses atributos."), uri=uri)
    if want.media == rendering.GEO_JSON:
        return rendering.answer(rendering.feature(entity, want), want)
    return rendering.answer(rendering.entity(entity, want), want)


def _found(conn: psycopg.Connection[Any], who: Asked, uri: str) -> StoredEntity:
    entity = store.retrieve(conn, who.tenant_id, uri)
    if not door.within_reach(who, entity.types):
        raise EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
    return entity


def _stored(outcome: WriteOutcome) -> WriteOutcome:
    """The outcome, or BadRequestData with the reason why the store refused."""
    if outcome.refused:
        raise BadRequestData(outcome.refused[0][1].replace("{", "{{").replace("}", "}}"))
    return outcome


async def create(request: Request) -> Response:
    """POST /entities"""
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    context = reading.context_of(request, media, payload)

    def work(conn: psycopg.Connection[Any], who: Asked) -> str:
        doc = reading.document(payload, context, tenant_id=who.tenant_id)
        door.require_reach(who, doc.types)
        if any(value is None for value in doc.attributes.values()):
            raise BadRequestData(msg("Uma entidade nova não tem atributos a apagar (urn:ngsi-ld:null)."))
        if store.exists(conn, who.tenant_id, doc.uri) or not _stored(store.upsert_documents(conn, who.tenant_id, [doc])).created:
            raise AlreadyExists(msg("Já existe uma entidade “{uri}”."), uri=doc.uri)
        return doc.uri

    uri = await door.write(request, context, work)
    return Response(status_code=201, headers={"Location": f"{request.scope.get('root_path', '')}/ngsi-ld/v1/entities/{quote(uri, safe=':')}"})


async def _edit(request: Request, edit: Callable[[Any, Any], Edit]) -> Response:
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    context = reading.context_of(request, media, payload)
    if not isinstance(payload, dict):
        raise BadRequestData(msg("Envie um objeto JSON."))
    run = edit(payload, context)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        return run(conn, who, _found(conn, who, request.path_params["id"]))

    return await door.write(request, context, work)


def _attributes(payload: Mapping[str, Any], context: Any, who: Asked, entity: StoredEntity) -> dict[str, Any]:
    if "type" in payload:
        door.require_reach(who, entity.types)
    return reading.attributes_of(payload, context, entity.types[0], tenant_id=who.tenant_id)


def _types(payload: Mapping[str, Any], context: Any, entity: StoredEntity) -> tuple[str, ...]:
    more = payload.get("type", [])
    return (*entity.types, *(t for t in (context.expand(m) for m in ([more] if isinstance(more, str) else more)) if t not in entity.types))


async def replace(request: Request) -> Response:
    """PUT /entities/{id}: the whole entity; createdAt stays."""

    def edit(payload: Any, context: Any) -> Edit:
        def run(conn: psycopg.Connection[Any], who: Asked, entity: StoredEntity) -> Response:
            doc = reading.document({"type": list(entity.types), **payload, "id": entity.uri}, context, tenant_id=who.tenant_id)
            _stored(store.upsert_documents(conn, who.tenant_id, [dataclass_replace(doc, types=entity.types)], _REPLACE))
            return Response(status_code=204)

        return run

    return await _edit(request, edit)


async def merge(request: Request) -> Response:
    """PATCH /entities/{id}: merge patch (§5.6.17): members that are named change, the rest of each attribute stays."""

    def edit(payload: Any, context: Any) -> Edit:
        def run(conn: psycopg.Connection[Any], who: Asked, entity: StoredEntity) -> Response:
            attributes = _attributes(payload, context, who, entity)
            merged = {name: merged_attribute(entity.attributes.get(name), value) for name, value in attributes.items()}
            _stored(store.upsert_documents(conn, who.tenant_id, [EntityDocument(entity.uri, _types(payload, context, entity), merged)]))
            return Response(status_code=204)

        return run

    return await _edit(request, edit)


def merged_attribute(current: Any, patch: Any) -> Any:
    """An attribute after a patch: same kind and instance, members replaced; another kind replaces it whole."""
    if (
        isinstance(current, dict)
        and isinstance(patch, dict)
        and current.get("type") == patch.get("type")
        and current.get("datasetId") == patch.get("datasetId")
    ):
        merged = {**current, **patch}
        if isinstance(current.get("value"), dict) and isinstance(patch.get("value"), dict) and patch["type"] == "Property":
            merged["value"] = {k: v for k, v in {**current["value"], **patch["value"]}.items() if v != reading.NULL}
        if isinstance(patch.get("languageMap"), dict):
            merged["languageMap"] = {k: v for k, v in {**current["languageMap"], **patch["languageMap"]}.items() if v != reading.NULL}
        return {k: v for k, v in merged.items() if v != reading.NULL}
    return patch


async def append(request: Request) -> Response:
    """POST /entities/{id}/attrs: add attributes, replacing those that are there unless `noOverwrite`."""
    keep = "noOverwrite" in request.query_params.get("options", "").split(",")
    return await _change_attributes(request, lambda name, entity: not (keep and name in entity.attributes), msg("O atributo já existe."))


async def update(request: Request) -> Response:
    """PATCH /entities/{id}/attrs: replace attributes that are there."""
    return await _change_attributes(request, lambda name, entity: name in entity.attributes, msg("A entidade não tem este atributo."))


async def _change_attributes(request: Request, allowed: Callable[[str, StoredEntity], bool], otherwise: str) -> Response:
    def edit(payload: Any, context: Any) -> Edit:
        def run(conn: psycopg.Connection[Any], who: Asked, entity: StoredEntity) -> Response:
            attributes = _attributes(payload, context, who, entity)
            good = {name: value for name, value in attributes.items() if allowed(name, entity)}
            types = _types(payload, context, entity)
            if good or types != entity.types:
                _stored(store.upsert_documents(conn, who.tenant_id, [EntityDocument(entity.uri, types, good)]))
            return _partly(list(attributes), set(good), context, otherwise)

        return run

    return await _edit(request, edit)


def _partly(named: list[str], good: set[str], context: Any, otherwise: str) -> Response:
    """204 when everything was done, else 207 with what was and what was not (§5.2.18)."""
    left = [name for name in named if name not in good]
    if not left:
        return Response(status_code=204)
    body = {
        "updated": [context.compact(name) for name in named if name in good],
        "notUpdated": [{"attributeName": context.compact(name), "reason": otherwise} for name in left],
    }
    return rendering.plain(body, status=207)


async def change_attribute(request: Request) -> Response:
    """PATCH /entities/{id}/attrs/{attr}: change members of one attribute (§5.6.4)."""

    def edit(payload: Any, context: Any) -> Edit:
        name = context.expand(request.path_params["attr"])

        def run(conn: psycopg.Connection[Any], who: Asked, entity: StoredEntity) -> Response:
            current = _instance(entity, name, payload.get("datasetId"))
            patch = {key: value for key, value in payload.items() if key != "@context"}
            typed = {"type": current["type"], **({} if reading.has_value(patch) else {_member(current): current[_member(current)]}), **patch}
            change = reading.attributes_of({request.path_params["attr"]: typed}, context, entity.types[0], tenant_id=who.tenant_id)
            merged = {n: None if v is None else merged_attribute(current, v) for n, v in change.items()}
            _stored(store.upsert_documents(conn, who.tenant_id, [EntityDocument(entity.uri, entity.types, merged)]))
            return Response(status_code=204)

        return run

    return await _edit(request, edit)


async def replace_attribute(request: Request) -> Response:
    """PUT /entities/{id}/attrs/{attr}: replace one attribute that is there."""

    def edit(payload: Any, context: Any) -> Edit:
        def run(conn: psycopg.Connection[Any], who: Asked, entity: StoredEntity) -> Response:
            name = context.expand(request.path_params["attr"])
            _instance(entity, name, payload.get("datasetId"))
            body = {key: value for key, value in payload.items() if key != "@context"}
            change = reading.attributes_of({request.path_params["attr"]: body}, context, entity.types[0], tenant_id=who.tenant_id)
            _stored(store.upsert_documents(conn, who.tenant_id, [EntityDocument(entity.uri, entity.types, change)]))
            return Response(status_code=204)

        return run

    return await _edit(request, edit)


def _instance(entity: StoredEntity, name: str, dataset: object = None) -> dict[str, Any]:
    found = entity.attributes.get(name)
    for instance in found if isinstance(found, list) else [found]:
        if isinstance(instance, dict) and instance.get("datasetId") == dataset:
            return instance
    raise ResourceMissing(msg("A entidade “{uri}” não tem o atributo “{name}”."), uri=entity.uri, name=name)


def _member(instance: Mapping[str, Any]) -> str:
    return MEMBER.get(str(instance["type"]), "value")


async def delete_attribute(request: Request) -> Response:
    """DELETE /entities/{id}/attrs/{attr}, one instance by `datasetId`, all with `deleteAll=true`."""
    uri, params = request.path_params["id"], request.query_params
    context = reading.linked(request) or contexts.CORE

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        entity = _found(conn, who, uri)
        name = context.expand(request.path_params["attr"])
        if params.get("deleteAll") == "true":
            change = None if name in entity.attributes else _instance(entity, name)
        else:
            gone = _instance(entity, name, params.get("datasetId"))
            change = {key: value for key, value in gone.items() if key in {"type", "datasetId"}} | {_member(gone): None}
        store.upsert_documents(conn, who.tenant_id, [EntityDocument(entity.uri, entity.types, {name: change})])

    await door.write(request, context, work)
    return Response(status_code=204)


async def delete(request: Request) -> Response:
    """DELETE /entities/{id}"""
    uri, wish = request.path_params["id"], request.query_params.get("type", "")
    context = reading.linked(request) or contexts.CORE

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        entity = _found(conn, who, uri)
        if wish and context.expand(wish) not in entity.types:
            raise ResourceMissing(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
        store.delete(conn, who.tenant_id, [uri])

    await door.write(request, context, work)
    return Response(status_code=204)
