"""What this room does when entities change: the consumer that the composition root registers."""

from __future__ import annotations

from datetime import datetime

import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.events.contracts import Event
from malha.insight.alerts import evaluation, queries
from malha.insight.alerts.contracts import Heard, Rule, RuleKind
from malha.kernel import time


def on_entities_changed(conn: psycopg.Connection, event: Event, *, now: datetime | None = None) -> list[int]:
    """Move the rules that these values can move; gives the ids of alarms opened or ended. Repeats safely.

    `now` is the clock against which values are late (default: the wall's).
    """
    payload = event.payload
    entity_type = str(payload.get("type", ""))
    changed: list[int] = []
    attributes = payload.get("attrs")
    names = [str(name) for name in attributes] if isinstance(attributes, list) else []
    for rule in evaluation.threshold_rules(conn, event.tenant_id, entity_type, names):
        heard = _heard(conn, event, entity_type, rule.attribute)
        changed += evaluation.evaluate(conn, rule, heard, live=bool(payload.get("live", True)), now=now, run_id=_number(payload.get("run_id")))
    if payload.get("live", True):
        changed += _listen(conn, event, entity_type)
    else:
        ids = payload.get("ids")
        for rule in _silence_rules(conn, event, entity_type):
            evaluation.mark_loaded(conn, rule, ids if isinstance(ids, list) else [])
    return changed


def _silence_rules(conn: psycopg.Connection, event: Event, entity_type: str) -> list[Rule]:
    return [rule for rule in queries.rules(conn, event.tenant_id, type=entity_type) if rule.kind is RuleKind.SILENCE]


def consume(conn: psycopg.Connection, event: Event) -> None:
    """As `on_entities_changed`, for the dispatcher."""
    on_entities_changed(conn, event)


def _heard(conn: psycopg.Connection, event: Event, entity_type: str, attribute: str) -> list[Heard]:
    payload = event.payload
    start, end = payload.get("observed_from"), payload.get("observed_to")
    if not isinstance(start, str) or not isinstance(end, str):
        return []
    return queries.heard(conn, event.tenant_id, entity_type, attribute, xid=event.xid, start=time.parse_instant(start), end=time.parse_instant(end))


def _listen(conn: psycopg.Connection, event: Event, entity_type: str) -> list[int]:
    """End the silences of things that just spoke."""
    changed: list[int] = []
    for rule in _silence_rules(conn, event, entity_type):
        silent = queries.firing(conn, event.tenant_id, rule.id)
        if not silent:
            continue
        things = store.query(conn, [event.tenant_id], EntityQuery(uris=tuple(silent), limit=len(silent))).entities
        changed += evaluation.listen(conn, rule, {thing.uri: evaluation.last_heard(thing, rule.attribute) for thing in things})
    return changed


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
