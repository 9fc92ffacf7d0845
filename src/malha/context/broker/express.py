"""The express lane: requests that need one or two statements of the database run in the event loop itself, without a thread.

Who asks, the words and the rules of the tenant come from memory; where memory has no answer (NotAtHand) the request takes the usual
road, which asks the database and so fills it. Source of the figures: docs/performance.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn, cast
from weakref import WeakKeyDictionary

import psycopg
from starlette.requests import Request
from starlette.types import Scope

from malha.context.broker import auth, door, heads, places, pool
from malha.context.broker.contracts import Asked, Busy
from malha.context.broker.line import Line, Told
from malha.context.broker.remembered import Rows
from malha.context.broker.turns import Turns
from malha.context.store import express as store
from malha.foundation.access import reach
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.telemetry import service as telemetry
from malha.foundation.tokens import service as tokens
from malha.kernel.errors import Unavailable
from malha.kernel.text import msg
from malha.vocabulary.contexts.contracts import ContextToFetch

SIZE = 8


#: how often what is remembered for a second is looked at again
LOOK_SECONDS = 0.4
#: what looks again, each with a connection in autocommit
looks: list[Callable[[psycopg.Connection[Any]], object]] = [partial(tokens.lately_revoked, fresh=True)]


def _look() -> None:
    with pool.connection() as conn:
        for look in looks:
            look(conn)


class NotAtHand(Exception):
    """Memory has no answer; the database has to be asked."""


class _Memory:
    """Stands where a connection is expected, for work that finds everything remembered."""

    def __init__(self, info: SimpleNamespace) -> None:
        self.info = info

    def __getattr__(self, name: str) -> NoReturn:
        raise NotAtHand(name)


class Lane:
    """A few connections of one event loop."""

    def __init__(self) -> None:
        self.idle: list[Line] = []
        self.turns = Turns(SIZE)
        self.rows = Rows()
        self.dsn = database.dsn(Role.APP)
        self.memory: psycopg.Connection[Any] | None = None
        self.used = False
        self.fresh: asyncio.Task[None] | None = None

    async def fetch(self, statement: str, params: Any) -> tuple[Any, ...] | None:
        """The first row of one statement, which is a transaction of its own. Raises Busy, and what the database says."""
        told = await self.ask(statement, params)
        return None if told is None else told.row()

    async def ask(self, statement: str, params: Any, tenant_id: int | None = None) -> Told | None:
        """As `fetch`, with the row as it came; with `tenant_id` the statement sees what is that tenant's."""
        telemetry.note(statement)
        key = pool.account.get()
        if not self.turns.at_once(key):
            await self.turns.wait(key)
        try:
            line = self._idle() or await self._another()
            try:
                return await line.fetch(statement, params, tenant_id)
            finally:
                if not line.closed:
                    self.idle.append(line)
        finally:
            self.turns.give(key)

    def _idle(self) -> Line | None:
        """A connection that has nothing to do and still holds."""
        while self.idle:
            if not (line := self.idle.pop()).closed:
                return line
        return None

    async def _another(self) -> Line:
        """One more connection. Raises Busy where the server has none left."""
        try:
            return await Line.open(self.dsn)
        except psycopg.OperationalError as reason:
            raise Busy(msg("O serviço está ocupado. Tente daqui a {seconds} s."), seconds=1) from reason

    async def open(self) -> None:
        """Make the first connection, whose names are those of all."""
        line = await Line.open(self.dsn)
        info = line.conn.info
        self.memory = cast("psycopg.Connection[Any]", _Memory(SimpleNamespace(host=info.host, port=info.port, dbname=info.dbname)))
        self.idle.append(line)
        self.fresh = asyncio.create_task(self._stay_fresh())

    async def _stay_fresh(self) -> None:
        """While somebody asks, look again at what memory may hold for a second only, before it is over: else all who ask then would go the usual road."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.used:
                self.used = False
                with suppress(psycopg.Error, Unavailable):
                    await pool.run_apart(_look)

    async def close(self) -> None:
        """Close every connection."""
        if self.fresh is not None:
            self.fresh.cancel()
        for line in self.idle:
            line.close()
        self.idle.clear()


_lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, Lane] = WeakKeyDictionary()


async def open_lane() -> None:
    """Open the lane of this event loop, at the start of the plane. Without a database it stays closed."""
    lane = Lane()
    try:
        await lane.open()
    except psycopg.OperationalError:
        return
    _lanes[asyncio.get_running_loop()] = lane


async def close_lane() -> None:
    """Close the lane of this event loop."""
    lane = _lanes.pop(asyncio.get_running_loop(), None)
    if lane is not None:
        await lane.close()


def lane() -> Lane | None:
    """The lane of this event loop, None where it has none."""
    return _lanes.get(asyncio.get_running_loop())


def account(scope: Scope) -> Hashable:
    """On whose account a request is: the tenants of its token, where that is known already, else the address that it comes from.

    Leaves in the scope what its head says.
    """
    head = scope["malha.heads"] = heads.of(scope)
    here = lane()
    if here is not None and here.memory is not None and (claims := auth.remembered(here.memory.info.dbname, head, head.cookies)) is not None:
        return claims.tenants
    client = scope.get("client")
    return str(client[0]) if client else ""


def asked(here: Lane, request: Request, capability: Capability, source: Any = None) -> Asked | None:
    """Who asks, with a right that is required, where memory tells and nothing limits what they see; else None."""
    assert here.memory is not None
    here.used = True
    if places.SCOPE in request.scope:
        return None
    try:
        who = door.asked(here.memory, request, source)
    except (NotAtHand, ContextToFetch):
        return None
    who.principal.require(capability)
    return who if reach.current() is None else None


async def named(here: Lane, who: Asked, uri: str) -> store.Row | None:
    """The row of an entity, None where there is none."""
    told = await found(here, who, uri)
    return None if told is None else told.row()


async def found(here: Lane, who: Asked, uri: str) -> Told | None:
    """As `named`, with the row as it came."""
    return await here.ask(store.NAMED, (who.tenant_id, uri), who.tenant_id)
