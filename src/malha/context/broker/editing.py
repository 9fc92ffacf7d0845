"""Attributes of one entity: merge, append, change, replace, delete (GS CIM 009 §5.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace as dataclass_replace
from datetime import datetime
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import attributes, changes, checking, door, entities, express, reading, rendering
from malha.context.broker.changes import Changed
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest, ResourceMissing
from malha.context.store import express as express_store
from malha.context.store.contracts import MEMBER, EntityDocument, StoredEntity, UnusableEntity, WriteMode, WriteOptions
from malha.foundation.access.contracts import Capability
from malha.foundation.language import service as language
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts

_ATTRIBUTES = WriteOptions(mode=WriteMode.ATTRIBUTES)
#: what a request makes of an entity, from its state alone
type Plan = Callable[[Asked, StoredEntity], tuple[EntityDocument, Changed]]


def _name(request: Request, who: Asked) -> str:
    """The attribute in the path. Raises BadRequestData for what is no name."""
    name = str(request.path_params.get("attr", ""))
    if not attributes.usable_name(name):
        raise BadRequestData(msg("O nome “{name}” não serve para um atributo."), name=name[:80])
    return who.context.expand(name)


async def _edit(request: Request, edit: Callable[[dict[str, Any]], Plan]) -> Response:
    uri = entities.uri_of(request)
    payload, source = await entities.fragment_of(request, uri)
    plan = edit(payload)
    if (response := await _edit_at_once(request, source, uri, plan)) is not None:
        return response

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        entity = entities.reached(conn, who, uri, request, lock=True)
        doc, changed = plan(who, entity)
        return _partly(_write(conn, who, entity, doc, changed), changed, who)

    return await door.write(request, source, work)


async def _edit_at_once(request: Request, source: Any, uri: str, plan: Plan) -> Response | None:
    """An edit on the express lane: from the row that is remembered, else from the one that is read; None where that road does not lead there."""
    here = express.lane()
    if here is None or here.memory is None or (who := express.asked(here, request, Capability.DATA_WRITE, source)) is None:
        return None
    if (known := here.rows.take(who.tenant_id, uri)) is not None:
        with suppress(MalhaError):  # said again, or not, when it is read
            if (response := await _edited(here, request, who, plan, known, known[8])) is not None:
                return response
    row = await express.named(here, who, uri)
    return None if row is None else await _edited(here, request, who, plan, row, None)


async def _edited(here: express.Lane, request: Request, who: Asked, plan: Plan, row: express_store.Row, seen: datetime | None) -> Response | None:
    """Work out a change of the entity in `row` and write it where nobody changed the same meanwhile; with `seen` where nobody changed anything since."""
    assert here.memory is not None
    uri = row[2]
    try:
        entity = entities.within(who, uri, express_store.stored(here.memory, row), request)
        doc, changed = plan(who, entity)
        response = _partly(_checked(here.memory, who, entity, doc, changed), changed, who)
        params = express_store.edit(here.memory, who.tenant_id, row, dataclass_replace(doc, attributes=changed.attributes), _ATTRIBUTES)
    except (express.NotAtHand, UnusableEntity):
        return None
    if not params:
        return None if params is None or seen is not None else response
    done = await here.fetch(express_store.EDITED, params | {"seen": seen})
    if not done or done[0] is None:
        return None
    here.rows.keep(who.tenant_id, uri, express_store.edited(row, params, done[0]))
    return response


def _checked(conn: psycopg.Connection[Any], who: Asked, entity: StoredEntity, doc: EntityDocument, changed: Changed) -> Response:
    """204 for an entity that its model lets through as it will be, with a warning where the model has one."""
    after = {**entity.attributes, **changed.attributes}
    warning = checking.checked(conn, who, dataclass_replace(doc, attributes={n: a for n, a in after.items() if a is not None}))
    return Response(status_code=204, headers={"NGSILD-Warning": warning} if warning else {})


def _write(conn: psycopg.Connection[Any], who: Asked, entity: StoredEntity, doc: EntityDocument, changed: Changed) -> Response:
    """Store what changes of an entity, checked by its model as it will be."""
    response = _checked(conn, who, entity, doc, changed)
    if changed.attributes or doc.scopes or doc.expires_at or doc.gone or doc.types != entity.types:
        entities.accepted(who.place.upsert_documents(conn, who.tenant_id, [dataclass_replace(doc, attributes=changed.attributes)], _ATTRIBUTES))
    return response


async def merge(request: Request) -> Response:
    """PATCH /entities/{id}: merge patch (§5.6.17): members that are named change, the rest of each attribute stays."""
    observed_at, lang = request.query_params.get("observedAt", ""), request.query_params.get("lang", "")
    if observed_at:
        attributes.observed("observedAt", observed_at)

    def edit(payload: dict[str, Any]) -> Plan:
        def plan(who: Asked, entity: StoredEntity) -> tuple[EntityDocument, Changed]:
            said = in_language(payload, entity, who, lang) if lang else payload
            doc = reading.document(said, who.context, tenant_id=who.tenant_id, kept=entity, nulls=True, deep=True)
            return doc, changes.merge(entity.attributes, doc.attributes, observed_at=observed_at)

        return plan

    return await _edit(request, edit)


def in_language(payload: Mapping[str, Any], entity: StoredEntity, who: Asked, lang: str) -> dict[str, Any]:
    """A fragment in which bare texts of LanguageProperties are said in the language `lang` (§5.6.17)."""
    out = dict(payload)
    for member, thing in payload.items():
        known = entity.attributes.get(who.context.expand(member)) if isinstance(thing, str) and attributes.usable_name(member) else None
        if isinstance(known, dict) and known.get("type") == "LanguageProperty":
            out[member] = {"type": "LanguageProperty", "languageMap": {lang: thing}}
    return out


async def append(request: Request) -> Response:
    """POST /entities/{id}/attrs: add attributes, replacing those that are there unless `noOverwrite`."""
    options = [o for o in request.query_params.get("options", "").split(",") if o]
    if unknown := [one for one in options if one != "noOverwrite"]:
        raise InvalidRequest(msg("A opção “{name}” não existe."), name=unknown[0][:40])
    keep = "noOverwrite" in options

    def edit(payload: dict[str, Any]) -> Plan:
        def plan(who: Asked, entity: StoredEntity) -> tuple[EntityDocument, Changed]:
            doc = reading.document(payload, who.context, tenant_id=who.tenant_id, kept=entity)
            changed = changes.append(entity.attributes, doc.attributes, overwrite=not keep)
            if doc.scopes and entity.scopes and keep:
                doc = dataclass_replace(doc, scopes=tuple(dict.fromkeys((*entity.scopes, *doc.scopes))))  # an entity lies in more scopes, none is lost
            return doc, changed

        return plan

    return await _edit(request, edit)


async def update(request: Request) -> Response:
    """PATCH /entities/{id}/attrs: replace attributes whole, add new ones, take away those without value."""

    def edit(payload: dict[str, Any]) -> Plan:
        def plan(who: Asked, entity: StoredEntity) -> tuple[EntityDocument, Changed]:
            doc = reading.document(payload, who.context, tenant_id=who.tenant_id, kept=entity, nulls=True)
            changed = changes.update(entity.attributes, doc.attributes)
            if (doc.scopes or "scope" in doc.gone) and not entity.scopes:
                doc = dataclass_replace(doc, scopes=(), gone=doc.gone - {"scope"})
                changed.left["scope"] = changes.MISSING
            return doc, changed

        return plan

    return await _edit(request, edit)


def _partly(otherwise: Response, changed: Changed, who: Asked) -> Response:
    """What was written, or 207 with what was and what was not, by IRI (§5.2.18)."""
    if not changed.left:
        return otherwise
    body = {
        "updated": [contexts.iri_of(name) for name in changed.done],
        "notUpdated": [{"attributeName": contexts.iri_of(name), "reason": language.translate(reason, who.language)} for name, reason in changed.left.items()],
    }
    return rendering.plain(body, status=207)


async def change_attribute(request: Request) -> Response:
    """PATCH /entities/{id}/attrs/{attr}: change members of one attribute (§5.6.4)."""

    def edit(payload: dict[str, Any]) -> Plan:
        def plan(who: Asked, entity: StoredEntity) -> tuple[EntityDocument, Changed]:
            name = _attribute(request, who)
            dataset = _dataset(payload.get("datasetId"))
            current = _instance(entity, name, dataset)
            patch = _fragment(payload, current)
            read = attributes.Reader(who.context, nulls=True).instance(str(request.path_params["attr"]), patch, None, 0)
            after = changes.instances(entity.attributes[name])
            if changes.gone(read):
                del after[dataset]
            else:
                after[dataset] = changes.partial(current, read)
            return EntityDocument(entity.uri, entity.types, {}), Changed({name: changes.whole(after)})

        return plan

    return await _edit(request, edit)


def _dataset(said: Any) -> str:
    return "" if said is None or said == "@none" else attributes.uri("datasetId", said)


def _fragment(payload: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """A partial attribute as a whole one: with the type and, where it names none, the value that are there."""
    patch = {key: value for key, value in payload.items() if key != "@context"}
    kind, holder = str(current["type"]), MEMBER[str(current["type"])]
    if patch.get("type", kind) != kind:
        raise BadRequestData(msg("O atributo é {kind}; para o mudar de tipo, substitua-o."), kind=kind)
    patch.setdefault("type", kind)
    if holder not in patch:
        patch[holder] = current[holder]
    return patch


async def replace_attribute(request: Request) -> Response:
    """PUT /entities/{id}/attrs/{attr}: replace one attribute that is there."""

    def edit(payload: dict[str, Any]) -> Plan:
        def plan(who: Asked, entity: StoredEntity) -> tuple[EntityDocument, Changed]:
            name = _attribute(request, who)
            body = {key: value for key, value in payload.items() if key != "@context"}
            dataset = _dataset(body.get("datasetId"))
            _instance(entity, name, dataset)
            read = attributes.Reader(who.context).attribute(
                str(request.path_params["attr"]), body, attributes.kinds_of(entity.types[0], who.tenant_id).get(name)
            )
            after = changes.instances(entity.attributes[name]) | changes.instances(read)
            return EntityDocument(entity.uri, entity.types, {}), Changed({name: changes.whole(after)})

        return plan

    return await _edit(request, edit)


def _attribute(request: Request, who: Asked) -> str:
    """The attribute in the path; its scope and expiry are changed with the entity. Raises BadRequestData."""
    if request.path_params.get("attr") in {"scope", "expiresAt", "id", "type"}:
        raise BadRequestData(msg("“{name}” muda-se com a entidade, não como atributo."), name=request.path_params["attr"])
    return _name(request, who)


def _instance(entity: StoredEntity, name: str, dataset: str = "") -> dict[str, Any]:
    found = changes.instances(entity.attributes.get(name)).get(dataset)
    if found is None:
        raise ResourceMissing(msg("A entidade “{uri}” não tem o atributo “{name}”."), uri=entity.uri, name=name)
    return found


async def delete_attribute(request: Request) -> Response:
    """DELETE /entities/{id}/attrs/{attr}, one instance by `datasetId`, all with `deleteAll=true`."""
    uri, params = entities.uri_of(request), request.query_params
    if params.get("deleteAll", "false") not in {"true", "false"}:
        raise BadRequestData(msg("“{name}” é true ou false."), name="deleteAll")

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        name = _name(request, who)
        entity = entities.reached(conn, who, uri, request, lock=True)
        if request.path_params["attr"] == "scope":
            if not entity.scopes:
                _instance(entity, name)
            who.place.upsert_documents(conn, who.tenant_id, [EntityDocument(entity.uri, entity.types, {}, gone=frozenset({"scope"}))])
            return
        after = changes.instances(entity.attributes.get(name))
        if params.get("deleteAll") == "true":
            if not after:
                _instance(entity, name)
            after = {}
        else:
            dataset = _dataset(params.get("datasetId"))
            _instance(entity, name, dataset)
            del after[dataset]
        _write(conn, who, entity, EntityDocument(entity.uri, entity.types, {}), Changed({name: changes.whole(after)}))

    await door.write(request, None, work)
    return Response(status_code=204)
