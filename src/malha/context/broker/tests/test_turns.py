import asyncio

import pytest
from django.conf import settings

from malha.context.broker import auth, express, turns
from malha.context.broker.contracts import Busy, TooManyRequests
from malha.context.broker.turns import Heard, Turns
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens


class Town:
    """Asks for turns and notes when it had them."""

    def __init__(self, one: Turns, log: list[str]) -> None:
        self.turns, self.log = one, log

    async def ask(self, name: str, until: asyncio.Event) -> None:
        async with self.turns.turn(name):
            self.log.append(name)
            await until.wait()


def heard(*names: str) -> Heard:
    found = Heard(lambda: 0.0)
    for name in names:
        found.note(name)
    return found


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_one_alone_may_have_every_turn():
    async def walk():
        log, end = [], asyncio.Event()
        town = Town(Turns(4, heard("a")), log)
        tasks = [asyncio.create_task(town.ask("a", end)) for _ in range(6)]
        await settle()
        assert log == ["a"] * 4
        end.set()
        await asyncio.gather(*tasks)
        assert (log, town.turns.free, town.turns.running, town.turns.waiting) == (["a"] * 6, 4, {}, 0)

    asyncio.run(walk())


def test_a_flood_leaves_the_others_their_part():
    async def walk():
        log, end = [], asyncio.Event()
        town = Town(Turns(4, heard("flood", "b", "c")), log)
        tasks = [asyncio.create_task(town.ask("flood", end)) for _ in range(50)]
        await settle()
        tasks += [asyncio.create_task(town.ask(name, end)) for name in ("b", "c")]
        await settle()
        assert log == ["flood", "b", "c"]
        end.set()
        await asyncio.gather(*tasks)
        assert town.turns.free == 4

    asyncio.run(walk())


def test_whoever_has_fewest_comes_next():
    async def walk():
        log = []
        one = Turns(2, heard("flood"))
        town, ends = Town(one, log), [asyncio.Event() for _ in range(6)]
        tasks = [asyncio.create_task(town.ask("flood", ends[n])) for n in range(4)]
        await settle()
        one.asking.note("b")
        tasks.append(asyncio.create_task(town.ask("b", ends[4])))
        await settle()
        assert log == ["flood", "flood"]
        ends[0].set()
        await settle()
        assert log == ["flood", "flood", "b"]
        for end in ends:
            end.set()
        await asyncio.gather(*tasks)
        assert one.free == 2

    asyncio.run(walk())


def test_who_goes_away_keeps_no_turn():
    async def walk():
        log, end = [], asyncio.Event()
        town = Town(Turns(1, heard("a")), log)
        first, second, third = (asyncio.create_task(town.ask("a", end)) for _ in range(3))
        await settle()
        second.cancel()
        await settle()
        assert town.turns.waiting == 1
        end.set()
        third.cancel()
        await asyncio.gather(first, second, third, return_exceptions=True)
        assert (town.turns.free, town.turns.running, town.turns.waiting) == (1, {}, 0)

    asyncio.run(walk())


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(turns, "WAITING_OF_ONE", 2)
    monkeypatch.setattr(turns, "WAITING", 3)

    async def walk():
        end = asyncio.Event()
        town = Town(Turns(1, heard("a")), [])
        tasks = [asyncio.create_task(town.ask("a", end)) for _ in range(3)]
        await settle()
        with pytest.raises(TooManyRequests):
            await town.turns.take("a")
        tasks.append(asyncio.create_task(town.ask("b", end)))
        await settle()
        with pytest.raises(Busy):
            await town.turns.take("c")
        end.set()
        await asyncio.gather(*tasks)
        assert (town.turns.free, dict(town.turns.queues)) == (1, {})

    asyncio.run(walk())


def test_a_wait_without_end_is_none(monkeypatch):
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.01)

    async def walk():
        one = Turns(1, heard("a"))
        await one.take("a")
        with pytest.raises(Busy):
            await one.take("a")
        one.give("a")
        assert (one.free, one.waiting, dict(one.queues)) == (1, 0, {})

    asyncio.run(walk())


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_whoever_spent_its_part_of_the_time_rests_while_others_ask():
    clock = Clock()
    asking = Heard(clock)
    spent = turns.Spent(asking)
    for name in ("flood", *(f"town {n}" for n in range(40))):
        asking.note(name)
    spent.add("flood", turns.BURST_SECONDS)
    spent.add("town 1", 0.1)
    assert (spent.rest("flood") > 0, spent.rest("town 1"), spent.rest("town 2")) == (True, 0.0, 0.0)
    spent.add("flood", 60.0)
    assert spent.rest("flood") == pytest.approx(turns.DEBT_SECONDS / turns.LEAST_PART)  # a long turn is paid for, but not for ever
    clock.at = 60.0
    assert spent.rest("flood") == 0.0  # nobody else asks any more
    asking.note("flood")
    asking.note("town 1")
    assert spent.rest("flood") == 0.0  # and much has come back meanwhile


def test_of_two_who_ask_each_has_half_of_the_time():
    clock = Clock()
    asking = Heard(clock)
    spent = turns.Spent(asking)
    asking.note("a")
    asking.note("b")
    spent.add("a", turns.BURST_SECONDS + 0.2)
    assert spent.rest("a") == pytest.approx(0.4)
    clock.at = 0.5
    assert spent.rest("a") == 0.0


def test_who_rests_is_called_when_its_time_has_come():
    async def walk():
        log, end = [], asyncio.Event()
        end.set()
        one = Turns(2, Heard())
        town = Town(one, log)
        one.asking.note("other")
        one.asking.note("flood")
        one.spent.add("flood", turns.BURST_SECONDS + 0.02)
        waits = asyncio.create_task(town.ask("flood", end))
        await settle()
        assert log == []
        await town.ask("other", end)
        assert log == ["other"]
        await asyncio.wait_for(waits, 10)
        assert (log, one.free, one.waiting) == (["other", "flood"], 2, 0)

    asyncio.run(walk())


def test_whoever_would_wait_in_vain_is_told_at_once():
    async def walk():
        clock = Clock()
        one = Turns(2, Heard(clock))
        for n in range(40):
            one.asking.note(n)
        one.check(0)
        one.spent.add(0, 2 * turns.BURST_SECONDS)
        one.check(0)  # rests for five seconds: that can be waited for
        waits = asyncio.create_task(one.take(0))
        await settle()
        with pytest.raises(TooManyRequests) as told:
            one.check(0)
        assert told.value.params["seconds"] > turns.WAIT_SECONDS
        one.check(1)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        one.later.cancel()

    asyncio.run(walk())


def test_who_asks_alone_owes_nothing_and_has_nothing_put_by():
    clock = Clock()
    asking = Heard(clock)
    spent = turns.Spent(asking)
    asking.note("heavy")
    for _ in range(10):
        spent.add("heavy", turns.BURST_SECONDS)
    asking.note("other")
    clock.at = 0.1
    assert spent.rest("heavy") == 0.0
    spent.add("heavy", 0.2)
    assert spent.rest("heavy") == pytest.approx(0.3)
    clock.at = turns.LATELY_SECONDS + 0.01
    assert spent.rest("heavy") == 0.0  # nobody else asked for a while


def test_a_refusal_is_told_a_moment_later_and_so_are_not_too_many(monkeypatch):
    monkeypatch.setattr(turns, "WAITING_OF_ONE", 0)
    monkeypatch.setattr(turns, "REFUSED_OF_ONE", 2)

    async def walk():
        one = Turns(1, heard("a"))
        held = [asyncio.create_task(one.admit("a")) for _ in range(2)]
        await settle()
        with pytest.raises(TooManyRequests):
            await one.admit("a")
        assert ([task.done() for task in held], one.refused["a"]) == ([False, False], 2)
        held[0].cancel()
        told = await asyncio.gather(*held, return_exceptions=True)
        assert ([type(each) for each in told], dict(one.refused)) == ([asyncio.CancelledError, TooManyRequests], {})

    asyncio.run(walk())


def test_a_request_is_on_the_account_of_the_tenants_of_its_token(new_tenant):
    tenant = new_tenant()
    auth.forget()
    with database.connect(autocommit=True) as conn:
        token = tokens.issue(conn, settings.SECRET_KEY, subject="client:test", tenants=[tenant.id], capabilities=[Capability.DATA_READ])

    async def work():
        await express.open_lane()
        try:
            scope = {"headers": [(b"authorization", f"Bearer {token}".encode())], "client": ("203.0.113.9", 1)}
            cookie = {"headers": [(b"cookie", f"other=1; {auth.COOKIE}={token}".encode())], "client": ("203.0.113.9", 1)}
            before = express.account(scope)
            with database.connect(autocommit=True) as conn:
                auth.principal(conn, {"authorization": f"Bearer {token}"}, {})
            return before, express.account(scope), express.account(cookie), express.account({"headers": [], "client": None})
        finally:
            await express.close_lane()

    assert asyncio.run(work()) == ("203.0.113.9", (tenant.id,), (tenant.id,), "")
