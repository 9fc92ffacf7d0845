"""SQL of the room. Every function takes a connection inside a tenant transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from malha.insight.maps import rules
from malha.insight.maps.contracts import Layer

#: the value of a property, whichever kind it is and however many instances it has
_VALUE = """CASE jsonb_typeof(doc -> {0}) WHEN 'array' THEN coalesce(doc -> {0} -> 0 -> 'value', doc -> {0} -> 0 -> 'object')
ELSE coalesce(doc -> {0} -> 'value', doc -> {0} -> 'object', doc -> {0} -> 'vocab', doc -> {0} -> 'languageMap' -> 'pt') END"""


def layers(conn: psycopg.Connection, tenant_id: int) -> list[Layer]:
    """The layers of a tenant in order."""
    found = conn.execute("SELECT key, definition, pack, enabled, position FROM map_layer WHERE tenant_id = %s ORDER BY position, key", [tenant_id]).fetchall()
    return [rules.from_definition(row[0], row[1], pack=row[2], enabled=row[3], position=row[4]) for row in found]


def add(conn: psycopg.Connection, tenant_id: int, given: Sequence[Layer]) -> int:
    """Write layers that are not there yet; how many were new."""
    return sum(
        conn.execute(
            "INSERT INTO map_layer (tenant_id, pack, key, definition, position, enabled) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [tenant_id, one.pack, one.key, Jsonb(rules.to_definition(one)), one.position, one.enabled],
        ).rowcount
        for one in given
    )


def remove_pack(conn: psycopg.Connection, tenant_id: int, pack: str) -> None:
    """Take the layers of a pack away."""
    conn.execute("DELETE FROM map_layer WHERE tenant_id = %s AND pack = %s", [tenant_id, pack])


def placed(conn: psycopg.Connection, tenant_id: int) -> list[tuple[str, int, tuple[float, float, float, float]]]:
    """Each type of which something has a place: (type, how many, the box around them)."""
    found = conn.execute(
        """SELECT t.name, count(*), min((bbox[1])[0]), min((bbox[1])[1]), max((bbox[0])[0]), max((bbox[0])[1])
           FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE e.tenant_id = %s AND bbox IS NOT NULL GROUP BY t.name ORDER BY t.name""",
        [tenant_id],
    ).fetchall()
    return [(row[0], row[1], (row[2], row[3], row[4], row[5])) for row in found]


def fingerprint(conn: psycopg.Connection, tenant_id: int, entity_type: str) -> tuple[int, datetime | None, datetime]:
    """How many things of a type there are, when the last one changed, and the hour of the database."""
    row: Any = conn.execute(
        "SELECT count(*), max(modified_at), clock_timestamp() FROM entities WHERE tenant_id = %s AND type_id = (SELECT id FROM entity_type WHERE name = %s)",
        [tenant_id, entity_type],
    ).fetchone()
    return row[0], row[1], row[2]


def fingerprints(conn: psycopg.Connection, tenant_id: int, entity_types: Sequence[str]) -> tuple[dict[str, tuple[int, datetime]], datetime]:
    """How many things there are of each of these types that has any, and when the last one changed; the hour of the database."""
    now: Any = conn.execute("SELECT clock_timestamp()").fetchone()
    found = conn.execute(
        """SELECT t.name, count(*), max(e.modified_at) FROM entities e JOIN entity_type t ON t.id = e.type_id
           WHERE e.tenant_id = %s AND e.type_id = ANY (ARRAY(SELECT id FROM entity_type WHERE name = ANY (%s))) GROUP BY t.name""",
        [tenant_id, list(entity_types)],
    ).fetchall()
    return {row[0]: (row[1], row[2]) for row in found}, now[0]


def features(
    conn: psycopg.Connection, tenant_id: int, entity_type: str, names: Sequence[str], *, since: datetime | None, limit: int
) -> list[tuple[int, str, list[float] | None, bytes | None, list[Any]]]:
    """Things with a place: (id, uri, point or None, shape as WKB or None, the values of `names`)."""
    parameters: dict[str, Any] = {"tenant": tenant_id, "type": entity_type, "since": since, "limit": limit}
    parameters |= {f"p{index}": name for index, name in enumerate(names)}
    values = ", ".join(_VALUE.format(f"%(p{index})s::text") for index in range(len(names)))
    changed = " AND modified_at > %(since)s" if since else ""
    statement = f"""SELECT id, uri, CASE WHEN geom IS NULL THEN ARRAY[(bbox[0])[0], (bbox[0])[1]] END, geom, jsonb_build_array({values})
        FROM entities WHERE tenant_id = %(tenant)s AND type_id = (SELECT id FROM entity_type WHERE name = %(type)s) AND bbox IS NOT NULL{changed}
        ORDER BY id LIMIT %(limit)s"""
    return conn.execute(statement, parameters).fetchall()


def anything_placed(conn: psycopg.Connection, tenant_id: int) -> bool:
    """Whether something has a place."""
    return conn.execute("SELECT 1 FROM entities WHERE tenant_id = %s AND bbox IS NOT NULL LIMIT 1", [tenant_id]).fetchone() is not None
