"""Tell those who subscribed to registrations what came, changed and went, or what matches every so often (§5.11.2, §5.11.7); delivered as other notifications are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg

from malha.context.federation.contracts import Registration, State
from malha.context.federation.registrations import discovering, writing
from malha.context.federation.registrations import matching as sources
from malha.context.federation.registrations import queries as registered
from malha.context.federation.registrations.discovering import Asked
from malha.context.store.contracts import EntityQuery, Selector
from malha.context.subscriptions import queries
from malha.context.subscriptions import reading as subscriptions
from malha.context.subscriptions.contracts import REGISTRATIONS, Subscription
from malha.kernel.time import now
from malha.vocabulary.contexts import service as contexts


def changed(conn: psycopg.Connection[Any], tenant_id: int, before: Registration | None, after: Registration | None) -> None:
    """A registration as it was and as it is; None where there is none."""
    for one in queries.active(conn, tenant_id):
        if one.about != REGISTRATIONS or one.document.get("timeInterval"):
            continue
        asked = asked_by(one)
        was, is_ = before is not None and asked.means(before), after is not None and asked.means(after)
        reason = "updated" if was and is_ else "newlyMatching" if is_ else "noLongerMatching" if was else ""
        known = after or before
        if reason and known is not None:
            queries.tell(conn, tenant_id, one.id, _told(one, reason, [known if reason == "noLongerMatching" else relevant(known, asked)]))


def begun(conn: psycopg.Connection[Any], subscription: Subscription, known: Sequence[Registration]) -> None:
    """A subscription began: what matches it already."""
    if (told := _all(subscription, known)) is not None:
        queries.tell(conn, subscription.tenant_id, subscription.id, told)


def matching(conn: psycopg.Connection[Any], subscription: Subscription) -> Mapping[str, Any] | None:
    """What is told of registrations where that is done every so often: all that match now; None where none does. In the tenant's transaction."""
    return _all(subscription, [one for one, _ in registered.find(conn, subscription.tenant_id)])


def _all(subscription: Subscription, known: Sequence[Registration]) -> dict[str, Any] | None:
    asked = asked_by(subscription)
    found = [relevant(one, asked) for one in known if not over(one) and asked.means(one)]
    # the standard knows three reasons, and none for a clock
    return _told(subscription, "newlyMatching", found) if found else None


def _told(one: Subscription, reason: str, found: Sequence[Registration]) -> dict[str, Any]:
    context = contexts.of_tenant(one.tenant_id, one.document.get("jsonldContext") or one.context)
    return {"triggerReason": reason, "data": [writing.document(each, State(), context) for each in found]}


def over(one: Registration) -> bool:
    """Whether the registration has ended."""
    return one.expires_at is not None and one.expires_at <= now()


def asked_by(one: Subscription) -> Asked:
    """The question about sources that a subscription asks again and again (§5.11.2.4)."""
    said = one.document
    selectors = tuple(
        Selector("" if each.get("type", "*") == "*" else each["type"], tuple(each.get("id", ())), each.get("idPattern", ""))
        for each in said.get("entities", ())
    )
    temporal = said.get("temporalQ") or {}
    period = discovering.period({name: str(value) for name, value in temporal.items()}) if isinstance(temporal, dict) else None
    words = contexts.of_tenant(one.tenant_id, one.context) if said.get("csf") else None
    place = subscriptions.geo_filter({**said["geoQ"], "geoproperty": "location"}) if said.get("geoQ") else None
    return Asked(
        entities=EntityQuery(any_of=selectors), attributes=tuple(said.get("watchedAttributes") or ()),
        conditions=(discovering.csf(said["csf"], words),) if words is not None else (), place=place, period=period, scopes=said.get("scopeQ", ""),
    )  # fmt: skip


def relevant(one: Registration, asked: Asked) -> Registration:
    """The registration with that part of its information that the question is about."""
    pieces = []
    for piece in one.document["information"]:
        cut = replace(one, document={**one.document, "information": [piece]})
        if sources.compiled(cut).of_question(asked.entities, asked.attributes) is not None:
            entities = [each for each in piece.get("entities", ()) if _meant(one, {**piece, "entities": [each]}, asked)]
            pieces.append({**piece, "entities": entities} if entities else piece)
    return replace(one, document={**one.document, "information": pieces or one.document["information"]})


def _meant(one: Registration, piece: dict[str, Any], asked: Asked) -> bool:
    cut = replace(one, document={**one.document, "information": [piece]})
    return sources.compiled(cut).of_question(asked.entities, asked.attributes) is not None
