"""SQL of the room. Every function takes a connection inside a tenant transaction."""

from __future__ import annotations

from datetime import datetime

import psycopg


def latest(conn: psycopg.Connection, tenant_id: int, limit: int) -> list[tuple[str, str, str | None, datetime]]:
    """The things that spoke last: (uri, type, name, when)."""
    return conn.execute(
        """SELECT e.uri, t.name, coalesce(e.doc -> 'name' ->> 'value', e.doc -> 'name' -> 'languageMap' ->> 'pt'), o.at
           FROM (SELECT entity_id, max(received_at) AS at FROM (
                    (SELECT entity_id, received_at FROM observation_hot WHERE tenant_id = %(tenant)s ORDER BY xid DESC, seq DESC LIMIT 300)
                    UNION ALL
                    (SELECT entity_id, received_at FROM observation_packed WHERE tenant_id = %(tenant)s ORDER BY xid DESC, seq DESC LIMIT 300)) AS newest
                 GROUP BY entity_id ORDER BY at DESC LIMIT %(limit)s) AS o
           JOIN entities e ON e.tenant_id = %(tenant)s AND e.id = o.entity_id JOIN entity_type t ON t.id = e.type_id ORDER BY o.at DESC""",
        {"tenant": tenant_id, "limit": limit},
    ).fetchall()


def usual_wait_seconds(conn: psycopg.Connection, tenant_id: int, newest: int = 100_000) -> dict[str, float]:
    """For each type among the newest observations, the usual time between two deliveries (nine in ten are shorter)."""
    found = conn.execute(
        """SELECT t.name, percentile_cont(0.9) WITHIN GROUP (ORDER BY wait) FROM (
               SELECT type_id, extract(epoch FROM at - lag(at) OVER (PARTITION BY type_id ORDER BY at)) AS wait
               FROM (SELECT DISTINCT type_id, received_at AS at FROM (
                        SELECT type_id, received_at FROM observation_hot WHERE tenant_id = %s ORDER BY xid DESC, seq DESC LIMIT %s) AS rows) AS deliveries
           ) AS waits JOIN entity_type t ON t.id = waits.type_id WHERE wait IS NOT NULL GROUP BY t.name""",
        [tenant_id, newest],
    ).fetchall()
    return {row[0]: float(row[1]) for row in found}
