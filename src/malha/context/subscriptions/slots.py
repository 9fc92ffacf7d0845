"""Room for deliveries at the same time: receivers that answer, those nobody has heard from yet, and those that are slow or fail."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from malha.context.subscriptions.contracts import Delivery

#: a receiver that takes longer is slow, and gives its room back to those that are not
SLOW_SECONDS = 1.0
_REMEMBERED = 20_000


class Standing(StrEnum):
    """What is known of a receiver's address."""

    PROVEN, NEW, SLOW = "proven", "new", "slow"


#: deliveries at the same time: in all, and to one host and port
ROOM = {Standing.PROVEN: 70, Standing.NEW: 40, Standing.SLOW: 40}
AT_ONE_PLACE = {Standing.PROVEN: 32, Standing.NEW: 4, Standing.SLOW: 8}
#: those that turned out slow on their way may be so many more, until they end
OVERDUE = 20
MOST = sum(ROOM.values()) + OVERDUE

type _Waiter = tuple[asyncio.Future[Standing], str]


@dataclass(slots=True)
class _Line:
    """Who waits for one place with one standing, and how many are on their way there."""

    busy: int = 0
    waiting: deque[_Waiter] = field(default_factory=deque)


class Slots:
    """Gives room to one delivery after the other; places with the same standing take turns, so that none fills it alone."""

    def __init__(self) -> None:
        self.standings: OrderedDict[str, Standing] = OrderedDict()
        self.lines: dict[tuple[str, Standing], _Line] = {}
        self.turns: dict[Standing, OrderedDict[str, None]] = {standing: OrderedDict() for standing in Standing}
        self.busy = dict.fromkeys(Standing, 0)

    def standing(self, uri: str) -> Standing:
        """What is known of an address."""
        return self.standings.get(uri, Standing.NEW)

    @asynccontextmanager
    async def room(self, uri: str) -> AsyncIterator[None]:
        """Wait for room for a delivery to `uri`, and give it back at the end, or to others once the receiver is slow."""
        place = urlsplit(uri).netloc
        held = [await self._wait(place, uri)]

        def overdue() -> None:
            self.learn(uri, Standing.SLOW)
            if held[0] is not Standing.SLOW and self.busy[Standing.SLOW] < ROOM[Standing.SLOW] + OVERDUE:
                self._give_back(place, held[0])
                held[0] = Standing.SLOW
                self._count(place, Standing.SLOW, 1)

        clock = asyncio.get_running_loop().call_later(SLOW_SECONDS, overdue)
        try:
            yield
        finally:
            clock.cancel()
            self._give_back(place, held[0])

    def heard(self, uri: str, delivery: Delivery) -> None:
        """Remember how a delivery to `uri` went: an answer in time proves the receiver, even one that refuses."""
        self.learn(uri, Standing.PROVEN if (delivery.ok or delivery.status) and delivery.seconds <= SLOW_SECONDS else Standing.SLOW)

    def learn(self, uri: str, standing: Standing) -> None:
        """Let an address have a standing; whoever waits for it stands in the other line from now on."""
        before = self.standing(uri)
        self.standings[uri] = standing
        self.standings.move_to_end(uri)
        while len(self.standings) > _REMEMBERED:
            self.standings.popitem(last=False)
        if before is standing:
            return
        place = urlsplit(uri).netloc
        line = self.lines.get((place, before))
        moved = [waiter for waiter in line.waiting if waiter[1] == uri] if line else []
        if line and moved:
            line.waiting = deque(waiter for waiter in line.waiting if waiter[1] != uri)
            self._line(place, standing).waiting.extend(moved)
            self._queue(place, standing)
            self._tidy(place, before)

    async def _wait(self, place: str, uri: str) -> Standing:
        waiter: _Waiter = (asyncio.get_running_loop().create_future(), uri)
        self._line(place, self.standing(uri)).waiting.append(waiter)
        self._queue(place, self.standing(uri))
        try:
            return await waiter[0]
        except asyncio.CancelledError:
            if waiter[0].done() and not waiter[0].cancelled():
                self._give_back(place, waiter[0].result())
            raise

    def _line(self, place: str, standing: Standing) -> _Line:
        return self.lines.setdefault((place, standing), _Line())

    def _queue(self, place: str, standing: Standing) -> None:
        self.turns[standing].setdefault(place)
        self._serve(standing)

    def _serve(self, standing: Standing) -> None:
        """Let in whom there is room for, one of each place after the other."""
        turns, full = self.turns[standing], []
        while turns and self.busy[standing] < ROOM[standing]:
            place, _ = turns.popitem(last=False)
            line = self._line(place, standing)
            while line.waiting and line.waiting[0][0].done():  # went away while it waited
                line.waiting.popleft()
            if not line.waiting:
                self._tidy(place, standing)
            elif line.busy >= AT_ONE_PLACE[standing]:
                full.append(place)
            else:
                self._count(place, standing, 1)
                line.waiting.popleft()[0].set_result(standing)
                turns[place] = None
        turns.update(dict.fromkeys(full))

    def _count(self, place: str, standing: Standing, by: int) -> None:
        self._line(place, standing).busy += by
        self.busy[standing] += by

    def _give_back(self, place: str, standing: Standing) -> None:
        self._count(place, standing, -1)
        self._tidy(place, standing)
        self._serve(standing)

    def _tidy(self, place: str, standing: Standing) -> None:
        line = self.lines.get((place, standing))
        if line is not None and not line.busy and not line.waiting:
            del self.lines[place, standing]
            self.turns[standing].pop(place, None)
