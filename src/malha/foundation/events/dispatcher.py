"""Hand each event to those who want it, in order, at least once, after its commit. Runs in the worker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import psycopg

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.events import queries
from malha.foundation.events.contracts import CHANNEL, START, Consumer, Consumers, Event, Position

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
BATCH = 200
#: a consumer that fails is tried again after 1, 2, 4 and 8 seconds; then the event is set aside and it goes on
ATTEMPTS = 5
#: events stay this long after everybody heard them, for streams that come back
KEEP_SECONDS = 3600
TRIM_SECONDS = 60


def name_of(consumer: Consumer) -> str:
    """What a consumer is called in the table of positions."""
    return f"{consumer.__module__}.{consumer.__qualname__}"


@dataclass(slots=True)
class Reader:
    """One consumer, how far it has come, and how often its present event failed."""

    name: str
    call: Consumer
    events: set[str] = field(default_factory=set)
    position: Position = START
    failures: int = 0
    not_before: float = 0.0


class Dispatcher:
    """All consumers of one installation. One dispatcher works at a time; a second one waits its turn."""

    def __init__(self, consumers: Consumers, *, clock: Callable[[], float] = time.monotonic, keep_seconds: float = KEEP_SECONDS) -> None:
        self.clock = clock
        self.keep_seconds = keep_seconds
        self.readers = _readers(consumers)
        self.trimmed_at = clock()

    def run(self, stop: threading.Event) -> None:
        """Dispatch until told to stop; a lost connection is made again."""
        while not stop.is_set():
            try:
                with database.connect(Role.COMPACTOR, autocommit=True) as outbox, database.connect(autocommit=True) as tenants:
                    if not self._my_turn(outbox):
                        stop.wait(5)
                        continue
                    outbox.execute(f"LISTEN {CHANNEL}")
                    self.load(outbox)
                    while not stop.is_set():
                        if self.dispatch(outbox, tenants) == 0:
                            for _wake in outbox.notifies(timeout=POLL_SECONDS, stop_after=1):
                                pass
            except psycopg.Error:
                logger.exception("the dispatcher lost its connection")
                stop.wait(2)

    @staticmethod
    def _my_turn(outbox: psycopg.Connection) -> bool:
        row = outbox.execute("SELECT pg_try_advisory_lock(8711)").fetchone()
        return bool(row and row[0])

    def load(self, outbox: psycopg.Connection) -> None:
        """Take up where the consumers stood; a new one starts with what is kept."""
        known = queries.positions(outbox)
        for reader in self.readers:
            reader.position = known.get(reader.name, START)

    def dispatch(self, outbox: psycopg.Connection, tenants: psycopg.Connection) -> int:
        """Hand on one batch; returns how many events were read. `tenants` is a connection of the application's role."""
        now = self.clock()
        ready = [reader for reader in self.readers if reader.not_before <= now]
        count, moved = 0, {}
        for position in sorted({reader.position for reader in ready}):
            together = [reader for reader in ready if reader.position == position]
            events = queries.settled(outbox, position, BATCH)
            count += len(events)
            for reader in together:
                self._hand_on(reader, events, outbox, tenants)
                if reader.position != position:
                    moved[reader.name] = reader.position
        if moved:
            queries.move(outbox, moved)
        if now - self.trimmed_at >= TRIM_SECONDS:
            self.trim(outbox)
        return count

    def _hand_on(self, reader: Reader, events: Iterable[Event], outbox: psycopg.Connection, tenants: psycopg.Connection) -> None:
        for event in events:
            if event.name in reader.events and not self._took(reader, event, outbox, tenants):
                return
            reader.position = event.position
            reader.failures = 0

    def _took(self, reader: Reader, event: Event, outbox: psycopg.Connection, tenants: psycopg.Connection) -> bool:
        """Whether the consumer is done with the event: it took it, or has failed too often."""
        try:
            with database.tenant_transaction(tenants, [event.tenant_id]):
                reader.call(tenants, event)
        except Exception as error:
            if tenants.closed:
                raise
            reader.failures += 1
            logger.exception("%s failed on %s of tenant %s (attempt %s)", reader.name, event.name, event.tenant_id, reader.failures)
            if reader.failures < ATTEMPTS:
                reader.not_before = self.clock() + 2.0 ** (reader.failures - 1)
                return False
            queries.set_aside(outbox, reader.name, event, f"{type(error).__name__}: {error}")
        return True

    def trim(self, outbox: psycopg.Connection) -> int:
        """Delete what everybody has heard long enough ago."""
        self.trimmed_at = self.clock()
        up_to = min((reader.position for reader in self.readers), default=queries.horizon(outbox))
        return queries.trim(outbox, up_to, self.keep_seconds)


def _readers(consumers: Consumers) -> list[Reader]:
    readers: dict[str, Reader] = {}
    for event, calls in consumers.items():
        for call in calls:
            readers.setdefault(name_of(call), Reader(name_of(call), call)).events.add(event)
    return list(readers.values())
