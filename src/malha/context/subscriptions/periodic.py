"""Subscriptions with `timeInterval`: told of what matches every so many seconds, whether it changed or not (§5.8.6, §5.11.7)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from malha.context.store.contracts import EntityQuery, StoredEntity
from malha.context.subscriptions import notice
from malha.context.subscriptions.contracts import REGISTRATIONS, Lane, Message, Reader, Registrations
from malha.context.subscriptions.delivery import Post
from malha.context.subscriptions.matcher import Matcher
from malha.context.subscriptions.rules import Rule
from malha.foundation.access.contracts import Principal
from malha.kernel.time import now

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
ENTITIES = 1000


@dataclass(frozen=True, slots=True)
class Clock:
    """What those are told who want it again and again, by who knows other sources.

    `registrations` says it to who subscribed to those; `entities`, what matches a rule here and at sources, as a reader may see it, None where
    no source has a part in it; `close` ends what was opened for that in the running loop.
    """

    registrations: Registrations
    entities: Callable[[Rule, Principal], Awaitable[list[StoredEntity] | None]]
    close: Callable[[], Awaitable[None]]


class Periodic:
    """The clock of periodic subscriptions. A receiver that is still busy with the last one misses a beat, nobody else does."""

    def __init__(self, matcher: Matcher, post: Post, clock: Clock) -> None:
        self.matcher, self.post, self.clock = matcher, post, clock
        self.due: dict[Lane, float] = {}
        self.busy: dict[Lane, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look several times a second."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            rules = {rule.lane: rule for index in list(self.matcher.indexes.values()) for rule in index.periodic}
            self.due = {lane: at for lane, at in self.due.items() if lane in rules}
            moment = time.monotonic()
            for lane, rule in rules.items():
                first = moment + max(0.0, (rule.subscription.since + timedelta(seconds=rule.interval) - now()).total_seconds())
                if self.due.setdefault(lane, first) > moment or lane in self.busy:
                    continue
                self.due[lane] = max(self.due[lane] + rule.interval, moment)
                self.busy[lane] = asyncio.create_task(self._tell(rule))

    async def _tell(self, rule: Rule) -> None:
        lane, at = rule.lane, now()
        try:
            if rule.expires_at and rule.expires_at <= at:
                return
            reader = await self.post.rows.run(self.post.rows.reader, lane[0], rule.subscription.subject)
            if reader.principal is None:
                return
            told = await (self._of_registrations if rule.subscription.about == REGISTRATIONS else self._of_entities)(rule, reader, at)
            if told is None:
                return
            message, count = told
            delivery = await self.post.deliver(message, reader)
            if delivery.ok:
                self.post.outcomes.sent(lane, at, count, delivery.seconds)
            else:
                self.post.outcomes.failed(lane, at, delivery.error, None)
        except Exception:
            logger.exception("the periodic notification of subscription %s of tenant %s failed", lane[1], lane[0])
        finally:
            self.busy.pop(lane, None)

    async def _of_entities(self, rule: Rule, reader: Reader, at: datetime) -> tuple[Message, int] | None:
        assert reader.principal is not None
        found = await self.clock.entities(rule, reader.principal)
        if found is None:
            found = await self.post.rows.run(self._matching, rule)
        linked, context = self.post.rows.linked(rule.lane[0]), await self.post.words(rule)
        message = await self.post.rows.run(notice.of_entities, rule, found, reader, linked, at.isoformat(), at, context)
        return None if message is None else (message, len(found))

    async def _of_registrations(self, rule: Rule, reader: Reader, at: datetime) -> tuple[Message, int] | None:
        told = await self.post.rows.fetch(self.post.rows.told, self.clock.registrations, rule.subscription)
        return None if told is None else (notice.of_registrations(rule, told, reader, at.isoformat(), at), len(told["data"]))

    def _matching(self, rule: Rule) -> list[StoredEntity]:
        out: dict[str, StoredEntity] = {}
        for selector in rule.selectors:
            question = EntityQuery(
                types=tuple(sorted(selector.names)), uris=tuple(selector.ids or ()), q=str(rule.subscription.document.get("q", "")), limit=ENTITIES
            )
            page = self.post.rows.query(rule.lane[0], question)
            out |= {one.uri: one for one in page.entities if selector.holds(one) and rule.permits(one)}
        return list(out.values())[:ENTITIES]
