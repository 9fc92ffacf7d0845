"""SQL of the room. Every function takes a connection inside a tenant transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from malha.insight.alerts.contracts import Alarm, Channel, ChannelKind, Entry, Heard, Operator, Phase, Rule, RuleKind, Severity, State, Status

RULE = """id, tenant_id, pack, key, name, kind, type, attribute, operator, bound, bound_text, end_bound, for_seconds, end_for_seconds,
silence_seconds, late_seconds, uris, area, area_name, severity, unit, decimals, what_to_do, call_whom, channels, enabled"""
ALARM = """id, tenant_id, rule_id, status, severity, uri, thing, rule, value, value_text, peak, longitude, latitude, since, fired_at,
ended_at, ended_by, taken_at, taken_by, reason"""
ACTIVE = (Status.OPEN, Status.TAKEN)


def _rows(conn: psycopg.Connection, statement: str, values: Sequence[object]) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, values).fetchall()


def _rule(row: Mapping[str, Any]) -> Rule:
    return Rule(**{
        **row, "kind": RuleKind(row["kind"]), "operator": Operator(row["operator"]), "severity": Severity(row["severity"]),
        "uris": tuple(row["uris"] or ()), "channels": tuple(row["channels"] or ()),
    })  # fmt: skip


def rules(conn: psycopg.Connection, tenant_id: int, *, type: str = "", enabled_only: bool = True) -> list[Rule]:  # noqa: A002 -- the NGSI-LD word
    """The rules of a tenant, of one entity type where given."""
    where, values = ["tenant_id = %s"], [tenant_id]
    if type:
        where.append("type = %s")
        values.append(type)  # type: ignore[arg-type]
    if enabled_only:
        where.append("enabled")
    return [_rule(row) for row in _rows(conn, f"SELECT {RULE} FROM alert_rule WHERE {' AND '.join(where)} ORDER BY name, id", values)]


def rule(conn: psycopg.Connection, tenant_id: int, rule_id: int) -> Rule | None:
    """One rule."""
    found = _rows(conn, f"SELECT {RULE} FROM alert_rule WHERE tenant_id = %s AND id = %s", [tenant_id, rule_id])
    return _rule(found[0]) if found else None


def save_rule(conn: psycopg.Connection, given: Rule) -> int:
    """Write a rule (id 0: a new one; a pack's key again: unchanged) and give its id, 0 when the pack's rule was there."""
    names = [name.strip() for name in RULE.replace("\n", " ").split(",") if name.strip() != "id"]
    values = [_column(given, name) for name in names]
    if given.id:
        sets = ", ".join(f"{name} = %s" for name in names)
        conn.execute(f"UPDATE alert_rule SET {sets} WHERE tenant_id = %s AND id = %s", [*values, given.tenant_id, given.id])
        return given.id
    row = conn.execute(
        f"INSERT INTO alert_rule ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))}) ON CONFLICT DO NOTHING RETURNING id",
        values,
    ).fetchone()
    return row[0] if row else 0


def _column(given: Rule, name: str) -> object:
    value = getattr(given, name)
    if name in {"uris", "channels"}:
        return Jsonb(list(value))
    return Jsonb(value) if name == "area" and value is not None else value


def remove_rule(conn: psycopg.Connection, tenant_id: int, rule_id: int) -> None:
    """Take a rule away with what it remembers; its alarms stay as they were."""
    conn.execute("DELETE FROM alert_state WHERE tenant_id = %s AND rule_id = %s", [tenant_id, rule_id])
    conn.execute("DELETE FROM alert_rule WHERE tenant_id = %s AND id = %s", [tenant_id, rule_id])


def remove_pack(conn: psycopg.Connection, tenant_id: int, pack: str) -> None:
    """Take the rules of a pack away."""
    for row in conn.execute("SELECT id FROM alert_rule WHERE tenant_id = %s AND pack = %s", [tenant_id, pack]).fetchall():
        remove_rule(conn, tenant_id, row[0])


def states(conn: psycopg.Connection, tenant_id: int, rule_id: int, uris: Sequence[str], *, live: bool) -> dict[str, State]:
    """What a rule remembers of these things, locked until the transaction ends."""
    found = conn.execute(
        """SELECT uri, phase, since, quiet_since, last_at, last_value FROM alert_state
           WHERE tenant_id = %s AND rule_id = %s AND uri = ANY (%s) AND live = %s ORDER BY uri FOR UPDATE""",
        [tenant_id, rule_id, list(uris), live],
    ).fetchall()
    return {row[0]: State(Phase(row[1]), row[2], row[3], row[4], row[5]) for row in found}


def save_states(conn: psycopg.Connection, tenant_id: int, rule_id: int, given: Mapping[str, State], *, live: bool) -> None:
    """Remember, in one statement."""
    if not given:
        return
    ordered = sorted(given.items())
    conn.execute(
        """INSERT INTO alert_state (tenant_id, rule_id, live, uri, phase, since, quiet_since, last_at, last_value)
           SELECT %s, %s, %s, * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::jsonb[])
           ON CONFLICT (tenant_id, rule_id, uri, live) DO UPDATE SET phase = excluded.phase, since = excluded.since,
               quiet_since = excluded.quiet_since, last_at = excluded.last_at, last_value = excluded.last_value""",
        [
            tenant_id, rule_id, live, [uri for uri, _ in ordered], [state.phase.value for _, state in ordered], [state.since for _, state in ordered],
            [state.quiet_since for _, state in ordered], [state.last_at for _, state in ordered],
            [None if state.last_value is None else Jsonb(state.last_value) for _, state in ordered],
        ],
    )  # fmt: skip


def _alarm(row: dict[str, Any]) -> Alarm:
    said = row.pop("rule")
    return Alarm(
        **{**row, "status": Status(row["status"]), "severity": Severity(row["severity"])}, rule_name=said["name"], kind=RuleKind(said["kind"]),
        type=said["type"], attribute=said["attribute"], label=said.get("label", ""), operator=said["operator"], bound=said["bound"],
        bound_text=said["bound_text"], unit=said["unit"], decimals=said["decimals"], what_to_do=said["what_to_do"], call_whom=said["call_whom"],
    )  # fmt: skip


def open_alarm(conn: psycopg.Connection, tenant_id: int, values: Mapping[str, object]) -> int:
    """Write an alarm; 0 when one of that rule and thing is running already."""
    row = conn.execute(
        f"INSERT INTO alarm (tenant_id, {', '.join(values)}) VALUES (%s, {', '.join(['%s'] * len(values))}) "
        "ON CONFLICT (tenant_id, rule_id, uri) WHERE status IN ('open', 'taken') DO NOTHING RETURNING id",
        [tenant_id, *values.values()],
    ).fetchone()
    return row[0] if row else 0


def end_alarm(conn: psycopg.Connection, tenant_id: int, rule_id: int, uri: str, at: datetime) -> int:
    """End the running alarm of a rule and thing because its condition ended; its id, or 0."""
    row = conn.execute(
        "UPDATE alarm SET status = 'ended', ended_at = %s WHERE tenant_id = %s AND rule_id = %s AND uri = %s AND status IN ('open', 'taken') RETURNING id",
        [at, tenant_id, rule_id, uri],
    ).fetchone()
    return row[0] if row else 0


def end_would_have(conn: psycopg.Connection, tenant_id: int, rule_id: int, uri: str, at: datetime) -> None:
    """Say until when an alarm would have rung."""
    conn.execute(
        "UPDATE alarm SET ended_at = %s WHERE tenant_id = %s AND rule_id = %s AND uri = %s AND status = 'would_have' AND ended_at IS NULL",
        [at, tenant_id, rule_id, uri],
    )


def covered(conn: psycopg.Connection, tenant_id: int, rule_id: int, uri: str, at: datetime) -> bool:
    """Whether an alarm that rang covers this instant already."""
    row = conn.execute(
        """SELECT 1 FROM alarm WHERE tenant_id = %s AND rule_id = %s AND uri = %s AND status <> 'would_have'
           AND since <= %s AND (ended_at IS NULL OR ended_at >= %s) LIMIT 1""",
        [tenant_id, rule_id, uri, at, at],
    ).fetchone()
    return row is not None


def update_peak(conn: psycopg.Connection, tenant_id: int, rule_id: int, uri: str, value: float, *, upward: bool) -> None:
    """Keep the value furthest beyond the bound."""
    better = "greatest" if upward else "least"
    conn.execute(
        f"UPDATE alarm SET peak = {better}(peak, %s) WHERE tenant_id = %s AND rule_id = %s AND uri = %s AND status IN ('open', 'taken')",
        [value, tenant_id, rule_id, uri],
    )


def alarm(conn: psycopg.Connection, tenant_id: int, alarm_id: int, *, lock: bool = False) -> Alarm | None:
    """One alarm."""
    found = _rows(conn, f"SELECT {ALARM} FROM alarm WHERE tenant_id = %s AND id = %s{' FOR UPDATE' if lock else ''}", [tenant_id, alarm_id])
    return _alarm(found[0]) if found else None


def alarms(
    conn: psycopg.Connection, tenant_id: int, *, statuses: Sequence[Status] = ACTIVE, severity: str = "", rule_id: int = 0, uri: str = "", limit: int = 100
) -> list[Alarm]:
    """Alarms, worst and newest first for those that run, newest first for all others."""
    where, values = ["tenant_id = %s", "status = ANY (%s)"], [tenant_id, [status.value for status in statuses]]
    for column, value in (("severity", severity), ("rule_id", rule_id), ("uri", uri)):
        if value:
            where.append(f"{column} = %s")
            values.append(value)
    rank = "CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 WHEN 'attention' THEN 2 WHEN 'nodata' THEN 3 ELSE 4 END"
    order = f"{rank}, fired_at DESC, id DESC" if set(statuses) <= set(ACTIVE) else "fired_at DESC, id DESC"
    return [_alarm(row) for row in _rows(conn, f"SELECT {ALARM} FROM alarm WHERE {' AND '.join(where)} ORDER BY {order} LIMIT %s", [*values, limit])]


def running_at(conn: psycopg.Connection, tenant_id: int, at: datetime, limit: int) -> list[Alarm]:
    """Alarms that had rung by then and had not ended, the newest first."""
    where = "tenant_id = %s AND status <> 'would_have' AND fired_at <= %s AND (ended_at IS NULL OR ended_at > %s)"
    return [_alarm(row) for row in _rows(conn, f"SELECT {ALARM} FROM alarm WHERE {where} ORDER BY fired_at DESC, id DESC LIMIT %s", [tenant_id, at, at, limit])]


def counts(conn: psycopg.Connection, tenant_id: int) -> dict[str, int]:
    """How many alarms of each status there are."""
    return dict(conn.execute("SELECT status, count(*) FROM alarm WHERE tenant_id = %s GROUP BY status", [tenant_id]).fetchall())


def open_now(conn: psycopg.Connection, tenant_id: int) -> tuple[int, int]:
    """How many alarms nobody has taken, and the newest one's id (0: none)."""
    row = conn.execute("SELECT count(*), coalesce(max(id), 0) FROM alarm WHERE tenant_id = %s AND status = 'open'", [tenant_id]).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def add_entry(conn: psycopg.Connection, tenant_id: int, alarm_id: int, kind: str, *, actor: str = "", text: str = "", params: dict[str, object] | None = None, at: datetime | None = None) -> None:  # fmt: skip
    """One more line of the story; `at` is event time where it differs from now."""
    conn.execute(
        "INSERT INTO alarm_entry (tenant_id, alarm_id, kind, actor, text, params, at) VALUES (%s, %s, %s, %s, %s, %s, coalesce(%s, now()))",
        [tenant_id, alarm_id, kind, actor, text, Jsonb(params or {}), at],
    )


def entries(conn: psycopg.Connection, tenant_id: int, alarm_id: int) -> list[Entry]:
    """The story of an alarm, oldest first."""
    found = conn.execute(
        "SELECT at, kind, actor, text, params FROM alarm_entry WHERE tenant_id = %s AND alarm_id = %s ORDER BY at, id", [tenant_id, alarm_id]
    ).fetchall()
    return [Entry(*row) for row in found]


def set_status(conn: psycopg.Connection, tenant_id: int, alarm_id: int, values: Mapping[str, object]) -> None:
    """Change columns of an alarm that the caller holds locked."""
    sets = ", ".join(f"{name} = %s" for name in values)
    conn.execute(f"UPDATE alarm SET {sets} WHERE tenant_id = %s AND id = %s", [*values.values(), tenant_id, alarm_id])


def heard(conn: psycopg.Connection, tenant_id: int, type: str, attribute: str, *, xid: int, start: datetime, end: datetime) -> list[Heard]:  # noqa: A002 -- the NGSI-LD word
    """The values of one attribute in [start, end] that a transaction brought, from the hot rows (which outlive their compaction by two days)."""
    found = conn.execute(
        """SELECT e.uri, o.observed_at, o.num, o.txt FROM observations o JOIN entities e ON e.tenant_id = o.tenant_id AND e.id = o.entity_id
           WHERE o.tenant_id = %(tenant)s AND e.tenant_id = %(tenant)s AND o.xid = %(xid)s::text::xid8
             AND o.attr_id = (SELECT id FROM attribute WHERE name = %(attribute)s) AND o.type_id = (SELECT id FROM entity_type WHERE name = %(type)s)
             AND o.observed_at BETWEEN %(start)s AND %(end)s AND o.op = 0 AND o.dataset_id = 0
           ORDER BY o.observed_at, o.seq""",
        {"tenant": tenant_id, "type": type, "attribute": attribute, "xid": xid, "start": start, "end": end},
    ).fetchall()
    return [Heard(row[0], row[1], row[2] if row[2] is not None else row[3]) for row in found if row[2] is not None or row[3] is not None]


def things(conn: psycopg.Connection, tenant_id: int, ids: Sequence[int]) -> list[str]:
    """The URIs of entities by id."""
    found = conn.execute("SELECT uri FROM entities WHERE tenant_id = %s AND id = ANY (%s)", [tenant_id, list(ids)]).fetchall()
    return [row[0] for row in found]


def firing(conn: psycopg.Connection, tenant_id: int, rule_id: int) -> list[str]:
    """The things for which a rule's alarm runs."""
    found = conn.execute("SELECT uri FROM alarm WHERE tenant_id = %s AND rule_id = %s AND status IN ('open', 'taken')", [tenant_id, rule_id]).fetchall()
    return [row[0] for row in found]


def tenants_with_work(conn: psycopg.Connection) -> list[int]:
    """The tenants in scope for whom a notice is due."""
    return [row[0] for row in conn.execute("SELECT DISTINCT tenant_id FROM alert_delivery WHERE status = 'waiting' AND next_at <= now()").fetchall()]


def tenants_with_silence(conn: psycopg.Connection) -> list[int]:
    """The tenants in scope that have a silence rule on."""
    return [row[0] for row in conn.execute("SELECT DISTINCT tenant_id FROM alert_rule WHERE enabled AND kind = 'silence'").fetchall()]


def channels(conn: psycopg.Connection, tenant_id: int) -> list[Channel]:
    """Where this tenant's notices may go."""
    found = conn.execute("SELECT id, kind, name, target, secret, enabled FROM alert_channel WHERE tenant_id = %s ORDER BY name, id", [tenant_id]).fetchall()
    return [Channel(row[0], ChannelKind(row[1]), *row[2:]) for row in found]


def save_channel(conn: psycopg.Connection, tenant_id: int, given: Channel) -> int:
    """A new channel; gives its id."""
    row = conn.execute(
        "INSERT INTO alert_channel (tenant_id, kind, name, target, secret, enabled) VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        [tenant_id, given.kind, given.name, given.target, given.secret, given.enabled],
    ).fetchone()
    assert row is not None
    return int(row[0])


def remove_channel(conn: psycopg.Connection, tenant_id: int, channel_id: int) -> None:
    """Forget a channel; what still waits for it is given up."""
    conn.execute("UPDATE alert_delivery SET status = 'given_up' WHERE tenant_id = %s AND channel_id = %s AND status = 'waiting'", [tenant_id, channel_id])
    conn.execute("DELETE FROM alert_channel WHERE tenant_id = %s AND id = %s", [tenant_id, channel_id])


def queue(conn: psycopg.Connection, tenant_id: int, alarm_id: int | None, channel_ids: Sequence[int], event: str, *, only: str = "") -> int:
    """Put a notice to each of these channels (of one kind where given) in the outbox; how many."""
    return conn.execute(
        """INSERT INTO alert_delivery (tenant_id, alarm_id, channel_id, event)
           SELECT tenant_id, %s, id, %s FROM alert_channel WHERE tenant_id = %s AND id = ANY (%s) AND enabled AND (%s = '' OR kind = %s)""",
        [alarm_id, event, tenant_id, list(channel_ids), only, only],
    ).rowcount


def claim(conn: psycopg.Connection, tenant_id: int, limit: int = 20) -> list[dict[str, Any]]:
    """Take due notices for a minute, so that nobody else sends them meanwhile."""
    return _rows(
        conn,
        """UPDATE alert_delivery SET next_at = now() + interval '60 seconds', attempts = attempts + 1 WHERE tenant_id = %s AND id IN (
               SELECT id FROM alert_delivery WHERE tenant_id = %s AND status = 'waiting' AND next_at <= now() ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
           RETURNING id, alarm_id, channel_id, event, attempts""",
        [tenant_id, tenant_id, limit],
    )


def settle(conn: psycopg.Connection, tenant_id: int, delivery_id: int, *, status: str, error: str = "", wait_seconds: int = 0) -> None:
    """Write how an attempt ended."""
    conn.execute(
        """UPDATE alert_delivery SET status = %s, error = %s, next_at = now() + make_interval(secs => %s),
           sent_at = CASE WHEN %s = 'sent' THEN now() ELSE sent_at END WHERE tenant_id = %s AND id = %s""",
        [status, error, wait_seconds, status, tenant_id, delivery_id],
    )


def deliveries(conn: psycopg.Connection, tenant_id: int, *, alarm_id: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Notices with the name of their channel, newest first."""
    where, values = "d.tenant_id = %s", [tenant_id]
    if alarm_id is not None:
        where += " AND d.alarm_id = %s"
        values.append(alarm_id)
    return _rows(
        conn,
        f"""SELECT d.id, d.alarm_id, d.event, d.status, d.attempts, d.error, d.created_at, d.sent_at, d.next_at, c.name AS channel, c.kind
            FROM alert_delivery d LEFT JOIN alert_channel c ON c.tenant_id = d.tenant_id AND c.id = d.channel_id
            WHERE {where} ORDER BY d.id DESC LIMIT %s""",
        [*values, limit],
    )
