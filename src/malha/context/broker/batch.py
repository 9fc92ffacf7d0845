"""Many entities at once: create, upsert, update, delete, merge (GS CIM 009 §5.6.7–5.6.10, §5.6.20, §6.14–6.17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, entities, reading, rendering
from malha.context.broker.contracts import ERRORS, AlreadyExists, Asked, BadRequestData, BrokerError, ResourceMissing
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, WriteMode, WriteOptions
from malha.foundation.language import service as language
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts

_REPLACE = WriteOptions(mode=WriteMode.REPLACE)


class _Outcome:
    """What succeeded and what failed, one by one (§5.2.16, §5.2.17)."""

    def __init__(self, who: Asked) -> None:
        self.who = who
        self.success: list[str] = []
        self.created: list[str] = []
        self.errors: list[dict[str, Any]] = []

    def fail(self, uri: str, error: MalhaError) -> None:
        etsi = error.etsi if isinstance(error, BrokerError) else "BadRequestData"
        detail = language.explain(error, self.who.language)
        self.errors.append(
            {
                "entityId": uri,
                "error": {"type": ERRORS + etsi, "title": language.translate(door.TITLES[etsi], self.who.language), "detail": detail, "status": error.status},
            }
        )

    def response(self, status: int, *, ids: Sequence[str] | None = None) -> Response:
        if self.errors:
            return rendering.plain({"success": self.success, "errors": self.errors}, status=207)
        return rendering.plain(list(ids), status=status) if ids is not None else Response(status_code=status)


type Work = Callable[[psycopg.Connection[Any], Asked, list[EntityDocument], _Outcome], Response]


async def _batch(request: Request, work: Work) -> Response:
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    link = reading.linked(request)
    if link is not None and media == reading.JSON_LD:
        raise BadRequestData(msg("Com application/ld+json o @context vai no corpo, não no cabeçalho Link."))
    items = reading.items(payload)

    def inside(conn: psycopg.Connection[Any], who: Asked) -> Response:
        outcome = _Outcome(who)
        docs: list[EntityDocument] = []
        for item in items:
            try:
                context = reading.item_context(item, media, link or contexts.CORE)
                doc = reading.document(item, context, tenant_id=who.tenant_id)
                door.require_reach(who, doc.types)
                docs.append(doc)
            except MalhaError as error:
                outcome.fail(str(item.get("id", "")) if isinstance(item, dict) else "", error)
        return work(conn, who, docs, outcome)

    return await door.write(request, link or contexts.CORE, inside)


def _write(conn: psycopg.Connection[Any], who: Asked, docs: Sequence[EntityDocument], outcome: _Outcome, options: WriteOptions = WriteOptions()) -> None:  # noqa: B008 -- frozen
    """Write documents; those that the store refuses are named, the others succeed."""
    if not docs:
        return
    refused = dict(store.upsert_documents(conn, who.tenant_id, docs, options).refused)
    for uri in dict.fromkeys(doc.uri for doc in docs):
        if uri in refused:
            outcome.fail(uri, BadRequestData(refused[uri].replace("{", "{{").replace("}", "}}")))
        else:
            outcome.success.append(uri)


async def create(request: Request) -> Response:
    """POST /entityOperations/create"""

    def work(conn: psycopg.Connection[Any], who: Asked, docs: list[EntityDocument], outcome: _Outcome) -> Response:
        there = store.existing(conn, who.tenant_id, [doc.uri for doc in docs])
        fresh: dict[str, EntityDocument] = {}
        for doc in docs:
            if doc.uri in there or doc.uri in fresh:
                outcome.fail(doc.uri, AlreadyExists(msg("Já existe uma entidade “{uri}”."), uri=doc.uri))
            elif any(value is None for value in doc.attributes.values()):
                outcome.fail(doc.uri, BadRequestData(msg("Uma entidade nova não tem atributos a apagar (urn:ngsi-ld:null).")))
            else:
                fresh[doc.uri] = doc
        _write(conn, who, list(fresh.values()), outcome)
        return outcome.response(201, ids=outcome.success)

    return await _batch(request, work)


async def upsert(request: Request) -> Response:
    """POST /entityOperations/upsert: `options=update` keeps attributes that are not named, else they go."""
    options = WriteOptions() if "update" in request.query_params.get("options", "").split(",") else _REPLACE

    def work(conn: psycopg.Connection[Any], who: Asked, docs: list[EntityDocument], outcome: _Outcome) -> Response:
        there = store.existing(conn, who.tenant_id, [doc.uri for doc in docs])
        _write(conn, who, docs, outcome, options)
        created = [uri for uri in outcome.success if uri not in there]
        return outcome.response(201, ids=created) if created else outcome.response(204)

    return await _batch(request, work)


async def update(request: Request) -> Response:
    """POST /entityOperations/update: entities that are there; `noOverwrite` keeps their attributes."""
    keep = "noOverwrite" in request.query_params.get("options", "").split(",")

    def work(conn: psycopg.Connection[Any], who: Asked, docs: list[EntityDocument], outcome: _Outcome) -> Response:
        good = _known(conn, who, docs, outcome)
        if keep:
            stored = store.by_uris(conn, who.tenant_id, [doc.uri for doc in good])
            good = [EntityDocument(d.uri, d.types, {n: v for n, v in d.attributes.items() if n not in stored[d.uri].attributes}, d.scopes) for d in good]
        _write(conn, who, good, outcome)
        return outcome.response(204)

    return await _batch(request, work)


async def merge(request: Request) -> Response:
    """POST /entityOperations/merge"""

    def work(conn: psycopg.Connection[Any], who: Asked, docs: list[EntityDocument], outcome: _Outcome) -> Response:
        good = _known(conn, who, docs, outcome)
        stored = store.by_uris(conn, who.tenant_id, [doc.uri for doc in good])
        merged = [
            EntityDocument(d.uri, d.types, {n: entities.merged_attribute(stored[d.uri].attributes.get(n), v) for n, v in d.attributes.items()}, d.scopes) for d in good
        ]  # fmt: skip
        _write(conn, who, merged, outcome)
        return outcome.response(204)

    return await _batch(request, work)


def _known(conn: psycopg.Connection[Any], who: Asked, docs: list[EntityDocument], outcome: _Outcome) -> list[EntityDocument]:
    there = store.existing(conn, who.tenant_id, [doc.uri for doc in docs])
    for doc in docs:
        if doc.uri not in there:
            outcome.fail(doc.uri, ResourceMissing(msg("Não há nenhuma entidade “{uri}”."), uri=doc.uri))
    return [doc for doc in docs if doc.uri in there]


async def delete(request: Request) -> Response:
    """POST /entityOperations/delete"""
    reading.media_type(request)
    uris = reading.uris(reading.decode(await reading.body_of(request)))

    def inside(conn: psycopg.Connection[Any], who: Asked) -> Response:
        outcome = _Outcome(who)
        stored = store.by_uris(conn, who.tenant_id, uris)
        for uri in dict.fromkeys(uris):
            if uri in stored and door.within_reach(who, stored[uri].types):
                outcome.success.append(uri)
            else:
                outcome.fail(uri, ResourceMissing(msg("Não há nenhuma entidade “{uri}”."), uri=uri))
        store.delete(conn, who.tenant_id, outcome.success)
        return outcome.response(204)

    return await door.write(request, contexts.CORE, inside)
