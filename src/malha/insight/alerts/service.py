"""The door of the room: rules, alarms and what people do with them. Connections are inside a tenant transaction."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg

from malha.context.store import service as store
from malha.foundation.access import reach
from malha.foundation.access.contracts import Reach
from malha.foundation.audit import service as audit
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Grain, SeriesQuery
from malha.insight.alerts import evaluation, queries, rules, webhook
from malha.insight.alerts.contracts import (
    Actor,
    Alarm,
    AlarmConflict,
    AlarmNotFound,
    Channel,
    ChannelKind,
    Entry,
    Firing,
    Heard,
    Rule,
    RuleKind,
    Status,
    UnusableTarget,
)
from malha.kernel import time
from malha.kernel.text import msg

evaluate = evaluation.evaluate
REPLAY_LIMIT = 500_000
#: of so many alarms, those are sought that somebody with a limited reach may see
MOST_LOOKED_AT = 2000
SYSTEM = Actor("malha")


def list_rules(conn: psycopg.Connection, tenant_id: int) -> list[Rule]:
    """All rules, also those that are off."""
    return queries.rules(conn, tenant_id, enabled_only=False)


def get_rule(conn: psycopg.Connection, tenant_id: int, rule_id: int) -> Rule:
    """One rule. Raises AlarmNotFound."""
    found = queries.rule(conn, tenant_id, rule_id)
    if found is None:
        raise AlarmNotFound(msg("Essa regra de alarme já não existe."))
    return found


def save_rule(conn: psycopg.Connection, rule: Rule, *, actor: Actor = SYSTEM) -> int:
    """Write a rule (id 0: a new one) and give its id. Raises UnusableRule."""
    rules.check(rule)
    rule_id = queries.save_rule(conn, rule)
    if rule_id:
        audit.record_on(conn, rule.tenant_id, actor.key, "alert_rule.save", f"alert_rule:{rule_id}", {"name": rule.name, "enabled": rule.enabled})
    return rule_id


def switch_rule(conn: psycopg.Connection, tenant_id: int, rule_id: int, *, enabled: bool, actor: Actor) -> None:
    """Switch a rule on or off; running alarms of a rule that is off end now."""
    rule = get_rule(conn, tenant_id, rule_id)
    save_rule(conn, replace(rule, enabled=enabled), actor=actor)
    if not enabled:
        for alarm in queries.alarms(conn, tenant_id, rule_id=rule_id):
            end(conn, tenant_id, alarm.id, actor=actor)


def remove_rule(conn: psycopg.Connection, tenant_id: int, rule_id: int, *, actor: Actor) -> None:
    """Take a rule away; its alarms stay on record, and those that run end."""
    switch_rule(conn, tenant_id, rule_id, enabled=False, actor=actor)
    queries.remove_rule(conn, tenant_id, rule_id)
    audit.record_on(conn, tenant_id, actor.key, "alert_rule.remove", f"alert_rule:{rule_id}", None)


def remove_pack(conn: psycopg.Connection, tenant_id: int, pack: str) -> None:
    """Take away the rules that a pack brought."""
    for rule in list_rules(conn, tenant_id):
        if rule.pack == pack:
            remove_rule(conn, tenant_id, rule.id, actor=Actor(f"pack:{pack}"))


def alarms(conn: psycopg.Connection, tenant_id: int, *, statuses: tuple[Status, ...] = queries.ACTIVE, severity: str = "", uri: str = "", limit: int = 100) -> list[Alarm]:  # fmt: skip
    """Alarms by status: worst and newest first; those of things that the reader may see."""
    if reach.current() is None:
        return queries.alarms(conn, tenant_id, statuses=statuses, severity=severity, uri=uri, limit=limit)
    return _seen(conn, tenant_id, queries.alarms(conn, tenant_id, statuses=statuses, severity=severity, uri=uri, limit=MOST_LOOKED_AT))[:limit]


def _seen(conn: psycopg.Connection, tenant_id: int, found: Sequence[Alarm]) -> list[Alarm]:
    """Those of the alarms whose thing and attribute the reader may see."""
    named = [one for one in found if reach.allows(one.type, one.attribute)]
    things = store.by_uris(conn, tenant_id, list({one.uri for one in named}))
    return [one for one in named if one.uri in things]


def running_at(conn: psycopg.Connection, tenant_id: int, at: datetime, limit: int = 100) -> list[Alarm]:
    """The alarms that ran at an instant, also those that ended since; of things that the reader may see."""
    found = queries.running_at(conn, tenant_id, at, limit if reach.current() is None else MOST_LOOKED_AT)
    return found if reach.current() is None else _seen(conn, tenant_id, found)[:limit]


def past(conn: psycopg.Connection, tenant_id: int, uri: str, limit: int = 5) -> list[Alarm]:
    """The last alarms of a thing that ended, or that would have rung."""
    return alarms(conn, tenant_id, statuses=(Status.ENDED, Status.WOULD_HAVE), uri=uri, limit=limit)


def counts(conn: psycopg.Connection, tenant_id: int) -> dict[str, int]:
    """How many alarms of each status there are."""
    if reach.current() is None:
        return queries.counts(conn, tenant_id)
    return dict(Counter(str(one.status) for one in alarms(conn, tenant_id, statuses=tuple(Status), limit=MOST_LOOKED_AT)))


def open_now(conn: psycopg.Connection, tenant_id: int, parts: tuple[Reach, ...] | None) -> tuple[int, int]:
    """How many alarms nobody has taken, and the newest one's id (0: none), for a reader of that reach."""
    if parts is None:
        return queries.open_now(conn, tenant_id)
    with reach.limited(parts):
        found = alarms(conn, tenant_id, statuses=(Status.OPEN,), limit=MOST_LOOKED_AT)
    return len(found), max((one.id for one in found), default=0)


def get(conn: psycopg.Connection, tenant_id: int, alarm_id: int, *, lock: bool = False) -> Alarm:
    """One alarm. Raises AlarmNotFound, also where the reader may not see its thing."""
    found = queries.alarm(conn, tenant_id, alarm_id, lock=lock)
    if found is None or (reach.current() is not None and not _seen(conn, tenant_id, [found])):
        raise AlarmNotFound(msg("Esse alarme não existe neste município."))
    return found


def story(conn: psycopg.Connection, tenant_id: int, alarm_id: int) -> list[Entry]:
    """What happened with an alarm, oldest first: the record of the decision."""
    return queries.entries(conn, tenant_id, alarm_id)


def take(conn: psycopg.Connection, tenant_id: int, alarm_id: int, *, actor: Actor) -> Alarm:
    """*Fico com isto*: whoever says so has it. Raises AlarmConflict when somebody else has, or it ended."""
    found = get(conn, tenant_id, alarm_id, lock=True)
    if found.status is Status.TAKEN and found.taken_by == actor.name:
        return found
    if found.status is Status.TAKEN:
        raise AlarmConflict(msg("{name} já ficou com este alarme."), name=found.taken_by)
    if found.status is not Status.OPEN:
        raise AlarmConflict(msg("Este alarme já terminou."))
    queries.set_status(conn, tenant_id, alarm_id, {"status": Status.TAKEN, "taken_by": actor.name, "taken_by_id": actor.person_id, "taken_at": time.now()})
    return _changed(conn, tenant_id, alarm_id, "taken", actor)


def release(conn: psycopg.Connection, tenant_id: int, alarm_id: int, *, actor: Actor) -> Alarm:
    """Give an alarm back to whoever can take it."""
    if get(conn, tenant_id, alarm_id, lock=True).status is not Status.TAKEN:
        raise AlarmConflict(msg("Ninguém tem este alarme."))
    queries.set_status(conn, tenant_id, alarm_id, {"status": Status.OPEN, "taken_by": "", "taken_by_id": None, "taken_at": None})
    return _changed(conn, tenant_id, alarm_id, "released", actor)


def end(conn: psycopg.Connection, tenant_id: int, alarm_id: int, *, actor: Actor, text: str = "") -> Alarm:
    """Somebody says that it is over; it rings again only after the values have been quiet in between."""
    if get(conn, tenant_id, alarm_id, lock=True).status not in queries.ACTIVE:
        raise AlarmConflict(msg("Este alarme já terminou."))
    queries.set_status(conn, tenant_id, alarm_id, {"status": Status.ENDED, "ended_at": time.now(), "ended_by": actor.name})
    return _changed(conn, tenant_id, alarm_id, "ended", actor, text)


def note(conn: psycopg.Connection, tenant_id: int, alarm_id: int, *, actor: Actor, text: str) -> None:
    """Write a note into the story."""
    get(conn, tenant_id, alarm_id)
    queries.add_entry(conn, tenant_id, alarm_id, "note", actor=actor.name, text=text)


def _changed(conn: psycopg.Connection, tenant_id: int, alarm_id: int, kind: str, actor: Actor, text: str = "") -> Alarm:
    queries.add_entry(conn, tenant_id, alarm_id, kind, actor=actor.name, text=text)
    after = get(conn, tenant_id, alarm_id)
    rule = queries.rule(conn, tenant_id, after.rule_id) if after.rule_id else None
    if rule:
        queries.queue(conn, tenant_id, alarm_id, rule.channels, kind, only="webhook")
    evaluation.tell(conn, tenant_id, alarm_id, after.status)
    audit.record_on(conn, tenant_id, actor.key, f"alarm.{kind}", f"alarm:{alarm_id}", None)
    return after


def tick(conn: psycopg.Connection, tenant_id: int, now: datetime | None = None) -> list[int]:
    """Look for silence at `now`; gives the ids of alarms opened or ended."""
    moment = now or time.now()
    silences = [rule for rule in queries.rules(conn, tenant_id) if rule.kind is RuleKind.SILENCE]
    return [alarm_id for rule in silences for alarm_id in evaluation.watch_silence(conn, rule, moment)]


def replay(rule: Rule, start: datetime, end_at: datetime) -> list[Firing]:
    """What a threshold rule would have done with the history of [start, end_at): a trial before it is switched on."""
    query = SeriesQuery(
        type=rule.type, attribute=rule.attribute, uris=rule.uris, start=start, end=end_at, grain=Grain.RAW, group_by_entity=True, limit=REPLAY_LIMIT
    )
    found = temporal.series(rule.tenant_id, query)
    return rules.replay(rule, (Heard(one.uri, point[0], point[1]) for one in found for point in one.points if point[1] is not None))


def replay_silence(rule: Rule, start: datetime, end_at: datetime) -> list[Firing]:
    """The silences that history holds in [start, end_at), as alarms."""
    query = SeriesQuery(
        type=rule.type, attribute=rule.attribute, uris=rule.uris, start=start, end=end_at, grain=Grain.RAW, group_by_entity=True, limit=REPLAY_LIMIT
    )
    wait = timedelta(seconds=rule.silence_seconds)
    return [
        Firing(one.uri, since, since + wait, "", "", until)
        for one in temporal.series(rule.tenant_id, query)
        for since, until in rules.silences(rule, [point[0] for point in one.points], end_at)
    ]


def channels(conn: psycopg.Connection, tenant_id: int) -> list[Channel]:
    """Where notices may go."""
    return queries.channels(conn, tenant_id)


def add_channel(conn: psycopg.Connection, tenant_id: int, *, kind: ChannelKind, name: str, target: str, actor: Actor = SYSTEM) -> Channel:
    """A new channel; a webhook gets a secret of its own. Raises UnusableTarget."""
    if kind is ChannelKind.WEBHOOK:
        webhook.address_of(target)
    elif "@" not in target:
        raise UnusableTarget(msg("{target} não é um endereço de correio."), target=target)
    given = Channel(0, kind, name or target, target, secrets.token_urlsafe(32) if kind is ChannelKind.WEBHOOK else "", enabled=True)
    channel_id = queries.save_channel(conn, tenant_id, given)
    audit.record_on(conn, tenant_id, actor.key, "alert_channel.add", f"alert_channel:{channel_id}", {"kind": str(kind)})
    return replace(given, id=channel_id)


def remove_channel(conn: psycopg.Connection, tenant_id: int, channel_id: int, *, actor: Actor) -> None:
    """Forget a channel."""
    queries.remove_channel(conn, tenant_id, channel_id)
    audit.record_on(conn, tenant_id, actor.key, "alert_channel.remove", f"alert_channel:{channel_id}", None)


def send_test(conn: psycopg.Connection, tenant_id: int, channel_id: int) -> None:
    """*Enviar teste*: put a trial notice in the outbox."""
    queries.queue(conn, tenant_id, None, [channel_id], "test")
