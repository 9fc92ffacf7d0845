"""Sources that are tenants of this installation, read under an agreement: the same answers, without the network and without a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import msgspec
import psycopg

from malha.context.broker import pool, questions, rendering
from malha.context.broker.contracts import Asked
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import Answer
from malha.context.federation.registrations.matching import Source
from malha.context.store import service as store
from malha.context.store.contracts import EntityPage, StoredEntity
from malha.foundation.access import reach
from malha.foundation.agreements import service as agreements
from malha.foundation.database import service as database
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.vocabulary.models import service as models


def ask(who: Asked, source: Source, speech: Speech, method: str, path: str, params: Mapping[str, str], payload: Any) -> Answer:
    """The answer of another tenant, within what the agreement in force lets out; noted where the giver sees it."""
    giver, agreement = source.registration.giver_id, source.registration.agreement_id
    assert giver is not None
    assert agreement is not None
    if not (method == "GET" or path == "/entityOperations/query") or path.startswith("/temporal"):
        return Answer(404)
    try:
        with pool.connection() as conn:
            with database.tenant_transaction(conn, [who.tenant_id]):
                parts = tuple(part for part in agreements.reach(conn, [who.tenant_id], giver) if part.agreement_id == agreement)
            if not parts:
                return Answer(0, warning=299, reason=msg("o acordo já não está em vigor"))
            with reach.limited(parts) as limits:
                with database.tenant_transaction(conn, [giver]):
                    page = _page(conn, giver, speech, path, params, payload)
                used = {number: f"{', '.join(sorted(types))} · {method} {path}"[:500] for number, types in limits.used.items()}
            with database.tenant_transaction(conn, [giver]):
                agreements.note(conn, giver, used, reader=_reader(who))
    except MalhaError as refused:
        return Answer(refused.status, reason=str(refused))
    want = rendering.Wanted(context=speech.context, system=True)
    found = [rendering.entity(_open(entity, giver), want) for entity in page.entities]
    headers = {} if page.total is None else {"ngsild-results-count": str(page.total)}
    if path.startswith("/entities/"):
        return Answer(200, msgspec.json.encode(found[0])) if found else Answer(404)
    return Answer(200, msgspec.json.encode(found), headers)


def _reader(who: Asked) -> str:
    return f"client:{who.principal.client_id}" if who.principal.client_id else f"person:{who.principal.person_id}"


def _page(conn: psycopg.Connection[Any], giver: int, speech: Speech, path: str, params: Mapping[str, str], payload: Any) -> EntityPage:
    rest = {name: value for name, value in params.items() if name not in {"options", "local"}}
    if path.startswith("/entities/"):
        return EntityPage(list(store.by_uris(conn, giver, [unquote(path.removeprefix("/entities/"))]).values()))
    context = speech.context
    asked = questions.by_body(payload, rest, context) if payload is not None else questions.parse({**rest, "local": "true"}, context)
    return store.query(conn, [giver], asked.query)


def _open(entity: StoredEntity, giver: int) -> StoredEntity:
    """The entity without what is about people: that never leaves, even when an agreement names it."""
    found = (models.find(name, giver) for name in entity.types)
    hidden = {prop.name for model in found if model for prop in model.properties if prop.personal}
    return replace(entity, attributes={name: each for name, each in entity.attributes.items() if name not in hidden})
