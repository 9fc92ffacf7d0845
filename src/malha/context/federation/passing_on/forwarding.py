"""Passes subscriptions on to sources, changes them there and ends them (GS CIM 009 §5.8.1.4, §5.8.2.4, §5.8.5.4): a thread of the worker.

What is to be done lies in rows, so nothing is forgotten where a process ends; a source that does not answer is asked again, later each time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from urllib.parse import quote

import psycopg
from psycopg.rows import tuple_row

from malha.context.broker import tenants
from malha.context.federation.asking import credentials, speaking, wire
from malha.context.federation.contracts import Answer
from malha.context.federation.passing_on import passed, passing
from malha.context.federation.passing_on.passed import Passed
from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.vocabulary.contexts import service as contexts

logger = logging.getLogger(__name__)

LOOK_SECONDS, WAIT_SECONDS = 0.5, 2.0
#: what one tenant has its sources told in one go, and sources that are told at a time
BATCH, AT_ONCE = 200, 16
#: a source that refuses is asked again when something changes, or after this
REFUSED, LOOPS = timedelta(hours=1), timedelta(days=1)
BACK_OFF_SECONDS, LONGEST_SECONDS = 1.0, 300.0
#: one that is to be ended and cannot be is given up after so many attempts: about two hours
GIVE_UP = 30
HEARD = "/ngsi-ld/ex/remote-notify"
SLUG = "SELECT slug FROM organisation WHERE id = %s"


def run(stop: threading.Event) -> None:
    """Pass on until told to stop. One process of an installation does; another one waits to take over."""
    while not stop.is_set():
        try:
            with database.connect(autocommit=True) as conn:
                row = conn.execute("SELECT pg_try_advisory_lock(8742)").fetchone()
                if row and row[0]:
                    asyncio.run(_Work(conn, stop).run())
        except psycopg.Error:
            logger.exception("passing subscriptions on lost its connection")
        except Exception:
            logger.exception("passing subscriptions on stopped and starts again")
        stop.wait(WAIT_SECONDS)


class _Work:
    """The event loop; rows are read and written in threads, each with a connection of its own but for the look."""

    def __init__(self, conn: psycopg.Connection, stop: threading.Event) -> None:
        self.conn, self.stop = conn, stop
        self.busy: dict[int, asyncio.Task[None]] = {}
        self.room = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        try:
            while not self.stop.is_set():
                for tenant_id in await asyncio.to_thread(passed.tenants, self.conn):
                    if tenant_id not in self.busy:
                        self.busy[tenant_id] = asyncio.create_task(self._tenant(tenant_id))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in self.busy.values():
                task.cancel()
            await asyncio.gather(*self.busy.values(), return_exceptions=True)
            await wire.close()

    async def _tenant(self, tenant_id: int) -> None:
        """Bring one tenant's sources up to date, each in order, all at the same time."""
        try:
            slug, found = await asyncio.to_thread(_due, tenant_id)
            by_source: dict[int, list[Passed]] = {}
            for one in found:
                by_source.setdefault(one.registration_id, []).append(one)
            await asyncio.gather(*(self._source(slug, each) for each in by_source.values()))
        except Exception:
            logger.exception("subscriptions of tenant %s could not be passed on", tenant_id)
            await asyncio.sleep(WAIT_SECONDS)
        finally:
            self.busy.pop(tenant_id, None)

    async def _source(self, slug: str, found: Iterable[Passed]) -> None:
        """Tell one source; where it says nothing, what follows waits too."""
        silent = ""
        for one in found:
            if not silent:
                async with self.room:
                    answer = await tell(one, slug)
                silent = (answer.reason or "silent") if answer.status == 0 else ""
            else:
                answer = Answer(0, reason=silent)
            await asyncio.to_thread(_note, one, answer)


def _due(tenant_id: int) -> tuple[str, list[Passed]]:
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [tenant_id]):
        passed.settle(conn, tenant_id, tenants.alias(tenant_id))
        row = psycopg.Cursor(conn, row_factory=tuple_row).execute(SLUG, [tenant_id]).fetchone()
        return str(row[0]) if row else "", passed.due(conn, tenant_id, BATCH)


async def tell(one: Passed, slug: str) -> Answer:
    """Have the source take what it is to have: made, changed, or ended there."""
    source = replace(one.source, local_only=False)  # that is said in the subscription itself
    told = one.wanted or one.document or {}
    words = await asyncio.to_thread(partial(contexts.of_tenant, one.tenant_id, told.get("context")))
    speech = await asyncio.to_thread(partial(speaking.alone, source, one.tenant_id, words, told.get("through", ())))
    callback = f"{(settings.current().public_url or f'http://localhost:{settings.current().port}').rstrip('/')}/{slug}{HEARD}"
    token = await credentials.bearer(source.registration.headers, slug)
    here = f"/subscriptions/{quote(one.uri, safe=':')}"

    async def ask(method: str, path: str, payload: object = None) -> Answer:
        headers, body = speech.for_writing(payload) if payload is not None else (speech.for_reading(), b"")
        return await wire.current().once(method, speaking.address(source, path, {}), headers | token, body, slug, source.timeout_seconds)

    if one.wanted is None:
        return await ask("DELETE", here)
    if one.document is not None and source.takes("updateSubscription"):
        return await ask("PATCH", here, passing.change(one.document, one.wanted, speech, one.uri, callback))
    if one.document is not None and (answer := await ask("DELETE", here)).status == 0:
        return answer
    return await ask("POST", "/subscriptions", passing.payload(one.wanted, speech, one.uri, callback))


def _note(one: Passed, answer: Answer) -> None:
    """Write what became of it."""
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [one.tenant_id]):
        gone = answer.status in {404, 410}
        if one.wanted is None and (answer.ok or gone or one.failures >= GIVE_UP):
            passed.done(conn, one, None)
        elif one.wanted is not None and (answer.ok or (answer.status == 409 and one.document is None)):
            passed.done(conn, one, one.wanted)
        elif one.wanted is not None and gone and one.document is not None:
            passed.done(conn, one, None)  # the source has forgotten it: it is made there again
        else:
            passed.failed(conn, one, answer.reason or f"HTTP {answer.status}", _again(one, answer))


def _again(one: Passed, answer: Answer) -> timedelta:
    if answer.status == 508:
        return LOOPS
    if 400 <= answer.status < 500 and answer.status not in {401, 408, 425, 429}:
        return REFUSED if one.wanted is not None else timedelta(minutes=1)
    return timedelta(seconds=min(LONGEST_SECONDS, BACK_OFF_SECONDS * 2 ** min(one.failures, 10)))
