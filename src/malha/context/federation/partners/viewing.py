"""What sources bring of a type, for people who look: asked for at that moment, page by page; nothing of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
from starlette.requests import Request

from malha.context.broker import pool, rendering, tenants
from malha.context.broker.contracts import Asked
from malha.context.broker.query import Asking
from malha.context.broker.questions import Question
from malha.context.federation import service
from malha.context.federation.asking import wire
from malha.context.federation.asking.conversation import Session
from malha.context.federation.contracts import Registration, State
from malha.context.federation.gathering import gather
from malha.context.federation.gathering.gather import Plan
from malha.context.federation.partners import links
from malha.context.federation.registrations import matching, outcomes
from malha.context.federation.registrations.matching import Share, Source
from malha.context.store.contracts import EntityPage, EntityQuery, StoredEntity
from malha.foundation.access.contracts import Principal
from malha.foundation.agreements import service as agreements
from malha.foundation.tenancy.contracts import Tenant
from malha.vocabulary.contexts import service as contexts

READ = ("queryEntity", "queryBatch")


@dataclass(frozen=True, slots=True)
class Place:
    """A source as people know it: what it is called and of which types it has something, none named where it does not say."""

    source: Source
    name: str
    types: frozenset[str]
    state: State

    @property
    def id(self) -> int:
        """The number of its registration."""
        return self.source.registration.id


@dataclass(frozen=True, slots=True)
class View:
    """A page of what sources have, and `found_at` which (by the names of places). `total` where all tell it, `amiss` what went wrong: place and kept sentence."""

    entities: Sequence[StoredEntity]
    found_at: Mapping[str, Sequence[str]]
    total: int | None
    amiss: tuple[tuple[str, str], ...]


def places(conn: psycopg.Connection[Any], tenant_id: int) -> list[Place]:
    """The tenant's sources that can be asked for entities, by name. In the tenant's transaction."""
    joined = {one.registration_uri: one.name for one in links.every(conn, tenant_id) if one.ended_at is None}
    agreed = {one.id: one.tenant_name for one in agreements.granted(conn, tenant_id)}
    found = []
    for registration, state in service.every(conn, tenant_id):
        source = matching.compiled(registration)
        if source.over() or not source.takes(*READ):
            continue
        types = frozenset().union(*(things.types for piece in source.pieces for things in piece.things))
        found.append(Place(source, joined.get(registration.uri) or agreed.get(registration.agreement_id or 0) or _called(registration), types, state))
    return sorted(found, key=lambda one: one.name.casefold())


def _called(registration: Registration) -> str:
    said = registration.document
    return str(said.get("registrationName") or said.get("contextSourceName") or urlsplit(str(said["endpoint"])).hostname or registration.uri)


def look(tenant: Tenant, principal: Principal, places_: Sequence[Place], question: EntityQuery, language: str) -> View:
    """What sources have for a question within what they are registered for, shown as this reader may see it. Takes as long as the slowest does."""
    shares = {share.source.registration.uri: (one.name, share) for one in places_ if (share := one.source.of_question(question)) is not None}
    who = Asked(tenant.id, principal, contexts.CORE, language)
    session = Session(_nobody(), who, tenants.alias(tenant.id), tenant.slug)
    return asyncio.run(_asked(session, shares, question))


async def _asked(session: Session, shares: Mapping[str, tuple[str, Share]], question: EntityQuery) -> View:
    plan = Plan(Question(question, count=True), rendering.Wanted(session.who.context), frozenset(), False, tuple(share for _, share in shares.values()))
    try:
        told = await gather.ask_all(session, plan, Asking(lambda _: plan.question))
        await pool.run(outcomes.gathered.write)
    finally:
        await wire.close()
    page = gather.assembled(session, plan, EntityPage([]), told)
    found_at: dict[str, list[str]] = {}
    for each in told:
        for raw in each.entities:
            found_at.setdefault(str(raw.get("id", raw.get("@id"))), []).append(shares[each.source.registration.uri][0])
    amiss = tuple((shares[one.source][0], one.reason) for one in session.warnings if one.source in shares)
    return View(page.entities, found_at, page.total if all(each.answer.ok for each in told) else None, amiss)


def _nobody() -> Request:
    """What stands for a request to the plane where a page asks."""
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []})
