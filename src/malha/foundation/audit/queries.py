"""The trail as rows. Every statement runs in a transaction whose scope holds the tenant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from malha.foundation.audit import rules
from malha.foundation.audit.contracts import Entry

_COLUMNS = "e.tenant_id, e.id, e.at, e.actor, e.action, e.subject, e.details, e.personal"
#: a transaction that writes lives 15 minutes at most, so nothing older than a day can still appear
_LATE = "1 day"

# entries without a link, oldest first; only as far back as something may still have been committed late
UNCHAINED = f"""
SELECT {_COLUMNS} FROM audit_entry e
WHERE e.tenant_id = %(tenant)s
  AND e.at >= coalesce((SELECT chained_at - interval '{_LATE}' FROM audit_link WHERE tenant_id = %(tenant)s ORDER BY seq DESC LIMIT 1), '-infinity')
  AND NOT EXISTS (SELECT FROM audit_link l WHERE l.tenant_id = %(tenant)s AND l.entry_id = e.id)
ORDER BY e.id LIMIT %(limit)s
"""

# the chain with its entries, in order
CHAIN = f"""
SELECT l.seq, l.entry_id, l.hash, {_COLUMNS}
FROM audit_link l LEFT JOIN audit_entry e ON e.tenant_id = l.tenant_id AND e.id = l.entry_id
WHERE l.tenant_id = %s ORDER BY l.seq
"""

# one page of the trail, newest first
PAGE = f"""
SELECT {_COLUMNS} FROM audit_entry e
WHERE e.tenant_id = %(tenant)s AND (%(before)s::bigint IS NULL OR e.id < %(before)s) AND (NOT %(personal)s OR e.personal)
  AND (%(action)s = '' OR starts_with(e.action, %(action)s)) AND (%(actor)s = '' OR e.actor = %(actor)s)
  AND (%(since)s::timestamptz IS NULL OR e.at >= %(since)s)
ORDER BY e.id DESC LIMIT %(limit)s
"""


def insert(connection: psycopg.Connection, tenant_id: int, actor: str, action: str, subject: str, details: dict[str, object] | None, *, personal: bool) -> None:
    """Add an entry; it is chained later."""
    connection.execute(
        "INSERT INTO audit_entry (tenant_id, actor, action, subject, details, personal) VALUES (%s, %s, %s, %s, %s, %s)",
        [tenant_id, actor, action, subject, Jsonb(details or {}), personal],
    )


def page(
    connection: psycopg.Connection,
    tenant_id: int,
    *,
    before: int | None = None,
    personal: bool = False,
    action: str = "",
    actor: str = "",
    since: datetime | None = None,
    limit: int = 50,
) -> list[Entry]:
    """One page of the trail, newest first; `before` is the id of the last entry of the page before."""
    values = {"tenant": tenant_id, "before": before, "personal": personal, "action": action, "actor": actor, "since": since, "limit": limit}
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(PAGE, values).fetchall()


def head(connection: psycopg.Connection, tenant_id: int) -> tuple[int, bytes]:
    """The last link of the chain: its number and hash (0 and the genesis of an empty chain)."""
    row = connection.execute("SELECT seq, hash FROM audit_link WHERE tenant_id = %s ORDER BY seq DESC LIMIT 1", [tenant_id]).fetchone()
    return (row[0], bytes(row[1])) if row else (0, rules.genesis(tenant_id))


def unchained(connection: psycopg.Connection, tenant_id: int, limit: int = 5000) -> list[Entry]:
    """Entries that have no link yet."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(UNCHAINED, {"tenant": tenant_id, "limit": limit}).fetchall()


def append(connection: psycopg.Connection, tenant_id: int, links: list[tuple[int, int, bytes]]) -> None:
    """Add links (number, entry, hash)."""
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO audit_link (tenant_id, seq, entry_id, hash) VALUES (%s, %s, %s, %s)", [(tenant_id, *one) for one in links])


def chain(connection: psycopg.Connection, tenant_id: int) -> Iterator[tuple[int, int, bytes, Entry | None]]:
    """The chain with its entries, in order, however long: (number, entry id, hash, entry or None when it is gone)."""
    with connection.cursor(name="audit_chain") as cursor:
        cursor.itersize = 5000
        for seq, entry_id, digest, *columns in cursor.execute(CHAIN, [tenant_id]):
            yield seq, entry_id, bytes(digest), Entry(*columns) if columns[1] is not None else None


def anchors(connection: psycopg.Connection, tenant_id: int) -> list[tuple[date, int, bytes]]:
    """The daily heads: (day, number, hash)."""
    return [
        (day, seq, bytes(digest))
        for day, seq, digest in connection.execute("SELECT day, seq, hash FROM audit_anchor WHERE tenant_id = %s ORDER BY seq", [tenant_id])
    ]


def anchor(connection: psycopg.Connection, tenant_id: int, day: date, seq: int, digest: bytes) -> bool:
    """Keep the head of a day; False when that day has one already."""
    made = connection.execute(
        "INSERT INTO audit_anchor (tenant_id, day, seq, hash) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING", [tenant_id, day, seq, digest]
    )
    return made.rowcount == 1
