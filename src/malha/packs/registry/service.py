"""The door of the room: which packs there are, switch one on or off. Connections are inside a tenant transaction."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from malha.foundation.audit import service as audit
from malha.insight.alerts import service as alerts
from malha.insight.alerts.contracts import Actor
from malha.insight.maps import service as maps
from malha.insight.metrics import service as metrics
from malha.packs.registry import declaration
from malha.packs.registry.contracts import Active, Pack


def all_packs() -> tuple[Pack, ...]:
    """Every pack of this installation."""
    return declaration.all_packs()


def active(conn: psycopg.Connection, tenant_id: int) -> dict[str, Active]:
    """The packs that a tenant has on."""
    found = conn.execute("SELECT name, version, switched_on_at, switched_on_by FROM active_pack WHERE tenant_id = %s", [tenant_id]).fetchall()
    return {row[0]: Active(*row) for row in found}


def switch_on(conn: psycopg.Connection, tenant_id: int, name: str, *, actor: str = "malha") -> bool:
    """Copy a pack's indicators, layers and rules to a tenant, to adapt as it likes; False when it was on. Raises UnknownPack."""
    pack = declaration.pack(name)
    new = conn.execute(
        "INSERT INTO active_pack (tenant_id, name, version, switched_on_by) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [tenant_id, name, pack.version, actor],
    ).rowcount
    if not new:
        return False
    metrics.add(conn, tenant_id, pack.metrics)
    maps.add(conn, tenant_id, pack.layers)
    for rule in pack.rules:
        alerts.save_rule(conn, replace(rule, tenant_id=tenant_id), actor=Actor(actor))
    audit.record_on(conn, tenant_id, actor, "pack.switch_on", f"pack:{name}", {"version": pack.version})
    return True


def switch_off(conn: psycopg.Connection, tenant_id: int, name: str, *, actor: str = "malha") -> bool:
    """Take a pack's indicators, layers and rules away; data and past alarms stay. False when it was off."""
    gone = conn.execute("DELETE FROM active_pack WHERE tenant_id = %s AND name = %s", [tenant_id, name]).rowcount
    if not gone:
        return False
    metrics.remove_pack(conn, tenant_id, name)
    maps.remove_pack(conn, tenant_id, name)
    alerts.remove_pack(conn, tenant_id, name)
    audit.record_on(conn, tenant_id, actor, "pack.switch_off", f"pack:{name}", None)
    return True
