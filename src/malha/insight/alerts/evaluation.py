"""Values move rules; rules open and end alarms. Everything in the caller's transaction, in event time.

Two tracks are remembered for each rule and thing: that of live values, which ring, and that of late and
loaded ones, which are recorded as "teria disparado" and tell nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import psycopg
from psycopg.types.json import Jsonb

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, StoredEntity
from malha.foundation.events import service as events
from malha.insight.alerts import queries, rules
from malha.insight.alerts.contracts import Change, Heard, Operator, Phase, Rule, RuleKind, State, Status
from malha.kernel import time
from malha.vocabulary.models import service as models

#: a thing that said nothing for so long is a matter of data health, not an alarm
ABANDONED = timedelta(days=7)
PAGE = 1000
#: what a silence rule remembers of a thing that came by a load of history
LOADED = "load"


@dataclass(slots=True)
class _Batch:
    """One evaluation of one rule over one batch of values."""

    conn: psycopg.Connection
    rule: Rule
    now: datetime
    live: bool
    run_id: int | None
    things: dict[str, StoredEntity | None] = field(default_factory=dict)
    changed: list[int] = field(default_factory=list)

    def thing(self, uri: str) -> StoredEntity | None:
        if uri not in self.things:
            page = store.query(self.conn, [self.rule.tenant_id], EntityQuery(uris=(uri,), limit=1))
            self.things[uri] = page.entities[0] if page.entities else None
        return self.things[uri]

    def watches(self, uri: str) -> bool:
        if self.rule.uris and uri not in self.rule.uris:
            return False
        if self.rule.area is None:
            return True
        thing = self.thing(uri)
        return thing is not None and rules.in_scope(self.rule, uri, thing.location)


def evaluate(conn: psycopg.Connection, rule: Rule, heard: Sequence[Heard], *, live: bool, now: datetime | None = None, run_id: int | None = None) -> list[int]:
    """Bring a threshold rule up to these values; gives the ids of alarms that were opened or ended.

    `now` is the clock against which a value is late (default: the wall's); `live=False` never rings.
    """
    batch = _Batch(conn, rule, now or time.now(), live, run_id)
    ordered = sorted(heard, key=lambda one: one.at)
    uris = list({one.uri for one in ordered})
    loud = queries.states(conn, rule.tenant_id, rule.id, uris, live=True)
    quiet = queries.states(conn, rule.tenant_id, rule.id, uris, live=False)
    loud_after, quiet_after = dict(loud), dict(quiet)
    start = rules.start_expression(rule)
    ignored: set[str] = set()
    for one in ordered:
        before = loud_after.get(one.uri, State())
        rings = rules.is_live(rule, one.at, batch.now, live=live) and (before.last_at is None or one.at > before.last_at)
        if not rings and before.last_at == one.at:
            continue  # the very value that was heard, delivered again
        state = before if rings else _older(quiet_after.get(one.uri, State()), one.at)
        if one.uri in ignored or (state.phase is Phase.QUIET and rules.holds(start, one.value) and not batch.watches(one.uri)):
            ignored.add(one.uri)
            continue
        after, change = rules.step(rule, state, one.at, one.value)
        (loud_after if rings else quiet_after)[one.uri] = after
        _act(batch, one, after, state, change, rings=rings)
    queries.save_states(conn, rule.tenant_id, rule.id, {u: s for u, s in loud_after.items() if loud.get(u) != s}, live=True)
    queries.save_states(conn, rule.tenant_id, rule.id, {u: s for u, s in quiet_after.items() if quiet.get(u) != s}, live=False)
    return batch.changed


def _older(state: State, at: datetime) -> State:
    """The late track, begun anew where a load goes further back than the one before."""
    return State() if state.last_at is not None and at <= state.last_at else state


def _act(batch: _Batch, one: Heard, after: State, before: State, change: Change | None, *, rings: bool) -> None:
    rule, conn = batch.rule, batch.conn
    if change is Change.FIRED:
        since = after.since or one.at
        if rings:
            open_alarm(
                batch.conn, rule, one.uri, since=since, at=one.at, value=one.value, thing=batch.thing(one.uri), changed=batch.changed, run_id=batch.run_id
            )
        elif not queries.covered(conn, rule.tenant_id, rule.id, one.uri, one.at):
            reason = "late" if batch.live else "load"
            record_would_have(conn, rule, one.uri, since=since, at=one.at, value=one.value, thing=batch.thing(one.uri), reason=reason, run_id=batch.run_id)
    elif change is Change.ENDED:
        if rings:
            close_alarm(conn, rule, one.uri, one.at, one.value, batch.changed)
        else:
            queries.end_would_have(conn, rule.tenant_id, rule.id, one.uri, one.at)
    elif rings and before.phase in (Phase.FIRING, Phase.ENDING) and not isinstance(one.value, str):
        queries.update_peak(conn, rule.tenant_id, rule.id, one.uri, one.value, upward=rule.operator in (Operator.ABOVE, Operator.AT_LEAST))


def _values(rule: Rule, uri: str, since: datetime, at: datetime, value: float | str | None, thing: StoredEntity | None) -> dict[str, object]:
    number = value if isinstance(value, (int, float)) else None
    place = rules.point_of(thing.location) if thing and thing.location else None
    said = {
        "name": rule.name, "kind": rule.kind, "type": rule.type, "attribute": rule.attribute, "label": label_of(rule), "operator": rule.operator,
        "bound": rule.bound, "bound_text": rule.bound_text, "end_bound": rule.end_bound, "for_seconds": rule.for_seconds,
        "silence_seconds": rule.silence_seconds, "unit": rule.unit, "decimals": rule.decimals, "what_to_do": rule.what_to_do, "call_whom": rule.call_whom,
        "area_name": rule.area_name,
    }  # fmt: skip
    return {
        "rule_id": rule.id, "severity": rule.severity, "uri": uri, "thing": name_of(uri, thing), "rule": Jsonb(said), "value": number, "peak": number,
        "value_text": value if isinstance(value, str) else "", "since": since, "fired_at": at,
        "longitude": place[0] if place else None, "latitude": place[1] if place else None,
    }  # fmt: skip


def open_alarm(conn: psycopg.Connection, rule: Rule, uri: str, *, since: datetime, at: datetime, value: float | str | None, thing: StoredEntity | None, changed: list[int], run_id: int | None = None) -> None:  # fmt: skip
    """Ring: the alarm, the first line of its story, notices in the outbox, the event; once until it ends."""
    values = _values(rule, uri, since, at, value, thing) | {"status": Status.OPEN, "run_id": run_id}
    alarm_id = queries.open_alarm(conn, rule.tenant_id, values)
    if not alarm_id:
        return
    queries.add_entry(conn, rule.tenant_id, alarm_id, "raised", params={"value": value}, at=at)
    queries.queue(conn, rule.tenant_id, alarm_id, rule.channels, "raised")
    tell(conn, rule.tenant_id, alarm_id, Status.OPEN)
    changed.append(alarm_id)


def record_would_have(conn: psycopg.Connection, rule: Rule, uri: str, *, since: datetime, at: datetime, value: float | str, thing: StoredEntity | None, reason: str, run_id: int | None) -> None:  # fmt: skip
    """Write down an alarm that did not ring, because its values came late or by a load of history."""
    values = _values(rule, uri, since, at, value, thing) | {"status": Status.WOULD_HAVE, "reason": reason, "run_id": run_id}
    alarm_id = queries.open_alarm(conn, rule.tenant_id, values)
    queries.add_entry(conn, rule.tenant_id, alarm_id, "would_have", params={"value": value, "reason": reason}, at=at)


def close_alarm(conn: psycopg.Connection, rule: Rule, uri: str, at: datetime, value: float | str | None, changed: list[int]) -> None:
    """End the running alarm of a rule and thing, because the values say so."""
    alarm_id = queries.end_alarm(conn, rule.tenant_id, rule.id, uri, at)
    if not alarm_id:
        return
    queries.add_entry(conn, rule.tenant_id, alarm_id, "ended", params={"value": value}, at=at)
    queries.queue(conn, rule.tenant_id, alarm_id, rule.channels, "ended", only="webhook")
    tell(conn, rule.tenant_id, alarm_id, Status.ENDED)
    changed.append(alarm_id)


def tell(conn: psycopg.Connection, tenant_id: int, alarm_id: int, status: Status) -> None:
    """Publish that an alarm changed: pages refresh, notices leave."""
    events.publish(conn, tenant_id, "alarm.changed", {"id": alarm_id, "status": str(status)})


def name_of(uri: str, thing: StoredEntity | None) -> str:
    """What people call a thing: its name, else the last part of its URI."""
    name = thing.value("name") if thing else None
    if isinstance(name, dict):
        name = name.get("pt") or next(iter(name.values()), None)
    return str(name)[:300] if name else uri.rsplit(":", 1)[-1][:300]


def label_of(rule: Rule) -> str:
    """What people call the measure that a rule watches."""
    known = next((model for model in models.all_models(rule.tenant_id) if model.type == rule.type), None)
    found = known.find(rule.attribute) if known else None
    return found.label.pt if found else rule.attribute


def listen(conn: psycopg.Connection, rule: Rule, heard: Mapping[str, datetime]) -> list[int]:
    """End silences of things that spoke again; gives the ids of alarms that ended."""
    changed: list[int] = []
    states = queries.states(conn, rule.tenant_id, rule.id, list(heard), live=True)
    after: dict[str, State] = {}
    for uri, state in states.items():
        if state.phase is Phase.FIRING and (state.last_at is None or heard[uri] > state.last_at):
            close_alarm(conn, rule, uri, heard[uri], None, changed)
            after[uri] = replace(state, phase=Phase.QUIET, since=None, last_at=heard[uri])
    queries.save_states(conn, rule.tenant_id, rule.id, after, live=True)
    return changed


def mark_loaded(conn: psycopg.Connection, rule: Rule, ids: Sequence[int]) -> None:
    """Remember of a silence rule that these things were loaded, not heard: their silence asks for nobody until they speak."""
    things = queries.things(conn, rule.tenant_id, ids)
    found = store.query(conn, [rule.tenant_id], EntityQuery(uris=tuple(things), limit=len(things))).entities if things else []
    known = queries.states(conn, rule.tenant_id, rule.id, things, live=True)
    after = {
        thing.uri: State(Phase.QUIET, last_at=last_heard(thing, rule.attribute), last_value=LOADED)
        for thing in found
        if thing.uri not in known or known[thing.uri].last_value == LOADED
    }
    queries.save_states(conn, rule.tenant_id, rule.id, after, live=True)


def watch_silence(conn: psycopg.Connection, rule: Rule, now: datetime) -> list[int]:
    """Ring for things of a silence rule not heard for too long at `now`; gives the ids of alarms opened or ended."""
    changed: list[int] = []
    for things in _pages(conn, rule):
        last = {thing.uri: (thing, last_heard(thing, rule.attribute)) for thing in things if rules.in_scope(rule, thing.uri, thing.location)}
        states = queries.states(conn, rule.tenant_id, rule.id, list(last), live=True)
        after: dict[str, State] = {}
        for uri, (thing, heard_at) in last.items():
            state = states.get(uri, State())
            if state.last_value == LOADED and state.last_at and heard_at <= state.last_at:
                continue
            if rules.silent(rule, heard_at, now):
                if state.phase is not Phase.FIRING and now - heard_at < ABANDONED:
                    open_alarm(conn, rule, uri, since=heard_at, at=now, value=None, thing=thing, changed=changed)
                    after[uri] = State(Phase.FIRING, heard_at, None, heard_at, None)
            elif state.phase is Phase.FIRING:
                close_alarm(conn, rule, uri, heard_at, None, changed)
                after[uri] = State(Phase.QUIET, None, None, heard_at, None)
        queries.save_states(conn, rule.tenant_id, rule.id, after, live=True)
    return changed


def _pages(conn: psycopg.Connection, rule: Rule) -> Iterable[list[StoredEntity]]:
    after = 0
    while True:
        page = store.query(conn, [rule.tenant_id], EntityQuery(types=(rule.type,), uris=rule.uris, limit=PAGE, after_id=after)).entities
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1].id


def last_heard(thing: StoredEntity, attribute: str = "") -> datetime:
    """When a thing last spoke, in its own clock: the newest `observedAt` (of `attribute` where given), else when it was written."""
    instants: list[datetime] = []
    for name, given in thing.attributes.items():
        if attribute and name != attribute:
            continue
        found = given if isinstance(given, list) else [given]
        instants += [time.parse_instant(one["observedAt"]) for one in found if isinstance(one, dict) and isinstance(one.get("observedAt"), str)]
    return max(instants, default=thing.modified_at)


def threshold_rules(conn: psycopg.Connection, tenant_id: int, entity_type: str, attributes: Iterable[str]) -> list[Rule]:
    """The rules that values of these attributes can move."""
    names = set(attributes)
    return [rule for rule in queries.rules(conn, tenant_id, type=entity_type) if rule.kind is RuleKind.THRESHOLD and (not names or rule.attribute in names)]
