"""The outbox as rows."""

from __future__ import annotations

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from malha.foundation.events.contracts import START, Event, Position

_COLUMNS = "tenant_id, xid::text::bigint AS xid, seq, name, payload, at"
#: only what no open transaction can still come before: numbers are taken before commit, so a sequence alone loses rows
_SETTLED = "xid < pg_snapshot_xmin(pg_current_snapshot())"

# settled events after a position, in order
SETTLED = f"SELECT {_COLUMNS} FROM outbox WHERE (xid, seq) > (%s::text::xid8, %s) AND {_SETTLED} ORDER BY xid, seq LIMIT %s"

# the same of one tenant
SETTLED_OF_TENANT = f"SELECT {_COLUMNS} FROM outbox WHERE tenant_id = %s AND (xid, seq) > (%s::text::xid8, %s) AND {_SETTLED} AND (%s::text[] IS NULL OR name = ANY(%s)) ORDER BY xid, seq LIMIT %s"

# what everybody has heard and nobody may ask for again
TRIM = "DELETE FROM outbox WHERE (xid, seq) <= (%s::text::xid8, %s) AND at < now() - make_interval(secs => %s)"


def insert(connection: psycopg.Connection, tenant_id: int, name: str, payload: dict[str, object]) -> None:
    """Write an event into the transaction that is open."""
    connection.execute("INSERT INTO outbox (tenant_id, name, payload) VALUES (%s, %s, %s)", [tenant_id, name, Jsonb(payload)])


def settled(connection: psycopg.Connection, after: Position, limit: int) -> list[Event]:
    """Events of all tenants after a position (as the dispatcher's role)."""
    with connection.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(SETTLED, [str(after[0]), after[1], limit]).fetchall()


def settled_of_tenant(connection: psycopg.Connection, tenant_id: int, after: Position, names: list[str] | None, limit: int) -> list[Event]:
    """Events of one tenant after a position."""
    with connection.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(SETTLED_OF_TENANT, [tenant_id, str(after[0]), after[1], names, names, limit]).fetchall()


def horizon(connection: psycopg.Connection) -> Position:
    """A position that everything settled lies before, and everything to come after."""
    row = connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()
    return (int(row[0]), 0) if row else START


def positions(connection: psycopg.Connection) -> dict[str, Position]:
    """How far each consumer has come."""
    return {name: (xid, seq) for name, xid, seq in connection.execute("SELECT consumer, xid::text::bigint, seq FROM outbox_position")}


def move(connection: psycopg.Connection, moved: dict[str, Position]) -> None:
    """Keep how far consumers have come."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO outbox_position (consumer, xid, seq) VALUES (%s, %s::text::xid8, %s) "
            "ON CONFLICT (consumer) DO UPDATE SET xid = excluded.xid, seq = excluded.seq, moved_at = clock_timestamp()",
            [(name, str(xid), seq) for name, (xid, seq) in moved.items()],
        )


def set_aside(connection: psycopg.Connection, consumer: str, event: Event, error: str) -> None:
    """Keep an event that a consumer cannot take, with the reason."""
    connection.execute(
        "INSERT INTO outbox_failure (tenant_id, consumer, name, payload, error) VALUES (%s, %s, %s, %s, %s)",
        [event.tenant_id, consumer, event.name, Jsonb(event.payload), error],
    )


def trim(connection: psycopg.Connection, up_to: Position, keep_seconds: float) -> int:
    """Delete events that everybody heard more than `keep_seconds` ago."""
    return connection.execute(TRIM, [str(up_to[0]), up_to[1], keep_seconds]).rowcount
