"""Tell those who subscribed to registrations what came, changed and went (§5.11.2, §5.11.7); delivered as other notifications are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from malha.context.federation.contracts import Registration, State
from malha.context.federation.registrations import discovering, matching, writing
from malha.context.federation.registrations.discovering import Asked
from malha.context.store.contracts import EntityQuery, Selector
from malha.context.subscriptions import queries
from malha.context.subscriptions import reading as subscriptions
from malha.context.subscriptions.contracts import REGISTRATIONS, Subscription
from malha.vocabulary.contexts import service as contexts


def changed(conn: psycopg.Connection[Any], tenant_id: int, before: Registration | None, after: Registration | None) -> None:
    """A registration as it was and as it is; None where there is none."""
    for one in queries.active(conn, tenant_id):
        if one.about != REGISTRATIONS:
            continue
        asked = asked_by(one)
        was, now_ = before is not None and asked.means(before), after is not None and asked.means(after)
        reason = "updated" if was and now_ else "newlyMatching" if now_ else "noLongerMatching" if was else ""
        known = after or before
        if reason and known is not None:
            _tell(conn, one, reason, [known if reason == "noLongerMatching" else relevant(known, asked)])


def begun(conn: psycopg.Connection[Any], subscription: Subscription, known: Sequence[Registration]) -> None:
    """A subscription began: what matches it already."""
    asked = asked_by(subscription)
    found = [relevant(one, asked) for one in known if asked.means(one)]
    if found:
        _tell(conn, subscription, "newlyMatching", found)


def _tell(conn: psycopg.Connection[Any], one: Subscription, reason: str, found: Sequence[Registration]) -> None:
    context = contexts.of_tenant(one.tenant_id, one.document.get("jsonldContext") or one.context)
    queries.tell(conn, one.tenant_id, one.id, {"triggerReason": reason, "data": [writing.document(each, State(), context) for each in found]})


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
        if matching.compiled(cut).of_question(asked.entities, asked.attributes) is not None:
            entities = [each for each in piece.get("entities", ()) if _meant(one, {**piece, "entities": [each]}, asked)]
            pieces.append({**piece, "entities": entities} if entities else piece)
    return replace(one, document={**one.document, "information": pieces or one.document["information"]})


def _meant(one: Registration, piece: dict[str, Any], asked: Asked) -> bool:
    cut = replace(one, document={**one.document, "information": [piece]})
    return matching.compiled(cut).of_question(asked.entities, asked.attributes) is not None
