"""For whom a notification is made: what its client may do at the moment of delivery, asked again every few seconds."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg

from malha.context.subscriptions.contracts import Reader
from malha.foundation.access import subjects
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database

REMEMBER_SECONDS = 5.0
SLUG = "SELECT slug FROM organisation WHERE id = %s"


class Rights:
    """Readers by tenant and subject, remembered for a few seconds: a revocation stops deliveries within them."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[float, Reader]] = {}
        self._lock = threading.Lock()

    def reader(self, conn: psycopg.Connection[Any], tenant_id: int, subject: str) -> Reader:
        """Who reads. `conn` is of the application's role, outside a transaction."""
        found = self.known(tenant_id, subject)
        if found is not None:
            return found
        with database.tenant_transaction(conn, [tenant_id]):
            who = subjects.principal(conn, tenant_id, subject)
            row = conn.execute(SLUG, [tenant_id]).fetchone()
        # what an agreement lets one read is not kept, and a notification that waits would be a copy
        reads = who is not None and who.may(Capability.DATA_READ) and all(part.agreement_id is None for part in who.reach or ())
        reader = Reader(who if reads else None, str(row[0]) if row else "")
        with self._lock:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[tenant_id, subject] = (time.monotonic() + REMEMBER_SECONDS, reader)
        return reader

    def known(self, tenant_id: int, subject: str) -> Reader | None:
        """The reader as remembered."""
        with self._lock:
            until, found = self._known.get((tenant_id, subject), (0.0, None))
        return found if time.monotonic() < until else None

    def forget(self) -> None:
        """Ask everybody again."""
        with self._lock:
            self._known.clear()
