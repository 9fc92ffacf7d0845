"""Whose turn it is: threads and connections of a process are shared between tenants, so that one that floods leaves the others their part.

While one tenant alone asks, it may have every turn. As soon as others do, nobody has more than its part at a time, and
who has fewest comes next. Turns of threads also count by the time that they take, for one thread that works without pause is felt by
all who ask: whoever has spent what belongs to it rests, while others ask, until some has come back. What waits is bounded: a tenant that has too much waiting is told to come back (429), and so is
everybody when the process has (503). Who is told so hears it a moment later: a program that asks again at once would cost as much by being refused as by being answered.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from malha.context.broker.contracts import Busy, TooManyRequests
from malha.kernel.text import msg

#: a tenant that asked so lately counts as one that asks
LATELY_SECONDS = 1.0
#: what waits for a turn: of one tenant, and of all
WAITING_OF_ONE, WAITING = 200, 1_000
WAIT_SECONDS = 10.0
#: how long a refusal waits, and how many do: of one tenant, and of all; those beyond are told at once
REFUSAL_SECONDS = 1.0
REFUSED_OF_ONE, REFUSED = 1_000, 4_000
#: time of turns that a tenant may spend at once while others ask, and how much it may owe
BURST_SECONDS, DEBT_SECONDS = 1.0, 0.2
#: the part of the time that comes back to a tenant however many others ask: more, and they feel it in one request of twenty, those too
#: that one of its turns begins beside
LEAST_PART = 0.03
_MOST = 10_000


class Heard:
    """Who asked lately, whatever for: one for all the turns of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.at: OrderedDict[Hashable, float] = OrderedDict()

    def note(self, key: Hashable) -> None:
        """A request of `key` came."""
        self.at[key] = self.clock()
        self.at.move_to_end(key)

    def count(self) -> int:
        """How many asked lately."""
        before = self.clock() - LATELY_SECONDS
        while self.at and next(iter(self.at.values())) < before:
            self.at.popitem(last=False)
        return len(self.at)


heard = Heard()


@dataclass(slots=True)
class _Purse:
    left: float  # seconds, as they were at the moment `at`
    at: float
    usual: float = 0.0  # seconds that a turn takes


class Spent:
    """How much time of turns each key has left: some at once, then its part of the time. Whoever asks alone needs none."""

    def __init__(self, asking: Heard) -> None:
        self.asking = asking
        self.purses: OrderedDict[Hashable, _Purse] = OrderedDict()

    def rest(self, key: Hashable) -> float:
        """Seconds until `key` may have a turn; 0 where it may now."""
        purse = self.purses.get(key)
        if purse is None or (others := self.asking.count()) < 2 or (left := self._left(purse, others)) > 0:
            return 0.0
        return max(0.001, -left / _part(others))

    def add(self, key: Hashable, seconds: float) -> None:
        """A turn of `key` took so long. Who asks alone owes nothing, but has nothing put by either when others come."""
        now, others = self.asking.clock(), self.asking.count()
        purse = self.purses.setdefault(key, _Purse(BURST_SECONDS, now, seconds))
        purse.left = max(self._left(purse, others) - seconds, -DEBT_SECONDS if others > 1 else 0.0)
        purse.at, purse.usual = now, 0.8 * purse.usual + 0.2 * seconds
        self.purses.move_to_end(key)
        if len(self.purses) > _MOST:
            self.purses.popitem(last=False)

    def wait(self, key: Hashable, before: int) -> float:
        """Seconds that a request waits where `before` others of the key do already; 0 while the key need not rest."""
        rest = self.rest(key)
        return rest and rest + before * self.purses[key].usual / _part(self.asking.count())

    def _left(self, purse: _Purse, others: int) -> float:
        return min(BURST_SECONDS, purse.left + (self.asking.clock() - purse.at) * _part(others))


def _part(others: int) -> float:
    """The part of the time that belongs to each of so many who ask."""
    return max(LEAST_PART, 1 / max(1, others))


class Turns:
    """`size` turns at a time, of which each key has one at the least when others ask too. For one event loop."""

    def __init__(self, size: int, asking: Heard = heard) -> None:
        self.size, self.asking = size, asking
        self.free, self.waiting = size, 0
        self.running: dict[Hashable, int] = {}
        self.queues: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        self.spent = Spent(asking)
        self.refused: Counter[Hashable] = Counter()
        self.later: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """Hold one turn for the block, and have its time count. Raises TooManyRequests and Busy."""
        await self.take(key)
        begun = self.asking.clock()
        try:
            yield
        finally:
            self.spent.add(key, self.asking.clock() - begun)
            self.give(key)

    async def take(self, key: Hashable) -> None:
        """Wait for a turn. Raises TooManyRequests where too much of this key waits already, Busy where too much of all does."""
        if not self.at_once(key):
            await self.wait(key)

    def at_once(self, key: Hashable) -> bool:
        """Take a turn where `key` may have one without waiting for it."""
        running = self.running.get(key, 0)
        if not self.free or key in self.queues or (running and running >= self._part()) or self.spent.rest(key):
            return False
        self.free -= 1
        self.running[key] = running + 1
        return True

    def give(self, key: Hashable) -> None:
        """Give a turn back; who waits and has fewest gets it."""
        left = self.running[key] - 1
        if left:
            self.running[key] = left
        else:
            del self.running[key]
        self.free += 1
        if self.queues:
            self._hand_on()

    def _part(self) -> int:
        """How many turns one key may have at a time now."""
        return max(1, self.size // max(1, self.asking.count()))

    def check(self, key: Hashable) -> None:
        """Raise TooManyRequests where so much of this key waits that one more would wait in vain, Busy where too much of all does."""
        waiting = len(self.queues.get(key, ()))
        wait = self.spent.wait(key, waiting)
        if waiting >= WAITING_OF_ONE or wait > WAIT_SECONDS:
            text = msg("O seu município já fez os pedidos que lhe cabem. Tente daqui a {seconds} s.")
            raise TooManyRequests(text, seconds=max(1, math.ceil(wait)))
        if self.waiting >= WAITING:
            raise _busy()

    async def admit(self, key: Hashable) -> None:
        """Raise as `check`, a moment later where it is for this key to come back: a program that asks again at once is slowed down by it."""
        try:
            self.check(key)
        except TooManyRequests:
            if self.refused[key] < REFUSED_OF_ONE and self.refused.total() < REFUSED:
                self.refused[key] += 1
                try:
                    await asyncio.sleep(REFUSAL_SECONDS)
                finally:
                    self.refused[key] -= 1
                    if not self.refused[key]:
                        del self.refused[key]
            raise

    async def wait(self, key: Hashable) -> None:
        """Wait for a turn that there is not at once. Raises as `take`."""
        await self.admit(key)
        queue = self.queues.setdefault(key, deque())
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        queue.append(mine)
        self.waiting += 1
        self._hand_on()
        over = loop.call_later(WAIT_SECONDS, _give_up, mine)  # the quarter of what a block with a time limit costs
        try:
            await mine
        except BaseException:
            self._withdraw(key, mine)
            raise
        finally:
            over.cancel()

    def _withdraw(self, key: Hashable, mine: asyncio.Future[None]) -> None:
        """Whoever waited goes away: out of the queue, or with its turn given back where it was just handed on."""
        if mine.done() and not mine.cancelled() and mine.exception() is None:
            self.give(key)
            return
        queue = self.queues.get(key)
        if queue is not None and mine in queue:
            queue.remove(mine)
            self.waiting -= 1
            if not queue:
                del self.queues[key]

    def _hand_on(self) -> None:
        """Give free turns to those who wait: to whom has fewest, and of those who are even to whom had none for longest."""
        part = self._part()
        while self.free and self.queues:
            rested = [each for each in self.queues if not self.spent.rest(each)]
            if not rested:
                self._look_later()
                return
            key = min(rested, key=lambda each: self.running.get(each, 0))
            if self.running.get(key, 0) >= part:
                return
            queue = self.queues[key]
            mine = queue.popleft()
            self.waiting -= 1
            self.queues.move_to_end(key)
            if not queue:
                del self.queues[key]
            if mine.done():
                continue
            self.free -= 1
            self.running[key] = self.running.get(key, 0) + 1
            mine.set_result(None)

    def _look_later(self) -> None:
        """All who wait have spent their part: hand on when the first of them has some again."""
        if self.later is None:
            wait = min(self.spent.rest(each) for each in self.queues)
            self.later = asyncio.get_running_loop().call_later(max(wait, 0.001), self._look_again)

    def _look_again(self) -> None:
        self.later = None
        self._hand_on()


def _give_up(mine: asyncio.Future[None]) -> None:
    """The time to wait is over."""
    if not mine.done():
        mine.set_exception(_busy())


def _busy() -> Busy:
    return Busy(msg("O serviço está ocupado. Tente daqui a {seconds} s."), seconds=1)
