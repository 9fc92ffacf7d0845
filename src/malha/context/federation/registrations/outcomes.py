"""How sources answered, gathered by the process and written every few seconds (§5.2.9: timesSent, lastSuccess …)."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime

import psycopg

from malha.context.broker import pool
from malha.context.federation.contracts import Answer
from malha.context.federation.registrations import queries
from malha.context.federation.registrations.matching import Source
from malha.foundation.database import service as database
from malha.kernel.errors import Unavailable
from malha.kernel.time import now

logger = logging.getLogger(__name__)

WRITE_SECONDS = 2.0


@dataclass(slots=True)
class Outcome:
    """What happened with one source since it was last written."""

    sent: int = 0
    failed: int = 0
    success: datetime | None = None
    failure: datetime | None = None
    ok: bool = True
    error: str = ""


class Outcomes:
    """Gathers; whoever notes something first since the last writing writes for all, at once or when that is two seconds past."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gathered: dict[tuple[int, int], Outcome] = {}
        self._written_at = 0.0
        self._due = False  # somebody is about to write
        self._tasks: set[asyncio.Task[None]] = set()  # else they could be collected before they end
        self._writing: set[asyncio.Future[None]] = set()

    def note(self, source: Source, answer: Answer) -> bool:
        """Remember how a source answered; True where nobody is about to write it. A source that was resting was not asked."""
        ok = answer.ok or answer.status in {404, 409}
        moment = now()
        with self._lock:
            one = self._gathered.setdefault(source.key, Outcome())
            one.sent += 1
            one.ok = ok
            if ok:
                one.success, one.error = moment, ""
            else:
                one.failed += 1
                one.failure = moment
                one.error = answer.reason[:500] or f"HTTP {answer.status}"
            first, self._due = not self._due, True
        return first

    def write_soon(self) -> None:
        """Write while the running loop goes on, no more often than every two seconds: no answer waits for it."""
        task = asyncio.get_running_loop().create_task(self._later())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self) -> None:
        try:
            await asyncio.sleep(self._written_at + WRITE_SECONDS - time.monotonic())
        finally:  # a loop that ends before leaves it to whoever notes something next
            with self._lock:
                self._due = False
        writing = asyncio.ensure_future(pool.run_apart(self.write))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def written(self) -> None:
        """Return when everything that was gathered is written."""
        here = asyncio.get_running_loop()
        if mine := [one for one in list(self._writing) if one.get_loop() is here]:
            await asyncio.wait(mine)
        await pool.run(self.write)

    def write(self) -> None:
        """Write everything gathered. What cannot be written is lost: it is of no use an hour later."""
        with self._lock:
            gathered, self._gathered = self._gathered, {}
            self._written_at = time.monotonic()
        if not gathered:
            return
        by_tenant: dict[int, list[tuple[int, Outcome]]] = {}
        for (tenant_id, id_), one in gathered.items():
            by_tenant.setdefault(tenant_id, []).append((id_, one))
        try:
            with pool.connection() as conn:
                for tenant_id, rows in by_tenant.items():
                    with database.tenant_transaction(conn, [tenant_id]):
                        queries.answered(
                            conn, tenant_id, sorted((id_, one.sent, one.failed, one.success, one.failure, one.ok, one.error) for id_, one in rows)
                        )  # fmt: skip
        except (psycopg.Error, Unavailable):
            logger.exception("how sources answered could not be written")


gathered = Outcomes()
