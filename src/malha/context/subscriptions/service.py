"""The door of subscriptions: keep, find, change and end them. Django-free; in the tenant's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from malha.context.subscriptions import queries, reading, rules
from malha.context.subscriptions.contracts import ENTITIES, Exists, Missing, State, Subscription, Unusable
from malha.kernel.text import msg
from malha.kernel.time import now, parse_instant
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context

#: a client that keeps more is told so
MOST = 10_000


def create(
    conn: psycopg.Connection[Any], tenant_id: int, subject: str, payload: Any, context: Context, about: str = ENTITIES, through: Sequence[str] = ()
) -> str:  # fmt: skip
    """Keep a subscription that came `through` other brokers; its URI. Raises Unusable, Exists."""
    said = reading.document(payload, context)
    _require_meant(said, about)
    uri = said.pop("id", None) or f"urn:ngsi-ld:Subscription:{uuid.uuid4()}"
    if queries.count(conn, tenant_id, None, about) >= MOST:
        raise Unusable(msg("O município já tem {most} subscrições; apague as que não usa."), most=MOST)
    queries.touch(conn, tenant_id)
    made = queries.insert(
        conn, tenant_id, uri, subject, said, context.source, active=said.get("isActive", True), expires=_instant(said.get("expiresAt")), about=about,
        through=through,
    )  # fmt: skip
    if made is None:
        raise Exists(msg("Já existe uma subscrição “{uri}”."), uri=uri)
    if said.get("isActive", True) and about == ENTITIES:
        queries.add_interest(conn, tenant_id, rules.types_watched([said]))
    return uri


def find(conn: psycopg.Connection[Any], tenant_id: int, uri: str, subject: str | None = None, about: str = ENTITIES) -> tuple[Subscription, State]:
    """One subscription, of a client when `subject` is given. Raises Missing."""
    found = queries.find(conn, tenant_id, subject=subject, uri=uri, limit=1, about=about)
    if not found:
        raise Missing(msg("Não há nenhuma subscrição “{uri}”."), uri=uri)
    return found[0]


def page(
    conn: psycopg.Connection[Any], tenant_id: int, subject: str | None = None, *, limit: int | None = None, offset: int = 0, about: str = ENTITIES
) -> list[tuple[Subscription, State]]:  # fmt: skip
    """Subscriptions in order of their making, of one client when `subject` is given."""
    return queries.find(conn, tenant_id, subject=subject, limit=limit, offset=offset, about=about)


def count(conn: psycopg.Connection[Any], tenant_id: int, subject: str | None = None, about: str = ENTITIES) -> int:
    """How many there are."""
    return queries.count(conn, tenant_id, subject, about)


def change(
    conn: psycopg.Connection[Any], tenant_id: int, uri: str, payload: Any, context: Context | None, subject: str | None = None, about: str = ENTITIES
) -> None:
    """Change those members that are named (§5.8.2); `context` None reads them in the words of the subscription. Raises Unusable, Missing."""
    queries.touch(conn, tenant_id)
    kept, _state = find(conn, tenant_id, uri, subject, about)
    named = reading.fragment(payload, context if context is not None else _words(kept))
    if named.pop("id", uri) != uri:
        raise Unusable(msg("O id de uma subscrição não muda."))
    _require_meant(named, about)
    merged = _merged(kept.document, named)
    reading.together(merged)
    if "notification" not in merged or not (merged.get("entities") or merged.get("watchedAttributes")):
        raise Unusable(msg("Uma subscrição não fica sem notification, nem sem entities e watchedAttributes."))
    source = context.source if context is not None and context.source is not None else kept.context
    queries.update(
        conn, replace(kept, document=merged, context=source, active=merged.get("isActive", True), expires_at=_instant(merged.get("expiresAt")))
    )  # fmt: skip
    _watch(conn, tenant_id)


def set_active(conn: psycopg.Connection[Any], tenant_id: int, uri: str, *, active: bool, expires_at: datetime | None = None) -> None:
    """Pause a subscription, or let it go on, until `expires_at` when that is given. Raises Missing."""
    queries.touch(conn, tenant_id)
    kept, _state = find(conn, tenant_id, uri)
    document = {**kept.document, "isActive": active}
    expires = expires_at if expires_at is not None else kept.expires_at
    if active and expires is not None and expires <= now():
        expires = None
        document.pop("expiresAt", None)
    if expires_at is not None:
        document["expiresAt"] = expires_at.isoformat()
    queries.update(conn, replace(kept, document=document, active=active, expires_at=expires))
    _watch(conn, tenant_id)


def delete(conn: psycopg.Connection[Any], tenant_id: int, uri: str, subject: str | None = None, about: str = ENTITIES) -> None:
    """End a subscription; what waits for it goes with it. Raises Missing."""
    queries.touch(conn, tenant_id)
    if not queries.delete(conn, tenant_id, uri, subject, about):
        raise Missing(msg("Não há nenhuma subscrição “{uri}”."), uri=uri)
    _watch(conn, tenant_id)


def status(subscription: Subscription) -> str:
    """active, paused or expired (§5.2.12)."""
    if subscription.expires_at is not None and subscription.expires_at <= now():
        return "expired"
    return "active" if subscription.active else "paused"


def _require_meant(said: Mapping[str, Any], about: str) -> None:
    """Raise Unusable for what only a subscription to registrations may say (§5.2.12)."""
    if about == ENTITIES and said.get("temporalQ") is not None:
        raise Unusable(msg("temporalQ é só para subscrições de registos de fontes (csourceSubscriptions); aqui omita-o."))


def _watch(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Tell writers which types somebody watches; `touch` before it keeps others out meanwhile."""
    queries.set_interest(conn, tenant_id, rules.types_watched(one.document for one in queries.active(conn, tenant_id) if one.about == ENTITIES))


def _words(kept: Subscription) -> Context:
    return contexts.of_tenant(kept.tenant_id, kept.context)


def _merged(before: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**before, **named}
    if isinstance(named.get("notification"), dict):
        merged["notification"] = {**before["notification"], **named["notification"]}
    return {name: value for name, value in merged.items() if value is not None}


def _instant(text: str | None) -> datetime | None:
    return parse_instant(text) if text else None
