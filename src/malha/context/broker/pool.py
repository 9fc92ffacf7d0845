"""Connections and threads of the plane: work that waits for PostgreSQL runs in threads, one connection each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

import anyio.to_thread
import psycopg
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from malha.context.broker.turns import Turns
from malha.foundation.database import pools
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.kernel.errors import Unavailable
from malha.kernel.text import msg

SIZE = 8
APART = 4
WAIT_SECONDS = 10.0
STATEMENT_SECONDS = 30
_lock = threading.Lock()
_pools: dict[str, pools.Pool] = {}
_limiter: RunVar[CapacityLimiter] = RunVar("plane")
_turns: RunVar[Turns] = RunVar("turns of the plane")
_all_turns: WeakSet[Turns] = WeakSet()
#: on whose account the running request is; see `express.account`
account: ContextVar[Hashable] = ContextVar("account", default="")
_apart: RunVar[CapacityLimiter] = RunVar("plane apart")


def _configure(conn: psycopg.Connection[Any]) -> None:
    conn.autocommit = True
    conn.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
    conn.execute("SET idle_in_transaction_session_timeout = '60s'")


def _pool() -> pools.Pool:
    dsn = database.dsn(Role.APP)
    with _lock:
        if dsn not in _pools:
            _pools[dsn] = pools.make(Role.APP, "plane", least=1, most=SIZE, wait_seconds=WAIT_SECONDS, idle_seconds=300, configure=_configure)
        return _pools[dsn]


@contextmanager
def connection() -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit for the block. Raises Unavailable when all are busy for ten seconds."""
    try:
        with _pool().connection() as conn:
            yield conn
    except PoolTimeout as reason:
        raise Unavailable(msg("O serviço está ocupado. Tente daqui a instantes.")) from reason


@contextmanager
def scoped(conn: psycopg.Connection[Any], tenant_id: int) -> Iterator[psycopg.Connection[Any]]:
    """A tenant's transaction for reading, in few round trips: its beginning and scope travel with the first statement.

    Not for writing: row counts are not known inside a pipeline.
    """
    try:
        with conn.pipeline():
            conn.execute("BEGIN")  # by hand: the driver's own transaction waits for the server four times more inside a pipeline
            conn.execute("SELECT set_config('malha.tenants', %s, true)", [database.scope_value([tenant_id])])
            yield conn
            conn.execute("COMMIT")
    finally:
        if not conn.closed and conn.info.transaction_status is not TransactionStatus.IDLE:
            conn.rollback()


async def run[T](work: Callable[[], T]) -> T:
    """Run `work` in one of as many threads as there are connections, when it is the turn of whose account it is on. Raises as `Turns.take`."""
    async with turns().turn(account.get()):
        return await _threads(work, _limiter, SIZE)


def waiting() -> int:
    """How many requests wait for a thread, and a connection, in this event loop's process."""
    return sum(each.waiting for each in _all_turns)


def turns() -> Turns:
    """The turns of the threads of this event loop."""
    found = _turns.get(None)
    if found is None:
        found = Turns(SIZE)
        _turns.set(found)
        _all_turns.add(found)
    return found


async def run_apart[T](work: Callable[[], T]) -> T:
    """Run `work`, which waits for the network, in a thread of its own few: nobody who waits for the database waits for it."""
    return await _threads(work, _apart, APART)


async def _threads[T](work: Callable[[], T], kept: RunVar[CapacityLimiter], size: int) -> T:
    limiter = kept.get(None)
    if limiter is None:
        limiter = CapacityLimiter(size)
        kept.set(limiter)
    return await anyio.to_thread.run_sync(work, limiter=limiter)


def close() -> None:
    """Close every connection, at shutdown."""
    with _lock:
        for pool in _pools.values():
            pool.close(timeout=2)
        _pools.clear()
