"""Say that something happened, and read on from where one stood. Django-free."""

from __future__ import annotations

import contextlib
import threading

import psycopg

from malha.foundation.database import service as database
from malha.foundation.events import queries
from malha.foundation.events.contracts import CHANNEL, Event, Position

_waker: psycopg.Connection | None = None
_lock = threading.Lock()


def publish(conn: psycopg.Connection, tenant_id: int, name: str, payload: dict[str, object]) -> None:
    """Tell other rooms, after commit, that `name` happened; in the transaction that is open, so that both hold or neither.

    `payload` carries ids, never data about people. One event a batch, not one a row. Call `wake()` after the
    commit where a delay of a fifth of a second matters.
    """
    queries.insert(conn, tenant_id, name, payload)


def wake() -> None:
    """Ask dispatcher and streams to look now. On a connection of its own: NOTIFY inside a transaction makes commits wait.

    Never raises: who is not woken looks by themselves within 200 ms.
    """
    global _waker  # noqa: PLW0603 -- one connection a process
    with _lock, contextlib.suppress(psycopg.Error):
        if _waker is None or _waker.closed:
            _waker = database.connect(autocommit=True)
        _waker.execute(f"NOTIFY {CHANNEL}")


def since(connection: psycopg.Connection, tenant_id: int, position: Position, *, names: list[str] | None = None, limit: int = 100) -> list[Event]:
    """Events of a tenant after a position, in order, in its tenant transaction: what a stream sends on.

    Events are kept for an hour after everybody has heard them; who was away longer starts from `here()`.
    """
    return queries.settled_of_tenant(connection, tenant_id, position, names, limit)


def here(connection: psycopg.Connection) -> Position:
    """Where a stream starts that wants only what is to come."""
    return queries.horizon(connection)
