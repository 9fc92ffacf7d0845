"""The Django half of the room: its pages and the Django-free services share one transaction.

A page, a job or a command opens the tenant's scope by Django; `current()` then gives the services that
speak psycopg the very same session, so that both see and undo the same things.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection, transaction
from psycopg.pq import TransactionStatus

from malha.foundation.database import service
from malha.foundation.database.contracts import NoScope
from malha.kernel.text import msg


class _Shared(psycopg.Connection):
    """A second face of Django's session, with psycopg's own reading of values (jsonb as objects, not text)."""

    def __del__(self, _warn: Any = None, /) -> None:
        """Closing is for Django, whose session this is."""


_faces: WeakKeyDictionary[psycopg.Connection, _Shared] = WeakKeyDictionary()


def current() -> psycopg.Connection:
    """The psycopg connection of the Django transaction that is open now. Raises NoScope when none is.

    Never commit, roll back or close it: whoever opened the scope does. `connection.transaction()` makes a
    savepoint.
    """
    connection.ensure_connection()
    if not connection.in_atomic_block:
        raise NoScope(msg("Falta dizer de que município são os dados."))
    raw = connection.connection
    face = _faces.get(raw)
    if face is None:
        face = _Shared(raw.pgconn)
        face.prepare_threshold = None  # names of prepared statements belong to the session, which is Django's
        _faces[raw] = face
    return face


_SET_SCOPE = "SELECT current_setting('malha.tenants', true), set_config('malha.tenants', %s, true)"
_open = threading.local()  # `.scope`: the tenants of the innermost scope of this thread


@contextmanager
def scope(*tenant_ids: int) -> Iterator[None]:
    """A Django transaction that sees and writes only rows of these tenants; nested, the outer scope comes back."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_SET_SCOPE, [service.scope_value(tenant_ids)])
            before = (cursor.fetchone() or [""])[0]
        outer, _open.scope = getattr(_open, "scope", None), tenant_ids
        try:
            yield
        finally:
            _open.scope = outer
        if before and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('malha.tenants', %s, true)", [before])


@contextmanager
def glance(*tenant_ids: int) -> Iterator[psycopg.Connection]:
    """Read as these tenants for a moment: without a savepoint, and without a word where that is the scope already.

    For the few questions that every page asks; what fails in here takes the whole transaction with it.
    """
    if not connection.in_atomic_block or getattr(_open, "scope", None) is None:
        with scope(*tenant_ids):
            yield current()
        return
    conn = current()
    if _open.scope == tenant_ids:
        yield conn
        return
    conn.execute(_SET_SCOPE, [service.scope_value(tenant_ids)])
    outer, _open.scope = _open.scope, tenant_ids
    try:
        yield conn
    finally:
        _open.scope = outer
        if conn.info.transaction_status is not TransactionStatus.INERROR:  # there, what was set goes with the transaction
            conn.execute("SELECT set_config('malha.tenants', %s, true)", [service.scope_value(outer)])
