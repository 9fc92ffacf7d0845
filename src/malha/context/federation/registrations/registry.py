"""Which tenants have sources, and which: remembered by the process, looked at once a second by number."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from malha.context.federation.registrations import matching, queries
from malha.context.federation.registrations.matching import Source
from malha.foundation.database import service as database

LOOK_SECONDS = 1.0


@dataclass(slots=True)
class _Known:
    looked_at: float = 0.0
    forgotten: int = 0  # how often `forget` was called
    revisions: dict[int, int] = field(default_factory=dict)
    sources: dict[int, tuple[int, list[Source]]] = field(default_factory=dict)


_known: dict[str, _Known] = {}
_lock = threading.Lock()


class Diverted(Exception):
    """Other sources take part in the request; `sources` are the tenant's."""

    def __init__(self, tenant_id: int, sources: list[Source]) -> None:
        self.tenant_id, self.sources = tenant_id, sources
        super().__init__(tenant_id)


def divert(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Raise Diverted where the tenant has sources. Costs one look in a dictionary where it has none."""
    if tenant_id in _revisions(conn):
        found = sources(conn, tenant_id)
        if found:
            raise Diverted(tenant_id, found)


def concerns(conn: psycopg.Connection[Any], account: Hashable) -> bool:
    """Whether a tenant on whose account a request is has sources, as far as the process remembers. `conn` only names the database."""
    return isinstance(account, tuple) and not _place(conn).revisions.keys().isdisjoint(account)


def _place(conn: psycopg.Connection[Any]) -> _Known:
    name = f"{conn.info.host}:{conn.info.port}/{conn.info.dbname}"
    return _known.get(name) or _known.setdefault(name, _Known())


def _revisions(conn: psycopg.Connection[Any]) -> dict[int, int]:
    known = _place(conn)
    moment = time.monotonic()
    if moment - known.looked_at >= LOOK_SECONDS:
        with _lock:
            if moment - known.looked_at >= LOOK_SECONDS:
                known.revisions = queries.federated(conn)
                known.looked_at = moment
    return known.revisions


def look(conn: psycopg.Connection[Any]) -> None:
    """See which tenants have sources, before anybody has to wait for it."""
    known = _place(conn)
    before = known.forgotten
    found = queries.federated(conn)
    with _lock:
        if known.forgotten == before:  # else it changed while we looked, and whoever asks next looks again
            known.revisions, known.looked_at = found, time.monotonic()


def sources(conn: psycopg.Connection[Any], tenant_id: int) -> list[Source]:
    """The tenant's sources in force. `conn` is outside a transaction."""
    known = _place(conn)
    revision = _revisions(conn).get(tenant_id)
    if revision is None:
        return []
    held, found = known.sources.get(tenant_id, (-1, []))
    if held != revision:
        with database.tenant_transaction(conn, [tenant_id]):
            found = [matching.compiled(one) for one, _ in queries.find(conn, tenant_id)]
        known.sources[tenant_id] = (revision, found)
    return [one for one in found if not one.over()]


def forget() -> None:
    """Look again at the next request: after a change in this process."""
    with _lock:
        for known in _known.values():
            known.looked_at, known.forgotten = 0.0, known.forgotten + 1


type Divert = Callable[[psycopg.Connection[Any], int], None]
