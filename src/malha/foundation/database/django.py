"""The Django half of the room: its pages and the Django-free services share one transaction.

A page, a job or a command opens the tenant's scope by Django; `current()` then gives the services that
speak psycopg the very same session, so that both see and undo the same things.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection, transaction

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


@contextmanager
def scope(*tenant_ids: int) -> Iterator[None]:
    """A Django transaction that sees and writes only rows of these tenants; nested, the outer scope comes back."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('malha.tenants', true), set_config('malha.tenants', %s, true)", [service.scope_value(tenant_ids)])
            before = (cursor.fetchone() or [""])[0]
        yield
        if before and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('malha.tenants', %s, true)", [before])
