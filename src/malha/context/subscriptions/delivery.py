"""Delivers what waits: each subscription in its own order, none behind another, within bounds of memory and connections."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from malha.context.subscriptions import notice, observations
from malha.context.subscriptions.contracts import Change, Delivery, Lane, Message, Queued, Reader
from malha.context.subscriptions.outcomes import Outcomes
from malha.context.subscriptions.rows import Rows
from malha.context.subscriptions.rules import Rule
from malha.context.subscriptions.slots import Slots
from malha.foundation.telemetry import service as telemetry
from malha.foundation.telemetry import traces
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.vocabulary.contexts.service import Context

logger = logging.getLogger(__name__)

#: notifications of one subscription that wait in memory; the others wait in the database
DEPTH = 20
CHANGES_BYTES = 32 * 2**20
BACK_OFF_SECONDS, LONGEST_BACK_OFF_SECONDS = 1.0, 300.0
#: a notification that a receiver refuses for good is tried so often
REFUSALS = 3
WRITE_SECONDS = 0.1


@dataclass(slots=True)
class Waiting:
    """One subscription's turn: what waits in memory, whether more waits in the database, and when it may go on."""

    lane: Lane
    queue: deque[Queued] = field(default_factory=deque)
    last_id: int = 0
    more: bool = False
    missed: bool = False
    task: asyncio.Task[None] | None = None
    failures: int = 0
    not_before: float = 0.0
    sent_at: float = 0.0


class Post:
    """All deliveries of the installation, in one event loop. `send` takes a message and the tenant's slug."""

    def __init__(self, rows: Rows, rule: Callable[[Lane], Rule | None], send: Callable[[Message, str], Any]) -> None:
        self.rows, self.rule, self.send = rows, rule, send
        self.news = asyncio.Event()
        self.outcomes = Outcomes(self.news.set)
        self.lanes: dict[Lane, Waiting] = {}
        self.changes: OrderedDict[int, Change] = OrderedDict()
        self.told: dict[Lane, int] = {}
        self.bytes = 0
        self.slots = Slots()
        self.stopping = False

    def restore(self, lanes: Sequence[tuple[int, int, datetime | None, datetime | None]]) -> None:
        """Take up what waited when the process before this one ended."""
        for tenant_id, subscription_id, not_before, last in lanes:
            waiting = self._lane((tenant_id, subscription_id))
            waiting.more = True
            if not_before is not None:
                waiting.not_before, waiting.failures = _monotonic(not_before), 1
            if last is not None:
                waiting.sent_at = _monotonic(last)
            self._go(waiting)

    def offer(self, queued: Sequence[Queued], changes: Mapping[int, Change]) -> None:
        """What was just queued; beyond a few per subscription it is read again when its turn comes."""
        for seq, change in changes.items():
            self.changes[seq] = change
            self.bytes += change.size
        while self.bytes > CHANGES_BYTES:
            _, gone = self.changes.popitem(last=False)
            self.bytes -= gone.size
        for one in queued:
            waiting = self._lane((one.tenant_id, one.subscription_id))
            if waiting.more or len(waiting.queue) >= DEPTH:
                waiting.more = waiting.missed = True
            else:
                waiting.queue.append(one)
                waiting.last_id = one.id
            self._go(waiting)

    def wake(self, lanes: Sequence[Lane]) -> None:
        """Something is told of registrations: read it, after what was delivered of it already."""
        self.told = {lane: id_ for lane, id_ in self.told.items() if lane in lanes}
        for lane in lanes:
            waiting = self._lane(lane)
            if waiting.task is None and not waiting.queue and not waiting.more:
                waiting.more, waiting.last_id = True, self.told.get(lane, 0)
                self._go(waiting)

    def reloaded(self, tenant_id: int) -> None:
        """The tenant's subscriptions changed: those that were paused may go on."""
        for waiting in list(self.lanes.values()):
            if waiting.lane[0] == tenant_id:
                waiting.not_before = min(waiting.not_before, time.monotonic() + BACK_OFF_SECONDS)
                if waiting.more or waiting.queue:
                    self._go(waiting)

    def _lane(self, lane: Lane) -> Waiting:
        return self.lanes.setdefault(lane, Waiting(lane))

    def _go(self, waiting: Waiting) -> None:
        if waiting.task is None and not self.stopping and self.rule(waiting.lane) is not None:
            waiting.task = asyncio.create_task(self._work(waiting))

    async def _work(self, waiting: Waiting) -> None:
        try:
            while not self.stopping and await self._fill(waiting):
                rule = self.rule(waiting.lane)
                if rule is None:  # paused or gone; what waits stays in the database
                    waiting.queue.clear()
                    waiting.more = True
                    waiting.last_id = 0
                    return
                if not await self._turn(waiting, rule):
                    await self._one(waiting, rule)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("delivery to subscription %s of tenant %s stopped for a while", waiting.lane[1], waiting.lane[0])
            waiting.not_before = time.monotonic() + 10
            asyncio.get_running_loop().call_later(10, self._go, waiting)
        finally:
            waiting.task = None
            if not waiting.queue and not waiting.more and not waiting.failures and not (waiting.sent_at and self._throttled(waiting)):
                self.lanes.pop(waiting.lane, None)

    def _throttled(self, waiting: Waiting) -> bool:
        rule = self.rule(waiting.lane)
        return rule is not None and rule.throttling > 0

    async def _fill(self, waiting: Waiting) -> bool:
        """Whether something waits; reads it when memory holds none."""
        if not waiting.queue and waiting.more:
            waiting.missed = False
            found = await self.rows.run(self.rows.waiting, waiting.lane, waiting.last_id, DEPTH)
            waiting.queue.extend(found)
            waiting.more = len(found) == DEPTH or waiting.missed  # what came while it was read
            if found:
                waiting.last_id = found[-1].id
        return bool(waiting.queue)

    async def _turn(self, waiting: Waiting, rule: Rule) -> bool:
        """Wait until the subscription may be told again; True when it waited and everything has to be looked at anew."""
        moment = time.monotonic()
        until = max(waiting.not_before, waiting.sent_at + rule.throttling if rule.throttling and waiting.sent_at else 0.0)
        if until <= moment:
            return False
        await asyncio.sleep(min(until - moment, 5.0))
        return True

    async def _one(self, waiting: Waiting, rule: Rule) -> None:
        taken = list(waiting.queue) if rule.throttling else [waiting.queue[0]]
        moment = now()
        if rule.expires_at and rule.expires_at <= moment:
            self._finish(waiting, taken)
            return
        subject = rule.subscription.subject
        known = self.rows.rights.known(waiting.lane[0], subject)
        reader = known if known is not None else await self.rows.run(self.rows.reader, waiting.lane[0], subject)
        if reader.principal is None:
            for one in taken:
                self.outcomes.failed(waiting.lane, moment, msg("A ligação já não pode ler estes dados."), None, notification_id=one.id, dropped=True)
            self._finish(waiting, taken, done=False)
            return
        told, changes = taken[0].told, list[Change]()
        if told is not None:
            taken = [taken[0]]
            message: Message | None = notice.of_registrations(rule, told, reader, taken[0].id, moment)
        else:
            changes = await self._changes(waiting.lane, taken, rule, reader)
            message = await self._message(rule, changes, reader, taken[0].id, moment)
        if message is None:
            self._finish(waiting, taken)
            return
        delivery = await self.deliver(message, reader)
        self._settle(waiting, taken, rule, delivery, len(told["data"]) if told is not None else len(changes), moment)

    async def _changes(self, lane: Lane, taken: Sequence[Queued], rule: Rule, reader: Reader) -> list[Change]:
        """What is told of: the changes that the reader may know of, of each entity the latest where several notifications become one."""
        seqs = [seq for one in taken for seq in one.changes]
        found = {seq: self.changes[seq] for seq in seqs if seq in self.changes}
        missing = [seq for seq in seqs if seq not in found]
        if missing:
            found |= {change.seq: change for change in await self.rows.run(self.rows.changes, lane[0], missing)}
        known = notice.noticed(rule, [found[seq] for seq in seqs if seq in found], reader)
        if len(taken) == 1:
            return known
        latest = {change.entity.uri: change for change in known}  # throttled: each entity as it is by now
        return list(latest.values())

    async def _message(self, rule: Rule, changes: Sequence[Change], reader: Reader, what: object, at: datetime) -> Message | None:
        if rule.follows:
            changes = await self.rows.run(notice.followed, rule, changes, reader, self.rows.linked(rule.subscription.tenant_id))
        if observations.wanted(rule):
            return await self.rows.run(observations.message, rule, changes, reader, self.rows.numbers(rule.subscription.tenant_id))
        context = await self.words(rule)
        if rule.subscription.document["notification"].get("join", "@none") == "@none":
            return notice.of_changes(rule, changes, reader, _nothing, what, at, context)
        return await self.rows.run(notice.of_changes, rule, changes, reader, self.rows.linked(rule.subscription.tenant_id), what, at, context)

    async def words(self, rule: Rule) -> Context:
        """The context of a subscription's notifications; one that has to be fetched keeps nobody else waiting."""
        found = notice.context_at_hand(rule.subscription)
        return found if found is not None else await self.rows.fetch(notice.context_of, rule.subscription)

    async def deliver(self, message: Message, reader: Reader) -> Delivery:
        """Send one message when there is room for it."""
        async with self.slots.room(message.uri):
            with traces.span("notification", "PRODUCER") as told:
                if message.uri.startswith("http") and (more := traces.outgoing()):
                    message = replace(message, headers={**message.headers, **more})
                sent: Delivery = await self.send(message, reader.slug)
                told["http.response.status_code"] = sent.status or 0
        telemetry.NOTIFIED.labels("taken" if sent.ok else "refused").observe(sent.seconds)
        self.slots.heard(message.uri, sent)
        return sent

    def _settle(self, waiting: Waiting, taken: Sequence[Queued], rule: Rule, delivery: Delivery, entities: int, at: datetime) -> None:
        lane = waiting.lane
        if delivery.ok:
            waiting.failures, waiting.not_before, waiting.sent_at = 0, 0.0, time.monotonic()
            self.outcomes.sent(lane, at, entities, delivery.seconds)
            self._finish(waiting, taken)
            return
        waiting.failures += 1
        cooldown = float(rule.subscription.document["notification"]["endpoint"].get("cooldown") or 0) / 1000
        pause = max(cooldown, min(LONGEST_BACK_OFF_SECONDS, BACK_OFF_SECONDS * 2 ** min(waiting.failures - 1, 10)) * random.uniform(0.8, 1.2))  # noqa: S311 -- spreads retries
        waiting.not_before = time.monotonic() + pause
        refused = delivery.permanent and waiting.failures >= REFUSALS
        for one in taken:
            self.outcomes.failed(lane, at, delivery.error, at + timedelta(seconds=pause), notification_id=one.id, dropped=refused)
        if refused:
            waiting.failures = 0
            self._finish(waiting, taken, done=False)

    def _finish(self, waiting: Waiting, taken: Sequence[Queued], *, done: bool = True) -> None:
        for one in taken:
            if waiting.queue and waiting.queue[0].id == one.id:
                waiting.queue.popleft()
            if one.told is not None:
                self.told[waiting.lane] = one.id
            if done:
                self.outcomes.done(waiting.lane, one.id)

    async def keep_writing(self) -> None:
        """Write outcomes again and again."""
        while True:
            await self.news.wait()
            self.news.clear()
            try:
                await self.rows.run(self.rows.write, self.outcomes)
            except Exception:
                logger.exception("outcomes of deliveries could not be written; they are kept")
                await asyncio.sleep(2)
                self.news.set()
            await asyncio.sleep(WRITE_SECONDS)

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Finish what is on its way, leave the rest in the database, and write what became of it."""
        self.stopping = True
        tasks = [waiting.task for waiting in self.lanes.values() if waiting.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_seconds)
            for task in late:
                task.cancel()
        await self.rows.run(self.rows.write, self.outcomes)


def _monotonic(moment: datetime) -> float:
    return time.monotonic() + (moment - now()).total_seconds()


def _nothing(_uris: Sequence[str]) -> Mapping[str, Any]:
    return {}
