"""Whose turn it is: threads and connections of a process are shared between tenants, so that one that floods leaves the others their part.

While one tenant alone asks, it may have every turn. As soon as others do, nobody has more than its part at a time, and
who has fewest comes next. What waits is bounded: a tenant that has too much waiting is told to come back (429), and so is
everybody when the process has (503).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from malha.context.broker.contracts import Busy, TooManyRequests
from malha.kernel.text import msg

#: a tenant that asked so lately counts as one that asks
LATELY_SECONDS = 1.0
#: what waits for a turn: of one tenant, and of all
WAITING_OF_ONE, WAITING = 200, 1_000
WAIT_SECONDS = 10.0


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


class Turns:
    """`size` turns at a time, of which each key has one at the least when others ask too. For one event loop."""

    def __init__(self, size: int, asking: Heard = heard) -> None:
        self.size, self.asking = size, asking
        self.free, self.waiting = size, 0
        self.running: dict[Hashable, int] = {}
        self.queues: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """Hold one turn for the block. Raises TooManyRequests and Busy."""
        await self.take(key)
        try:
            yield
        finally:
            self.give(key)

    async def take(self, key: Hashable) -> None:
        """Wait for a turn. Raises TooManyRequests where too much of this key waits already, Busy where too much of all does."""
        running = self.running.get(key, 0)
        if self.free and running < self._part() and key not in self.queues:
            self.free -= 1
            self.running[key] = running + 1
            return
        await self._wait(key)

    def give(self, key: Hashable) -> None:
        """Give a turn back; who waits and has fewest gets it."""
        left = self.running[key] - 1
        if left:
            self.running[key] = left
        else:
            del self.running[key]
        self.free += 1
        self._hand_on()

    def _part(self) -> int:
        """How many turns one key may have at a time now."""
        return max(1, self.size // max(1, self.asking.count()))

    async def _wait(self, key: Hashable) -> None:
        queue = self.queues.setdefault(key, deque())
        if len(queue) >= WAITING_OF_ONE:
            raise TooManyRequests(msg("O seu município já fez os pedidos que lhe cabem. Tente daqui a {seconds} s."), seconds=1)
        if self.waiting >= WAITING:
            if not queue:
                del self.queues[key]
            raise _busy()
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(mine)
        self.waiting += 1
        self._hand_on()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await mine
        except TimeoutError as reason:
            self._withdraw(key, mine)
            raise _busy() from reason
        except BaseException:
            self._withdraw(key, mine)
            raise

    def _withdraw(self, key: Hashable, mine: asyncio.Future[None]) -> None:
        """Whoever waited goes away: out of the queue, or with its turn given back where it was just handed on."""
        if mine.done() and not mine.cancelled():
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
            key = min(self.queues, key=lambda each: self.running.get(each, 0))
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


def _busy() -> Busy:
    return Busy(msg("O serviço está ocupado. Tente daqui a {seconds} s."), seconds=1)
