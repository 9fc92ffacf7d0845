"""One reader of the outbox per tenant and process, however many browsers listen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg

from malha.context.broker import pool
from malha.foundation.events import service as events
from malha.foundation.events.contracts import Event, Position
from malha.kernel.errors import MalhaError

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.25
BATCH = 200
#: a browser that does not take its events is dropped; it comes back and asks from where it was
QUEUE = 500


@dataclass(slots=True, eq=False)
class Listener:
    """One open stream: events come by `queue`; `lost` is set when it could not follow."""

    queue: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    lost: bool = False


class Hub:
    """The streams of one event loop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._listeners: dict[int, set[Listener]] = {}
        self._readers: dict[int, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def listen(self, tenant_id: int) -> AsyncIterator[Listener]:
        """What happens in a tenant from now on, while the block runs."""
        listener = Listener()
        self._listeners.setdefault(tenant_id, set()).add(listener)
        reader = self._readers.get(tenant_id)
        if reader is None or reader.done():
            position = await pool.run(_here)
            self._readers[tenant_id] = asyncio.create_task(self._read(tenant_id, position))
        try:
            yield listener
        finally:
            self._listeners[tenant_id].discard(listener)

    async def _read(self, tenant_id: int, position: Position) -> None:
        while self._listeners.get(tenant_id) and not self.stopping.is_set():
            found: list[Event] = []
            try:
                found = await pool.run(lambda at=position: since(tenant_id, at))  # type: ignore[misc]  # a lambda's default has no type
            except (MalhaError, psycopg.Error):
                logger.exception("Streams of tenant %s wait for the database", tenant_id)
                await asyncio.sleep(2)
            for event in found:
                position = event.position
                for listener in self._listeners[tenant_id]:
                    _give(listener, event)
            if len(found) < BATCH:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), POLL_SECONDS)

    def stop(self) -> None:
        """End every stream, so that the process can end; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self.stopping.set)


def _give(listener: Listener, event: Event) -> None:
    try:
        listener.queue.put_nowait(event)
    except asyncio.QueueFull:
        listener.lost = True


def _here() -> Position:
    with pool.connection() as conn:
        return events.here(conn)


def since(tenant_id: int, position: Position) -> list[Event]:
    """Events of a tenant after a position, in order of commit."""
    with pool.connection() as conn, pool.scoped(conn, tenant_id):
        return events.since(conn, tenant_id, position, limit=BATCH)


_hubs: dict[int, Hub] = {}


def hub() -> Hub:
    """The hub of the running loop."""
    loop = asyncio.get_running_loop()
    if id(loop) not in _hubs:
        _hubs[id(loop)] = Hub()
    return _hubs[id(loop)]


def stop_all() -> None:
    """End the streams of every loop of this process; safe to call from a signal handler."""
    for one in list(_hubs.values()):
        one.stop()
    _hubs.clear()
