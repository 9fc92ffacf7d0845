"""Notifications at work: a thread of the worker with an event loop for deliveries, and another that matches."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence

import psycopg

from malha.context.subscriptions.contracts import Change, Delivery, Lane, Message, Queued
from malha.context.subscriptions.delivery import Post
from malha.context.subscriptions.gate import Gate
from malha.context.subscriptions.http import Http
from malha.context.subscriptions.matcher import Matcher
from malha.context.subscriptions.mqtt import Mqtt
from malha.context.subscriptions.periodic import Clock, Periodic
from malha.context.subscriptions.rows import Rows
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.kernel.text import msg
from malha.kernel.time import now

logger = logging.getLogger(__name__)

WAIT_SECONDS, AGAIN_SECONDS, LOOK_SECONDS = 2.0, 2.0, 0.1


def run(stop: threading.Event, clock: Clock) -> None:
    """Match and deliver until told to stop. One process of an installation does; another one waits to take over.

    `clock` says what those are told who want it again and again.
    """
    while not stop.is_set():
        try:
            with database.connect(Role.COMPACTOR, autocommit=True) as conn:
                row = conn.execute("SELECT pg_try_advisory_lock(8712)").fetchone()
                if not row or not row[0]:
                    stop.wait(WAIT_SECONDS)
                    continue
                asyncio.run(_Work(conn, stop, clock).run())
        except psycopg.Error:
            logger.exception("notifications lost their connection")
            stop.wait(AGAIN_SECONDS)
        except Exception:
            logger.exception("notifications stopped and start again")
            stop.wait(AGAIN_SECONDS)


class _Work:
    def __init__(self, conn: psycopg.Connection, stop: threading.Event, clock: Clock) -> None:
        self.conn, self.stop, self.clock = conn, stop, clock
        self.ended = threading.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        gate = Gate()
        rows, http, mqtt = Rows(), Http(gate), Mqtt(gate)
        lost_text = msg("Esperavam notificações a mais ou há tempo de mais; as mais antigas perderam-se.")

        async def send(message: Message, tenant: str) -> Delivery:
            return await (mqtt if message.uri.startswith("mqtt") else http).send(message, tenant)

        def offer(queued: Sequence[Queued], changes: Mapping[int, Change]) -> None:
            loop.call_soon_threadsafe(post.offer, queued, changes)

        def reloaded(tenant_id: int) -> None:
            loop.call_soon_threadsafe(post.reloaded, tenant_id)

        def lost(lane: Lane, count: int) -> None:
            loop.call_soon_threadsafe(post.outcomes.lost, lane, count, now(), lost_text)

        def wake(lanes: Sequence[Lane]) -> None:
            loop.call_soon_threadsafe(post.wake, lanes)

        matcher = Matcher(offer, reloaded, lost, wake)
        post = Post(rows, matcher.rule, send)
        matcher.refresh(self.conn)
        post.restore(await rows.run(rows.lanes))
        thread = threading.Thread(target=self._match, args=[matcher], name="matcher", daemon=True)
        thread.start()
        tasks = [asyncio.create_task(post.keep_writing()), asyncio.create_task(Periodic(matcher, post, self.clock).run())]
        try:
            while not self.stop.is_set() and not self.ended.is_set():  # noqa: ASYNC110 -- the events are a thread's
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self.ended.set()
            for task in tasks:
                task.cancel()
            await post.stop()
            await mqtt.close()
            await http.close()
            await self.clock.close()
            await asyncio.to_thread(thread.join, 5)
            gate.close()
            rows.close()

    def _match(self, matcher: Matcher) -> None:
        try:
            matcher.run(self.conn, self.ended)
        except Exception:
            logger.exception("matching stopped and starts again")
        finally:
            self.ended.set()
