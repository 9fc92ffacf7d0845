"""Who has room beside whom: a receiver that hangs, and one that many subscriptions share, leave room to the others."""

import asyncio

from malha.context.subscriptions import slots
from malha.context.subscriptions.contracts import Delivery
from malha.context.subscriptions.slots import AT_ONE_PLACE, MOST, ROOM, Slots, Standing


async def hold(room, uri, until):
    async with room.room(uri):
        await until.wait()


async def passes(room, uri):
    async with asyncio.timeout(5), room.room(uri):
        return True


def test_hanging_receivers_leave_room_to_one_that_answers(monkeypatch):
    monkeypatch.setattr(slots, "SLOW_SECONDS", 0.05)

    async def run():
        room, until = Slots(), asyncio.Event()
        room.learn("http://good/x", Standing.PROVEN)
        dead = [asyncio.create_task(hold(room, f"http://dead{n}/x", until)) for n in range(300)]
        await asyncio.sleep(0)
        assert await passes(room, "http://good/x")
        await asyncio.sleep(0.5)
        assert await passes(room, "http://good/x")
        assert sum(room.busy.values()) <= MOST
        assert room.busy[Standing.PROVEN] == 0
        until.set()
        await asyncio.gather(*dead)
        assert set(room.busy.values()) == {0}
        assert not room.lines
        assert not any(room.turns.values())

    asyncio.run(run())


def test_a_receiver_that_hangs_all_at_once_gives_back_what_it_held(monkeypatch):
    monkeypatch.setattr(slots, "SLOW_SECONDS", 0.05)

    async def run():
        room, until = Slots(), asyncio.Event()
        for n in range(5):
            room.learn(f"http://was-good-{n}/x", Standing.PROVEN)
        stuck = [asyncio.create_task(hold(room, f"http://was-good-{n % 5}/x", until)) for n in range(100)]
        await asyncio.sleep(0)
        assert room.busy[Standing.PROVEN] == ROOM[Standing.PROVEN]
        room.learn("http://good/x", Standing.PROVEN)
        assert await passes(room, "http://good/x")
        until.set()
        await asyncio.gather(*stuck)
        assert not room.lines

    asyncio.run(run())


def test_one_place_takes_no_more_than_its_share_and_places_take_turns():
    async def run():
        room, until = Slots(), asyncio.Event()
        many = [asyncio.create_task(hold(room, f"http://busy/{n}", until)) for n in range(200)]
        await asyncio.sleep(0)
        assert room.busy[Standing.NEW] == AT_ONE_PLACE[Standing.NEW]
        assert await passes(room, "http://other/x")
        until.set()
        await asyncio.gather(*many)
        assert not room.lines

    asyncio.run(run())


def test_an_answer_in_time_proves_and_moves_those_who_wait():
    async def run():
        room, until = Slots(), asyncio.Event()
        uri = "http://new/x"
        many = [asyncio.create_task(hold(room, uri, until)) for _ in range(20)]
        await asyncio.sleep(0)
        assert room.busy == {Standing.PROVEN: 0, Standing.NEW: 4, Standing.SLOW: 0}
        room.heard(uri, Delivery(ok=False, status=500, seconds=0.1))
        assert room.busy == {Standing.PROVEN: 16, Standing.NEW: 4, Standing.SLOW: 0}
        room.heard(uri, Delivery(ok=False, error="refused", seconds=0.0))
        assert room.standing(uri) is Standing.SLOW
        until.set()
        await asyncio.gather(*many)
        assert not room.lines

    asyncio.run(run())


def test_who_gives_up_waiting_leaves_nothing_behind():
    async def run():
        room, until = Slots(), asyncio.Event()
        held = [asyncio.create_task(hold(room, "http://new/x", until)) for _ in range(AT_ONE_PLACE[Standing.NEW])]
        await asyncio.sleep(0)
        waits = asyncio.create_task(hold(room, "http://new/x", until))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        until.set()
        await asyncio.gather(*held)
        assert await passes(room, "http://new/x")
        assert set(room.busy.values()) == {0}
        assert not room.lines

    asyncio.run(run())
