"""SQL of the room. Every function takes a connection inside a tenant transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from malha.insight.metrics import rules
from malha.insight.metrics.contracts import Metric
from malha.kernel import time


def metrics(conn: psycopg.Connection, tenant_id: int, key: str = "") -> list[Metric]:
    """The metrics of a tenant in order; one by key."""
    only = " AND key = %s" if key else ""
    found = conn.execute(
        f"SELECT key, definition, pack, on_home, position FROM metric WHERE tenant_id = %s{only} ORDER BY position, key",
        [tenant_id, *([key] if key else [])],
    ).fetchall()
    return [rules.from_definition(row[0], row[1], pack=row[2], on_home=row[3], position=row[4]) for row in found]


def add(conn: psycopg.Connection, tenant_id: int, given: Sequence[Metric]) -> int:
    """Write metrics that are not there yet; how many were new."""
    return sum(
        conn.execute(
            "INSERT INTO metric (tenant_id, pack, key, definition, position, on_home) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [tenant_id, one.pack, one.key, Jsonb(rules.to_definition(one)), one.position, one.on_home],
        ).rowcount
        for one in given
    )


def show(conn: psycopg.Connection, tenant_id: int, key: str, *, on_home: bool) -> None:
    """Put a metric on the home page, or take it off."""
    conn.execute("UPDATE metric SET on_home = %s WHERE tenant_id = %s AND key = %s", [on_home, tenant_id, key])


def remove_pack(conn: psycopg.Connection, tenant_id: int, pack: str) -> None:
    """Take the metrics of a pack away."""
    conn.execute("DELETE FROM metric WHERE tenant_id = %s AND pack = %s", [tenant_id, pack])


def freshest(conn: psycopg.Connection, tenant_id: int, entity_type: str, attribute: str) -> datetime | None:
    """The newest `observedAt` of an attribute among the entities of a type."""
    row: Any = conn.execute(
        """SELECT max(CASE jsonb_typeof(doc -> %(attribute)s) WHEN 'array' THEN doc -> %(attribute)s -> 0 ->> 'observedAt' ELSE doc -> %(attribute)s ->> 'observedAt' END)
           FROM entities WHERE tenant_id = %(tenant)s AND type_id = (SELECT id FROM entity_type WHERE name = %(type)s)""",
        {"tenant": tenant_id, "type": entity_type, "attribute": attribute},
    ).fetchone()
    return time.parse_instant(row[0]) if row and row[0] else None


def observed_at(attribute: object) -> datetime | None:
    """When the first instance of an attribute was observed, as its entity's document has it."""
    one = attribute[0] if isinstance(attribute, list) and attribute else attribute
    text = one.get("observedAt") if isinstance(one, dict) else None
    return time.parse_instant(text) if isinstance(text, str) else None
