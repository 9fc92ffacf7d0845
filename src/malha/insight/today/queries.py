"""SQL of the room. Every function takes a connection inside a tenant transaction."""

from __future__ import annotations

from datetime import datetime

import psycopg


def latest(conn: psycopg.Connection, tenant_id: int, limit: int) -> list[tuple[str, str, str | None, datetime]]:
    """The things that spoke last: (uri, type, name, when)."""
    return conn.execute(
        """SELECT e.uri, t.name, coalesce(e.doc -> 'name' ->> 'value', e.doc -> 'name' -> 'languageMap' ->> 'pt'), o.at
           FROM (SELECT entity_id, max(received_at) AS at FROM (
                    SELECT entity_id, received_at FROM observation_hot WHERE tenant_id = %(tenant)s ORDER BY xid DESC, seq DESC LIMIT 300) AS newest
                 GROUP BY entity_id ORDER BY at DESC LIMIT %(limit)s) AS o
           JOIN entities e ON e.tenant_id = %(tenant)s AND e.id = o.entity_id JOIN entity_type t ON t.id = e.type_id ORDER BY o.at DESC""",
        {"tenant": tenant_id, "limit": limit},
    ).fetchall()


def usual_wait_seconds(conn: psycopg.Connection, tenant_id: int) -> dict[str, tuple[float, datetime]]:
    """For each type, the usual time between two deliveries of the last two days, and when the last one came."""
    found = conn.execute(
        """SELECT t.name, percentile_cont(0.9) WITHIN GROUP (ORDER BY wait), max(at) FROM (
               SELECT type_id, at, extract(epoch FROM at - lag(at) OVER (PARTITION BY type_id ORDER BY at)) AS wait
               FROM (SELECT DISTINCT type_id, received_at AS at FROM observation_hot WHERE tenant_id = %s AND received_at > now() - interval '2 days') AS deliveries
           ) AS waits JOIN entity_type t ON t.id = waits.type_id GROUP BY t.name""",
        [tenant_id],
    ).fetchall()
    return {row[0]: (float(row[1] or 0), row[2]) for row in found}
