"""The door of retention: the rules of a tenant, what would go, and letting it go. Django-free.

Every value older than its type is kept goes from hot rows and from the lake; sums by hour, day and month stay. What is on
hold never goes. Rows leave the files when the month is closed (`lake.upkeep`), at once where personal data are erased.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from malha.foundation.audit import service as audit
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import service as engines
from malha.history.engines.contracts import LakeMissing
from malha.history.lake import service as lake
from malha.history.retention import rules
from malha.history.retention.contracts import Going, Rule
from malha.vocabulary.models import service as models

_OWN = "SELECT type, keep, as_model, on_hold, hold_reason, changed_by, changed_at FROM retention_rule WHERE tenant_id = %s"
_SAVE = """
INSERT INTO retention_rule (tenant_id, type, keep, as_model, on_hold, hold_reason, changed_by) VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, type) DO UPDATE SET keep = excluded.keep, as_model = excluded.as_model, on_hold = excluded.on_hold,
    hold_reason = excluded.hold_reason, changed_by = excluded.changed_by, changed_at = now()
"""


def all_rules(conn: psycopg.Connection[Any], tenant_id: int, types: list[str]) -> list[Rule]:
    """The rule of each of these types, and of every type that the tenant has ruled on."""
    own = {row[0]: row for row in conn.execute(_OWN, [tenant_id]).fetchall()}
    found = []
    for name in sorted({*types, *own}):
        model = models.find(name, tenant_id)
        declared = model.keep if model else ""
        row = own.get(name)
        if row is None:
            found.append(Rule(name, declared, declared))
        else:
            found.append(Rule(name, declared if row[2] else row[1], declared, not row[2], row[3], row[4], row[5], row[6]))
    return found


def save(conn: psycopg.Connection[Any], tenant_id: int, rule: Rule, now: datetime, zone: ZoneInfo) -> None:
    """Keep a rule of the tenant's own, or go back to the model's (`own` false). Raises UnusablePeriod."""
    rules.cutoff(rule.keep, now, zone)
    conn.execute(_SAVE, [tenant_id, rule.type, rule.keep if rule.own else "", not rule.own, rule.on_hold, rule.hold_reason, rule.changed_by])
    details: dict[str, object] = {"keep": rule.keep, "hold": rule.hold_reason}
    audit.record_on(conn, tenant_id, rule.changed_by, "retention.save", f"type:{rule.type}", details)


def going(tenant_id: int, wanted: list[Rule], now: datetime, zone: ZoneInfo) -> list[Going]:
    """What would go today by these rules: nothing of what is on hold."""
    due = {rule.type: before for rule in wanted if not rule.on_hold and (before := rules.cutoff(rule.keep, now, zone)) is not None}
    return [found for name, before in due.items() if (found := _count(tenant_id, name, before)).rows]


def let_go(tenant_id: int, now: datetime) -> list[Going]:
    """Take away what is older than it is kept. Returns what went, and notes it."""
    with database.connect(Role.APP, autocommit=True) as conn:
        with database.tenant_transaction(conn, [tenant_id]):
            row = conn.execute("SELECT time_zone FROM organisation WHERE id = %s", [tenant_id]).fetchone()
            wanted = all_rules(conn, tenant_id, _types(conn, tenant_id))
        zone = ZoneInfo(row[0] if row else "Europe/Lisbon")
        gone = going(tenant_id, wanted, now, zone)
        for one in gone:
            count = lake.remove_before(tenant_id, one.type, one.before)
            with database.tenant_transaction(conn, [tenant_id]):
                conn.execute("INSERT INTO retention_run (tenant_id, type, before, rows) VALUES (%s, %s, %s, %s)", [tenant_id, one.type, one.before, count])
                audit.record_on(conn, tenant_id, "retention", "retention.let_go", f"type:{one.type}", {"rows": count, "before": one.before.isoformat()})
    return gone


def kept_since(conn: psycopg.Connection[Any], tenant_id: int, name: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Before when values of a type go, by the rule of today; None where all are kept, or on hold."""
    rule = next(rule for rule in all_rules(conn, tenant_id, [name]) if rule.type == name)
    return None if rule.on_hold else rules.cutoff(rule.keep, now, zone)


def history(conn: psycopg.Connection[Any], tenant_id: int, limit: int = 30) -> list[tuple[str, datetime, int, datetime]]:
    """What went: (type, observed before, rows, when), newest first."""
    found = conn.execute("SELECT type, before, rows, at FROM retention_run WHERE tenant_id = %s ORDER BY id DESC LIMIT %s", [tenant_id, limit]).fetchall()
    return [(row[0], row[1], row[2], row[3]) for row in found]


def _types(conn: psycopg.Connection[Any], tenant_id: int) -> list[str]:
    found = conn.execute("SELECT t.name FROM entity_type t WHERE EXISTS (SELECT 1 FROM entities e WHERE e.tenant_id = %s AND e.type_id = t.id)", [tenant_id])
    return [row[0] for row in found.fetchall()]


def _count(tenant_id: int, name: str, before: datetime) -> Going:
    statement = f"SELECT count(*), min(observed_at) FROM lake.{engines.tenant_schema(tenant_id)}.observation WHERE type = ? AND observed_at < ?"

    def work(reader: engines.Connection) -> tuple[int, datetime | None]:
        if not reader.execute("SELECT 1 FROM duckdb_schemas() WHERE database_name = 'lake' AND schema_name = ?", [engines.tenant_schema(tenant_id)]).fetchone():
            return 0, None
        row = reader.execute(statement, [name, before]).fetchone()
        return (row[0], row[1]) if row else (0, None)

    try:
        rows, oldest = engines.run([tenant_id], work)
    except LakeMissing:
        rows, oldest = 0, None
    return Going(name, before, rows, oldest)
