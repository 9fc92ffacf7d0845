"""Pools of connections that end with the process.

A pool that nobody closed holds up the interpreter's end by five seconds for each of its threads, since these have ended
before it asks them to: a worker that was told to stop would be killed instead.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg_pool import ConnectionPool

from malha.foundation.database import service
from malha.foundation.database.contracts import Role

type Pool = ConnectionPool[psycopg.Connection[Any]]
_open: WeakSet[Pool] = WeakSet()


def make(
    role: Role,
    name: str,
    *,
    least: int = 0,
    most: int,
    wait_seconds: float = 30,
    idle_seconds: float = 600,
    configure: Callable[[psycopg.Connection[Any]], None] | None = None,
    checked: bool = False,
) -> Pool:
    """An open pool of connections as `role`, `least` to `most` of them; whoever waits longer than `wait_seconds` for one gets PoolTimeout.

    What is not used for `idle_seconds` is closed, down to `least`; `configure` is called on each new one, and `checked` asks each whether it lives before it is lent.
    """
    made: Pool = ConnectionPool(
        service.dsn(role),
        min_size=least,
        max_size=most,
        max_idle=idle_seconds,
        timeout=wait_seconds,
        open=True,
        name=name,
        configure=configure,
        check=ConnectionPool.check_connection if checked else None,
    )
    _open.add(made)
    return made


@atexit.register
def _close_all() -> None:
    for each in list(_open):
        each.close(timeout=2)
