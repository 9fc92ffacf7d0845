"""What deliveries read and write in the database, in a few threads beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from malha.context.store import names
from malha.context.store import service as store
from malha.context.store.contracts import EntityPage, EntityQuery, StoredEntity
from malha.context.subscriptions import queries
from malha.context.subscriptions.contracts import Change, Lane, Queued, Reader, Registrations, Subscription
from malha.context.subscriptions.outcomes import Outcomes
from malha.context.subscriptions.rights import Rights
from malha.foundation.database import pools
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role

THREADS = 4
#: threads that may wait for the network: contexts that are nowhere at hand
FETCHERS = 4


def _autocommit(conn: psycopg.Connection[Any]) -> None:
    conn.autocommit = True


class Rows:
    """Two small pools: one of the dispatcher's role for queues, one of the application's for what tenants may see."""

    def __init__(self) -> None:
        self.rights = Rights()
        self.threads = ThreadPoolExecutor(THREADS, "notifications")
        self.fetchers = ThreadPoolExecutor(FETCHERS, "contexts")
        self.queues, self.tenants = (
            pools.make(role, f"notifications-{role}", least=1, most=THREADS, configure=_autocommit) for role in (Role.COMPACTOR, Role.APP)
        )

    async def run[**P, T](self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do `work` in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, lambda: work(*arguments, **named))

    async def fetch[**P, T](self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do `work`, which may wait for the network, where nothing else waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self.fetchers, lambda: work(*arguments, **named))

    def lanes(self) -> list[tuple[Any, ...]]:
        """Subscriptions for which something waits: (tenant, subscription, not before, last notification)."""
        with self.queues.connection() as conn:
            return conn.execute(queries.LANES).fetchall()

    def waiting(self, lane: Lane, after: int, limit: int) -> list[Queued]:
        """The next that wait for a subscription."""
        with self.queues.connection() as conn:
            return queries.waiting(conn, *lane, after, limit)

    def changes(self, tenant_id: int, seqs: Sequence[int]) -> list[Change]:
        """Changes by number."""
        with self.queues.connection() as conn:
            return queries.changes_by_seq(conn, tenant_id, seqs)

    def write(self, outcomes: Outcomes) -> None:
        """Write what became of deliveries."""
        with self.queues.connection() as conn:
            outcomes.write(conn)

    def reader(self, tenant_id: int, subject: str) -> Reader:
        """For whom a notification is made."""
        with self.tenants.connection() as conn:
            return self.rights.reader(conn, tenant_id, subject)

    def linked(self, tenant_id: int) -> Callable[[Sequence[str]], Mapping[str, StoredEntity]]:
        """A way to entities of a tenant by their URIs."""

        def find(uris: Sequence[str]) -> Mapping[str, StoredEntity]:
            with self.tenants.connection() as conn, database.tenant_transaction(conn, [tenant_id]):
                return store.by_uris(conn, tenant_id, uris)

        return find

    def numbers(self, tenant_id: int) -> Callable[[set[str], set[str]], tuple[Mapping[str, int], Mapping[str, int]]]:
        """A way to the numbers that attributes and their instances have here."""

        def find(attributes: set[str], datasets: set[str]) -> tuple[Mapping[str, int], Mapping[str, int]]:
            with self.tenants.connection() as conn, database.tenant_transaction(conn, [tenant_id]):
                return names.existing(conn, "attribute", attributes), names.existing(conn, "attribute_dataset", datasets)

        return find

    def query(self, tenant_id: int, question: EntityQuery) -> EntityPage:
        """Entities of a tenant."""
        with self.tenants.connection() as conn, database.tenant_transaction(conn, [tenant_id]):
            return store.query(conn, [tenant_id], question)

    def told(self, of: Registrations, subscription: Subscription) -> Mapping[str, Any] | None:
        """What is told of registrations to whoever subscribed to them. May wait for the network."""
        with self.tenants.connection() as conn, database.tenant_transaction(conn, [subscription.tenant_id]):
            return of(conn, subscription)

    def close(self) -> None:
        """Close connections and threads."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.fetchers.shutdown(wait=False, cancel_futures=True)
        self.queues.close(timeout=2)
        self.tenants.close(timeout=2)
