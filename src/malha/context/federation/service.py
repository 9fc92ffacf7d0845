"""The door of registrations: keep, find, change and end sources (§5.9, §5.10). Django-free; in the tenant's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from malha.context.federation.contracts import PROXIED, Conflicts, Exists, Missing, Mode, Registration, State, Unusable
from malha.context.federation.registrations import matching, queries, reading, telling
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, Selector
from malha.kernel.text import msg
from malha.kernel.time import parse_instant
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context

MOST = 5_000


def create(
    conn: psycopg.Connection[Any], tenant_id: int, payload: Any, context: Context, *, agreement_id: int | None = None, giver_id: int | None = None
) -> str:  # fmt: skip
    """Keep a source; its URI. Raises Unusable, Exists, Conflicts."""
    said = reading.document(payload, context)
    uri = said.pop("id", None) or f"urn:ngsi-ld:ContextSourceRegistration:{uuid.uuid4()}"
    headers = reading.apart(said, {})
    queries.touch(conn, tenant_id)
    kept = [one for one, _ in queries.find(conn, tenant_id)]
    if len(kept) >= MOST:
        raise Unusable(msg("O município já tem {most} fontes registadas; apague as que não usa."), most=MOST)
    _require_free(conn, tenant_id, said, kept)
    made = queries.insert(
        conn, tenant_id, uri, said, headers, context.source, _instant(said.get("expiresAt")), agreement_id=agreement_id, giver_id=giver_id
    )  # fmt: skip
    if made is None:
        raise Exists(msg("Já existe um registo de fonte “{uri}”."), uri=uri)
    queries.counted(conn, tenant_id)
    telling.changed(conn, tenant_id, None, find(conn, tenant_id, uri)[0])
    return uri


def find(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> tuple[Registration, State]:
    """One source. Raises Missing."""
    found = queries.find(conn, tenant_id, uri)
    if not found:
        raise Missing(msg("Não há nenhum registo de fonte “{uri}”."), uri=uri)
    return found[0]


def every(conn: psycopg.Connection[Any], tenant_id: int) -> list[tuple[Registration, State]]:
    """Every source of the tenant, in order of their making."""
    return queries.find(conn, tenant_id)


def change(conn: psycopg.Connection[Any], tenant_id: int, uri: str, payload: Any, context: Context | None) -> None:
    """Change those members that are named (§5.9.3); `context` None reads them in the words of the registration. Raises Unusable, Missing."""
    queries.touch(conn, tenant_id)
    before, _ = find(conn, tenant_id, uri)
    named = reading.fragment(payload, context if context is not None else contexts.of_tenant(tenant_id, before.context))
    if named.pop("id", uri) != uri:
        raise Unusable(msg("O id de um registo não muda."))
    headers = reading.apart(named, before.headers) if "contextSourceInfo" in named else before.headers
    merged = _merged(before.document, named)
    if "information" not in merged or "endpoint" not in merged:
        raise Unusable(msg("Um registo de fonte não fica sem information, nem sem endpoint."))
    reading.together(merged)
    _require_free(conn, tenant_id, merged, [one for one, _ in queries.find(conn, tenant_id) if one.uri != uri])
    source = context.source if context is not None and context.source is not None else before.context
    after = replace(before, document=merged, headers=headers, context=source, expires_at=_instant(merged.get("expiresAt")))
    queries.update(conn, after)
    telling.changed(conn, tenant_id, before, after)


def delete(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> None:
    """End a source. Raises Missing."""
    queries.touch(conn, tenant_id)
    before, _ = find(conn, tenant_id, uri)
    queries.delete(conn, tenant_id, uri)
    queries.counted(conn, tenant_id)
    telling.changed(conn, tenant_id, before, None)


def _merged(before: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**before, **named}
    if isinstance(named.get("properties"), dict):
        merged["properties"] = {name: value for name, value in {**before.get("properties", {}), **named["properties"]}.items() if value != reading.NULL}
    return {name: value for name, value in merged.items() if value is not None}


def _instant(text: str | None) -> datetime | None:
    return parse_instant(text) if text else None


def _require_free(conn: psycopg.Connection[Any], tenant_id: int, said: Mapping[str, Any], others: Iterable[Registration]) -> None:
    """Raise Conflicts where this broker, or another source, already answers alone for the same thing (§4.3.6.3, §5.9.2.4)."""
    mode = Mode(said.get("mode", Mode.INCLUSIVE))
    if mode not in PROXIED:
        return
    for one in said["information"]:
        attributes = reading.attributes_of(one)
        for other in others:
            other_mode = Mode(other.document.get("mode", Mode.INCLUSIVE))
            if Mode.EXCLUSIVE in {mode, other_mode} and other_mode in PROXIED and _overlap(one, attributes, matching.compiled(other)):
                raise Conflicts(msg("O registo “{uri}” já responde em exclusivo por isto."), uri=other.uri)
        question = EntityQuery(
            any_of=tuple(Selector(",".join(e["type"]), (e["id"],) if e.get("id") else (), e.get("idPattern", "")) for e in one.get("entities", ())),
            attrs=tuple(attributes), limit=1,
        )  # fmt: skip
        if (question.any_of or question.attrs) and store.query(conn, [tenant_id], question).entities:
            raise Conflicts(msg("Já há aqui entidades com estes dados; apague-as, ou registe a fonte como inclusive."))


def _overlap(one: Mapping[str, Any], attributes: frozenset[str], other: matching.Source) -> bool:
    """Whether two sources, one of them of a single entity, speak of the same attributes."""
    for piece in other.pieces:
        if piece.attributes and attributes and piece.attributes.isdisjoint(attributes):
            continue
        for entity in one.get("entities", ()):
            mine = matching.Things(frozenset(entity["type"]), entity.get("id", ""), entity.get("idPattern", ""))
            theirs = piece.things or (mine,)
            if any((mine.uri and each.hold(mine.uri, mine.types)) or (each.uri and mine.hold(each.uri, each.types)) for each in theirs):
                return True
    return False
