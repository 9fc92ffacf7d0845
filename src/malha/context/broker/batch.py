"""Many entities at once: create, upsert, update, delete, merge (GS CIM 009 §5.6.7–5.6.10, §5.6.20, §6.14–6.17)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import changes, checking, door, reading, rendering
from malha.context.broker.changes import Changed
from malha.context.broker.contracts import ERRORS, AlreadyExists, Asked, BadRequestData, InvalidRequest, ResourceMissing, Unfit
from malha.context.store.contracts import EntityDocument, StoredEntity, WriteMode, WriteOptions
from malha.foundation.language import service as language
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.vocabulary.contexts.contracts import ContextToFetch
from malha.vocabulary.models import policy

_REPLACE = WriteOptions(mode=WriteMode.REPLACE)


class _Outcome:
    """What succeeded and what failed, one by one (§5.2.16, §5.2.17)."""

    def __init__(self, who: Asked) -> None:
        self.who = who
        self.success: list[str] = []
        self.created: list[str] = []
        self.errors: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def fail(self, uri: str, error: MalhaError) -> None:
        etsi = door.etsi_of(error)
        detail = language.explain(error, self.who.language)
        more = {"findings": door.faults(error, self.who.language)} if isinstance(error, Unfit) else {}
        self.errors.append(
            {
                "entityId": uri,
                "error": {
                    "type": ERRORS + etsi,
                    "title": language.translate(door.TITLES[etsi], self.who.language),
                    "detail": detail,
                    "status": error.status,
                    **more,
                },
            }
        )

    def response(self, status: int, *, ids: Sequence[str] | None = None) -> Response:
        headers = {"NGSILD-Warning": self.warnings[0]} if self.warnings else {}
        if self.errors:
            return rendering.plain({"success": self.success, "errors": self.errors}, status=207, headers=headers)
        return rendering.plain(list(ids), status=status, headers=headers) if ids is not None else Response(status_code=status, headers=headers)


type Work = Callable[[psycopg.Connection[Any], Asked, list[EntityDocument], _Outcome], Response]


async def _batch(request: Request, work: Work, *, nulls: bool = False, deep: bool = False, fragments: bool = False) -> Response:
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    link = reading.linked(request)
    if link is not None and media == reading.JSON_LD:
        raise BadRequestData(msg("Com application/ld+json o @context vai no corpo, não no cabeçalho Link."))
    items = reading.items(payload)
    options = [o for o in request.query_params.get("options", "").split(",") if o]
    if unknown := [one for one in options if one not in {"noOverwrite", "update", "replace"}]:
        raise InvalidRequest(msg("A opção “{name}” não existe."), name=unknown[0][:40])

    def inside(conn: psycopg.Connection[Any], who: Asked) -> Response:
        outcome = _Outcome(who)
        docs: list[EntityDocument] = []
        there = _there(conn, who, items) if fragments else {}
        for item in items:
            try:
                context = door.words(conn, who, reading.item_source(item, media, link))
                kept = there.get(str(item.get("id"))) if fragments else None
                doc = reading.document(item, context, tenant_id=who.tenant_id, kept=kept, nulls=nulls, deep=deep)
                door.require_reach(who, doc.types)
                docs.append(doc)
            except ContextToFetch:
                raise
            except MalhaError as error:
                outcome.fail(str(item.get("id", "")) if isinstance(item, dict) else "", error)
        return work(conn, who, docs if fragments else _sound(conn, who, docs, outcome), outcome)

    return await door.write(request, link, inside)


def _there(conn: psycopg.Connection[Any], who: Asked, items: Iterable[Any]) -> dict[str, StoredEntity]:
    """The entities that a batch of fragments is about, kept from other writers."""
    uris = [item["id"] for item in items if isinstance(item, dict) and isinstance(item.get("id"), str)]
    return who.place.by_uris(conn, who.tenant_id, uris, lock=True)


def _sound(conn: psycopg.Connection[Any], who: Asked, docs: list[EntityDocument], outcome: _Outcome) -> list[EntityDocument]:
    """The documents that their model lets through; the others fail, each with its reasons."""
    if not policy.of_tenant(conn, who.tenant_id).any:
        return docs
    sound: list[EntityDocument] = []
    for doc in docs:
        try:
            whole = checking.completed(conn, who, doc)
            if warning := checking.checked(conn, who, whole):
                outcome.warnings.append(warning)
            sound.append(whole)
        except MalhaError as error:
            outcome.fail(doc.uri, error)
    return sound


def _write(conn: psycopg.Connection[Any], who: Asked, docs: Sequence[EntityDocument], outcome: _Outcome, options: WriteOptions = WriteOptions()) -> None:  # noqa: B008 -- frozen
    """Write documents; those that the store refuses are named, the others succeed."""
    if not docs:
        return
    refused = dict(who.place.upsert_documents(conn, who.tenant_id, docs, options).refused)
    for uri in dict.fromkeys(doc.uri for doc in docs):
        if uri in refused:
            outcome.fail(uri, BadRequestData.of_kept(refused[uri]))
        else:
            outcome.success.append(uri)


async def create(request: Request) -> Response:
    """POST /entityOperations/create"""

    def work(conn: psycopg.Connection[Any], who: Asked, docs: list[EntityDocument], outcome: _Outcome) -> Response:
        there = who.place.existing(conn, who.tenant_id, [doc.uri for doc in docs])
        fresh: dict[str, EntityDocument] = {}
        for doc in docs:
            if doc.uri in there or doc.uri in fresh:
                outcome.fail(doc.uri, AlreadyExists(msg("Já existe uma entidade “{uri}”."), uri=doc.uri))
            elif doc.expires_at is not None and doc.expires_at <= now():
                outcome.fail(doc.uri, BadRequestData(msg("O expiresAt da entidade já passou.")))
            else:
                fresh[doc.uri] = doc
        _write(conn, who, list(fresh.values()), outcome)
        return outcome.response(201, ids=outcome.success)

    return await _batch(request, work)


async def upsert(request: Request) -> Response:
    """POST /entityOperations/upsert: `options=update` keeps attributes that are not named, else they go."""
    options = WriteOptions() if "update" in request.query_params.get("options", "").split(",") else _REPLACE

    def work(conn: psycopg.Connection[Any], who: Asked, docs: list[EntityDocument], outcome: _Outcome) -> Response:
        there = who.place.existing(conn, who.tenant_id, [doc.uri for doc in docs])
        _write(conn, who, docs, outcome, options)
        created = [uri for uri in outcome.success if uri not in there]
        return outcome.response(201, ids=created) if created else outcome.response(204)

    return await _batch(request, work)


async def update(request: Request) -> Response:
    """POST /entityOperations/update: entities that are there; `noOverwrite` keeps their attributes."""
    keep = "noOverwrite" in request.query_params.get("options", "").split(",")

    def change(stored: StoredEntity, doc: EntityDocument) -> Changed:
        if keep:
            return changes.append(stored.attributes, doc.attributes, overwrite=False)
        return changes.update(stored.attributes, doc.attributes)

    return await _batch(request, _changing(change), nulls=not keep, fragments=True)


async def merge(request: Request) -> Response:
    """POST /entityOperations/merge"""
    observed_at = request.query_params.get("observedAt", "")

    def change(stored: StoredEntity, doc: EntityDocument) -> Changed:
        return changes.merge(stored.attributes, doc.attributes, observed_at=observed_at)

    return await _batch(request, _changing(change), nulls=True, deep=True, fragments=True)


def _changing(change: Callable[[StoredEntity, EntityDocument], Changed]) -> Work:
    """Work that changes entities that are there, each after those before it; the others fail."""

    def work(conn: psycopg.Connection[Any], who: Asked, docs: list[EntityDocument], outcome: _Outcome) -> Response:
        stored = who.place.by_uris(conn, who.tenant_id, [doc.uri for doc in docs], lock=True)
        state = {uri: dict(entity.attributes) for uri, entity in stored.items()}
        changed: list[EntityDocument] = []
        for doc in docs:
            if doc.uri not in stored or not door.within_reach(who, stored[doc.uri].types):
                outcome.fail(doc.uri, ResourceMissing(msg("Não há nenhuma entidade “{uri}”."), uri=doc.uri))
                continue
            made = change(replace(stored[doc.uri], attributes=state[doc.uri]), doc)
            whole = {name: each for name, each in {**state[doc.uri], **made.attributes}.items() if each is not None}
            if not _sound(conn, who, [replace(doc, attributes=whole)], outcome):
                continue
            state[doc.uri] = whole
            changed.append(replace(doc, attributes=made.attributes))
            if made.left:
                outcome.fail(doc.uri, BadRequestData(msg("Ficaram por mudar estes atributos: {names}."), names=", ".join(sorted(made.left))))
        _write(conn, who, changed, outcome, WriteOptions(mode=WriteMode.ATTRIBUTES))
        failed = {error["entityId"] for error in outcome.errors}
        outcome.success = [uri for uri in outcome.success if uri not in failed]
        return outcome.response(204)

    return work


async def delete(request: Request) -> Response:
    """POST /entityOperations/delete"""
    reading.media_type(request)
    uris = reading.uris(reading.decode(await reading.body_of(request)))

    def inside(conn: psycopg.Connection[Any], who: Asked) -> Response:
        outcome = _Outcome(who)
        stored = who.place.by_uris(conn, who.tenant_id, uris)
        for uri in uris:
            if uri in stored and uri not in outcome.success and door.within_reach(who, stored[uri].types):
                outcome.success.append(uri)
            else:
                outcome.fail(uri, ResourceMissing(msg("Não há nenhuma entidade “{uri}”."), uri=uri))
        who.place.delete(conn, who.tenant_id, outcome.success)
        return outcome.response(204)

    return await door.write(request, None, inside)
