"""From changes to waiting notifications: each batch is matched in memory and queued in one transaction with the position."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg

from malha.context.subscriptions import queries, rules
from malha.context.subscriptions.contracts import Change, Lane, Queued
from malha.context.subscriptions.rules import Index, Rule
from malha.foundation.events import queries as outbox
from malha.foundation.events.contracts import CHANNEL, START

logger = logging.getLogger(__name__)

BATCH, ENTITIES = 500, 100
#: how often it looks: while changes come, and when nothing happens
EAGER_SECONDS, IDLE_SECONDS, EAGER_FOR_SECONDS = 0.015, 0.2, 10.0
RELOAD_SECONDS, TRIM_SECONDS = 1.0, 30.0
#: a subscriber that is away longer, or misses more, loses what is oldest
QUEUE_LENGTH, QUEUE_HOURS = 10_000, 72

type Offer = Callable[[Sequence[Queued], Mapping[int, Change]], None]


class Matcher:
    """One for the installation. `offer` gets what was queued after its commit, `reloaded` the tenants whose subscriptions changed."""

    def __init__(
        self, offer: Offer, reloaded: Callable[[int], None], lost: Callable[[Lane, int], None], wake: Callable[[Sequence[Lane]], None] | None = None
    ) -> None:
        self.offer, self.reloaded, self.lost, self.wake = offer, reloaded, lost, wake
        self.indexes: dict[int, Index] = {}
        self.position = START
        self.looked_at = self.trimmed_at = 0.0
        self.seen_at = 0.0

    def rule(self, lane: Lane) -> Rule | None:
        """The active subscription of a lane."""
        found = self.indexes.get(lane[0])
        return found.rules.get(lane[1]) if found else None

    def run(self, conn: psycopg.Connection[Any], stop: threading.Event) -> None:
        """Match until told to stop. `conn` is of the dispatcher's role, in autocommit."""
        conn.execute(f"LISTEN {CHANNEL}")
        self.position = outbox.positions(conn).get(queries.CONSUMER, START)
        while not stop.is_set():
            self.look(conn)
            try:
                count = self.step(conn)
            except psycopg.errors.ForeignKeyViolation:  # a subscription went in between; the batch is matched again without it
                continue
            if count == 0:
                eager = time.monotonic() - self.seen_at < EAGER_FOR_SECONDS
                for _wake in conn.notifies(timeout=EAGER_SECONDS if eager else IDLE_SECONDS, stop_after=1):
                    pass

    def step(self, conn: psycopg.Connection[Any]) -> int:
        """Match one batch; returns how many changes it had."""
        with conn.transaction():
            changes = queries.changes(conn, self.position, BATCH)
            if not changes:
                return 0
            self.refresh(conn, {change.tenant_id for change in changes})
            rows, wanted = self._matches(changes)
            queued = queries.enqueue(conn, rows) if rows else []
            position = (changes[-1].xid, changes[-1].seq)
            outbox.move(conn, {queries.CONSUMER: position})
        self.position, self.seen_at = position, time.monotonic()
        if queued:
            self.offer(queued, wanted)
        return len(changes)

    def _matches(self, changes: Sequence[Change]) -> tuple[list[tuple[int, int, list[int]]], dict[int, Change]]:
        """Rows to queue: the changes of one transaction travel together, a hundred entities at most."""
        rows: list[tuple[int, int, list[int]]] = []
        open_: dict[tuple[Lane, int], list[int]] = {}
        wanted: dict[int, Change] = {}
        for change in changes:
            for rule in self.indexes[change.tenant_id].wanting(change) if change.tenant_id in self.indexes else ():
                wanted[change.seq] = change
                group = open_.get((rule.lane, change.xid))
                if group is None or len(group) >= ENTITIES or rule.throttling:
                    group = open_[rule.lane, change.xid] = []
                    rows.append((*rule.lane, group))
                group.append(change.seq)
        return rows, wanted

    def refresh(self, conn: psycopg.Connection[Any], tenants: set[int] | None = None) -> None:
        """Read the subscriptions again of those tenants that have others since."""
        for tenant_id, revision in queries.revisions(conn, tenants).items():
            known = self.indexes.get(tenant_id)
            if known is None or known.revision != revision:
                self.indexes[tenant_id] = rules.index(revision, queries.active(conn, tenant_id))
                self.reloaded(tenant_id)

    def look(self, conn: psycopg.Connection[Any]) -> None:
        """From time to time: subscriptions that came or went, and what is to be forgotten."""
        moment = time.monotonic()
        if moment - self.looked_at >= RELOAD_SECONDS:
            self.looked_at = moment
            self.refresh(conn)
            if self.wake is not None and (told := queries.told(conn)):
                self.wake(told)
        if moment - self.trimmed_at >= TRIM_SECONDS:
            self.trimmed_at = moment
            self.trim(conn)

    def trim(self, conn: psycopg.Connection[Any]) -> None:
        """Take away changes that nobody waits for, and the oldest of queues that grew too long."""
        dropped: dict[Lane, int] = {}
        for tenant_id, subscription_id, _ in conn.execute(queries.OVERFLOW, [QUEUE_LENGTH, QUEUE_HOURS]).fetchall():
            dropped[tenant_id, subscription_id] = dropped.get((tenant_id, subscription_id), 0) + 1
        for lane, count in dropped.items():
            logger.warning("subscription %s of tenant %s lost %s notifications: too many waited", lane[1], lane[0], count)
            self.lost(lane, count)
        conn.execute(queries.TRIM_CHANGES, [str(self.position[0]), self.position[1]])
