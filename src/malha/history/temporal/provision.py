"""Write how entities evolved (GS CIM 009 §5.6.11 to §5.6.16, §6.18 to §6.23).

History and present are one store: the newest instance that is given becomes what the entity is now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import checking, door, pool, reading
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest, MethodNotAllowed, ResourceMissing
from malha.context.store import service as store
from malha.context.store.contracts import MEMBER, EntityDocument, EntityNotFound, InstanceKey, PastInstance, StoredEntity
from malha.history.temporal import evolution, rendering, scoping
from malha.history.temporal.contracts import EvolutionQuery, Instance
from malha.history.temporal.rendering import SCOPE
from malha.history.temporal.temporal_query import BEGINNING
from malha.kernel.text import msg
from malha.kernel.time import now, parse_instant
from malha.vocabulary.contexts.service import Context
from malha.vocabulary.models import policy

_INSTANCE = re.compile(r"urn:malha:\d+:(\d+):([0-9a-f]+):(\d+):(-?\d+)")
_NAME = re.compile(r"[^\s(){}\[\]<>\"'=;,|]+")
_EVER = timedelta(days=36600)
#: members of an entity that say nothing about what it was
_HEAD = frozenset({"id", "@id", "type", "@type", "@context", SCOPE})


async def create(request: Request) -> Response:
    """POST /temporal/entities: a new evolution (201), or more of one that is there (204)."""
    payload, context = await _payload(request)
    _refuse_ends(payload)

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[bool, str, str]:
        head = {name: value for name, value in payload.items() if name in _HEAD and not (name == SCOPE and scoping.given(value))}
        doc = reading.document(head, context, tenant_id=who.tenant_id)
        door.require_reach(who, doc.types)
        there = store.exists(conn, who.tenant_id, doc.uri)
        return there, doc.uri, _add(conn, who, doc, payload, context)

    there, uri, warning = await door.write(request, context, work)
    headers = _warned(warning)
    if there:
        return Response(status_code=204, headers=headers)
    headers["Location"] = f"{request.scope.get('root_path', '')}/ngsi-ld/v1/temporal/entities/{quote(uri, safe=':')}"
    return Response(status_code=201, headers=headers)


async def append(request: Request) -> Response:
    """POST /temporal/entities/{id}/attrs"""
    payload, context = await _payload(request)
    uri = _uri(request)
    if not set(payload) - {"@context"}:
        raise BadRequestData(msg("O pedido não traz nenhum atributo."))

    def work(conn: psycopg.Connection[Any], who: Asked) -> str:
        entity = _found(conn, who, uri)
        said = {name: value for name, value in payload.items() if name not in _HEAD or name == SCOPE}
        return _add(conn, who, EntityDocument(uri, entity.types, {}), said, context)

    return Response(status_code=204, headers=_warned(await door.write(request, context, work)))


async def delete(request: Request) -> Response:
    """DELETE /temporal/entities/{id}; the collection itself is not deleted."""
    if not request.path_params["id"]:
        raise MethodNotAllowed(msg("Falta o id da entidade no caminho."))
    uri = _uri(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        _found(conn, who, uri)
        store.delete(conn, who.tenant_id, [uri])

    await door.write(request, await door.linked(request), work)
    return Response(status_code=204)


async def delete_attribute(request: Request) -> Response:
    """DELETE /temporal/entities/{id}/attrs/{attr}: the default instance, those of `datasetId`, or all of them."""
    uri, context = _uri(request), await door.linked(request)
    name = _attribute(request, context)
    everything, dataset = request.query_params.get("deleteAll", "false") == "true", request.query_params.get("datasetId", "")
    entity, told = await _look(request, context, uri, name)
    numbers = await pool.run(lambda: _of_dataset(request, told, dataset, everything=everything))

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        gone = [one for one in told if one.dataset_id in numbers]
        if not gone:
            raise ResourceMissing(msg("A história de “{uri}” não tem o atributo “{name}”."), uri=uri, name=context.compact(name))
        now_ = entity.attributes.get(name)
        present = [instance for instance in (now_ if isinstance(now_, list) else [now_]) if isinstance(instance, dict)]
        if name == SCOPE and entity.scopes:
            store.upsert_documents(conn, who.tenant_id, [EntityDocument(uri, entity.types, {}, gone=frozenset({SCOPE}))])
        ends = [instance | {MEMBER[instance["type"]]: None} for instance in present if everything or instance.get("datasetId", "") == dataset]
        if ends:
            store.upsert_documents(conn, who.tenant_id, [EntityDocument(uri, entity.types, {name: ends})])
        store.hide_past(conn, who.tenant_id, entity, [InstanceKey(name, one.dataset_id, one.at) for one in gone])

    await door.write(request, context, work)
    return Response(status_code=204)


async def change_instance(request: Request) -> Response:
    """PATCH /temporal/entities/{id}/attrs/{attr}/{instanceId}"""
    payload, context = await _payload(request)
    uri, name, instance_id = _uri(request), _attribute(request, context), _instance_id(request)
    entity, told = await _look(request, context, uri, name)
    was = _named(told, instance_id)

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        datasets = store.dataset_names(conn, {was.dataset_id} - {0})
        before = rendering.as_attribute(was, datasets)
        given = payload.get(context.compact(name), {k: v for k, v in payload.items() if k != "@context"})
        fragment = given[0] if isinstance(given, list) and given else given
        if not isinstance(fragment, dict):
            fragment = {"value": fragment}
        whole = {**({"type": before["type"]} if "type" not in fragment else {}), **fragment}
        after = scoping.instance({**before, **fragment}) if name == SCOPE else _normal(whole, name, entity, context, who)
        changed = {**before, **after}
        if name != SCOPE:
            checking.checked(conn, who, EntityDocument(uri, entity.types, {**entity.attributes, name: changed}))
        at = _instant(fragment if name == SCOPE else changed, was.at)
        if at != was.at:
            store.hide_past(conn, who.tenant_id, entity, [InstanceKey(name, was.dataset_id, was.at)])
        now_ = entity.attributes.get(name)
        present = next((i for i in (now_ if isinstance(now_, list) else [now_]) if isinstance(i, dict) and i.get("datasetId") == before.get("datasetId")), None)
        if present is not None and present.get("observedAt") == before.get("observedAt"):
            store.upsert_documents(conn, who.tenant_id, [EntityDocument(uri, entity.types, {name: {**present, **changed}})])
        if name == SCOPE and entity.scopes and was == told[-1]:
            store.upsert_documents(conn, who.tenant_id, [scoping.present(EntityDocument(uri, entity.types, {}), PastInstance(name, at, after))])
        store.record_past(conn, who.tenant_id, entity, [PastInstance(name, at, after if name == SCOPE else changed)])

    await door.write(request, context, work)
    return Response(status_code=204)


async def delete_instance(request: Request) -> Response:
    """DELETE /temporal/entities/{id}/attrs/{attr}/{instanceId}"""
    uri, context = _uri(request), await door.linked(request)
    name, instance_id = _attribute(request, context), _instance_id(request)
    entity, told = await _look(request, context, uri, name)
    gone = _named(told, instance_id)

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        store.hide_past(conn, who.tenant_id, entity, [InstanceKey(name, gone.dataset_id, gone.at)])

    await door.write(request, context, work)
    return Response(status_code=204)


async def _payload(request: Request) -> tuple[dict[str, Any], Context]:
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    context = await door.context_of(request, media, payload)
    if not isinstance(payload, dict):
        raise InvalidRequest(msg("Envie um objeto JSON."))
    return payload, context


def _refuse_ends(payload: Mapping[str, Any]) -> None:
    """No member of the entity itself may be the value that stands for nothing (§5.5.4)."""
    for name, value in payload.items():
        if value == rendering.NULL:
            raise BadRequestData(msg("O atributo “{name}” não tem valor; omita-o."), name=name)


def _uri(request: Request) -> str:
    uri = str(request.path_params["id"])
    if ":" not in uri or "/attrs//" in uri:
        raise BadRequestData(msg("O “id” da entidade tem de ser um URI, com até 2048 bytes."))
    return uri


def _attribute(request: Request, context: Context) -> str:
    name = str(request.path_params["attr"])
    if not _NAME.fullmatch(name) or set(name) == {"."} or "%" in name:
        raise BadRequestData(msg("“{name}” não é um nome de atributo."), name=name[:40])
    return context.expand(name)


def _instance_id(request: Request) -> str:
    found = str(request.path_params["instance"])
    if ":" not in found:
        raise BadRequestData(msg("O identificador da instância tem de ser um URI."))
    return found


def _found(conn: psycopg.Connection[Any], who: Asked, uri: str) -> StoredEntity:
    entity = store.retrieve(conn, who.tenant_id, uri)
    if not door.within_reach(who, entity.types):
        raise EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
    return entity


async def _look(request: Request, context: Context, uri: str, name: str) -> tuple[StoredEntity, list[Instance]]:
    """The entity and the instances of one attribute of it. Raises ResourceMissing where there are none."""

    def look(conn: psycopg.Connection[Any], who: Asked) -> StoredEntity:
        return _found(conn, who, uri)

    entity = await door.write(request, context, look)
    query = EvolutionQuery((entity.id,), BEGINNING, now() + _EVER, attributes=(name,), most=evolution.MOST_ROWS, ended=True)
    told = (await pool.run(lambda: evolution.read(entity.tenant_id, query))).by_entity.get(entity.id, {}).get(name, [])
    if not told:
        raise ResourceMissing(msg("A história de “{uri}” não tem o atributo “{name}”."), uri=uri, name=context.compact(name))
    return entity, told


def _of_dataset(_request: Request, told: list[Instance], dataset: str, *, everything: bool) -> set[int]:
    if everything:
        return {one.dataset_id for one in told}
    if not dataset or dataset == "@none":
        return {0}
    with pool.connection() as conn:
        return set(store.dataset_numbers(conn, [dataset]).values())


def _named(told: list[Instance], instance_id: str) -> Instance:
    match = _INSTANCE.fullmatch(instance_id)
    for one in told if match else ():
        if rendering.instance_id(one, 0).split(":")[3:] == instance_id.split(":")[3:]:
            return one
    raise ResourceMissing(msg("Não há nenhuma instância “{id}”."), id=instance_id[:200])


def _warned(warning: str) -> dict[str, str]:
    return {"NGSILD-Warning": warning} if warning else {}


def _add(conn: psycopg.Connection[Any], who: Asked, doc: EntityDocument, payload: Mapping[str, Any], context: Context) -> str:
    """Put the instances of `payload` into history; the newest of each attribute and dataset becomes the present, where it is newer than that.

    Returns what the models have to say against it, as a warning. Raises Unfit where a rule of the tenant enforces them.
    """
    moment = now()
    doc, scopes = _scoped(conn, who, doc, payload.get(SCOPE), moment)
    given: dict[str, list[dict[str, Any]]] = {}
    for member, value in payload.items():
        if member not in _HEAD:
            name, these = _instances(member, value, doc, context, who)
            given[name] = these
    newest: dict[str, Any] = {}
    for name, these in given.items():
        latest: dict[str, dict[str, Any]] = {}
        for one in sorted(these, key=lambda i: _instant(i, moment)):
            latest[one.get("datasetId", "")] = one
        newest[name] = [one for one in latest.values() if one[MEMBER[one["type"]]] != rendering.NULL]
    present, warning = _fit(conn, who, replace(doc, attributes={name: these for name, these in newest.items() if these}), given)
    outcome = store.upsert_documents(conn, who.tenant_id, [present])
    if outcome.refused:
        raise BadRequestData.of_kept(outcome.refused[0][1])
    entity = store.retrieve(conn, who.tenant_id, doc.uri)
    kept = {id(one) for these in newest.values() for one in these}
    past = [
        PastInstance(name, _instant(one, moment + timedelta(microseconds=n)), one) for name, these in given.items() for n, one in enumerate(these) if id(one) not in kept
    ]  # fmt: skip
    store.record_past(conn, who.tenant_id, entity, [*past, *scopes])
    return warning


def _fit(conn: psycopg.Connection[Any], who: Asked, doc: EntityDocument, given: Mapping[str, list[dict[str, Any]]]) -> tuple[EntityDocument, str]:
    """The new present with its address completed, and what the models say against the entity with all the instances that were given."""
    if not policy.of_tenant(conn, who.tenant_id).any:
        return doc, ""
    there = store.by_uris(conn, who.tenant_id, [doc.uri]).get(doc.uri)
    before = there.attributes if there is not None else {}
    newest = {name: these[0] if isinstance(these, list) and len(these) == 1 else these for name, these in doc.attributes.items()}
    types = tuple(dict.fromkeys((*(there.types if there is not None else ()), *doc.types)))
    whole = checking.completed(conn, who, EntityDocument(doc.uri, types, {**before, **newest}))
    values = {name: kept for name, these in given.items() if (kept := [one for one in these if one[MEMBER[one["type"]]] != rendering.NULL])}
    warning = checking.checked(conn, who, replace(whole, attributes={**whole.attributes, **values}))
    address = whole.attributes.get("address")
    return (doc if address is None or address == before.get("address") else replace(doc, attributes={"address": address, **doc.attributes})), warning


def _scoped(conn: psycopg.Connection[Any], who: Asked, doc: EntityDocument, value: Any, moment: datetime) -> tuple[EntityDocument, list[PastInstance]]:
    """The document with the scopes that `value`, what a payload says of the scope, makes the present; and its instances for history."""
    if not scoping.given(value):
        return (doc if value is None else replace(doc, scopes=reading.scopes(value))), []
    there = store.by_uris(conn, who.tenant_id, [doc.uri]).get(doc.uri)
    return scoping.split(conn, doc, there, value, lambda one, n: _instant(one, moment + timedelta(microseconds=n)))


def _instances(member: str, value: Any, doc: EntityDocument, context: Context, who: Asked) -> tuple[str, list[dict[str, Any]]]:
    """One attribute of a temporal representation: its internal name, its instances normalized."""
    listed = value if isinstance(value, list) else [value]
    if not listed or any(each is None for each in listed):
        raise BadRequestData(msg("O atributo “{name}” não tem valor; omita-o."), name=member)
    name = context.expand(member)
    return name, [_normal(each, member, doc, context, who) for each in listed]


def _normal(given: Any, member: str, owner: EntityDocument | StoredEntity, context: Context, who: Asked) -> dict[str, Any]:
    ended = isinstance(given, dict) and any(given.get(key) in (rendering.NULL, {"@none": rendering.NULL}) for key in MEMBER.values())
    if ended:
        kind = str(given.get("type", "Property"))
        if kind not in MEMBER:
            raise BadRequestData(msg("O atributo “{name}” tem um tipo que não existe: {kind}."), name=member, kind=kind[:40])
        return {"type": kind, MEMBER[kind]: rendering.NULL, **{key: given[key] for key in ("observedAt", "deletedAt", "datasetId") if key in given}}
    clean = (
        {key: part for key, part in given.items() if key not in {"instanceId", "createdAt", "modifiedAt", "deletedAt"}} if isinstance(given, dict) else given
    )
    found = reading.attributes_of({member: clean}, context, owner.types[0], tenant_id=who.tenant_id)
    one = next(iter(found.values()))
    if not isinstance(one, dict) or "type" not in one:
        raise BadRequestData(msg("O atributo “{name}” não tem valor; omita-o."), name=member)
    return one


def _instant(instance: Mapping[str, Any], otherwise: datetime) -> datetime:
    name = "observedAt" if "observedAt" in instance else "deletedAt"
    text = instance.get(name)
    if text is None:
        return otherwise
    try:
        return parse_instant(str(text)).astimezone(UTC)
    except ValueError as reason:
        raise BadRequestData(msg("{name}={text} não é um instante, como 2026-11-23T02:00:00Z."), name=name, text=str(text)[:40]) from reason
