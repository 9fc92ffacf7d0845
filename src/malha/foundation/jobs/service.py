"""Work that can wait: jobs in PostgreSQL, deferred in the transaction of whoever wants them done.

A job is coarse (a load, a report, a compaction), never one per row. Its arguments are ids. It may run twice
(a worker died), so it repeats safely.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import wraps
from typing import Any, LiteralString

import psycopg
from django.db import transaction
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from malha.foundation.database import django as database
from malha.foundation.database import service as connections
from malha.foundation.jobs.contracts import ATTEMPTS, ID_LENGTH, Id, NotAnId
from malha.foundation.tenancy import service as tenancy
from malha.kernel.text import msg

_functions: dict[str, Callable[..., Any]] = {}


def tenant_job[**P, T](
    name: str, *, queue: str = "default", schedule: str | None = None, scoped: bool = True, attempts: int = ATTEMPTS
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a function `(tenant_id, **ids)` a job that runs in the tenant's scope.

    `schedule` (cron, UTC) also runs it for every tenant at those times. `scoped=False` leaves transactions to the
    function, for work that lasts: an open transaction holds back events of everybody. Tried `attempts` times,
    waiting longer each time.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def run(tenant_id: int, **ids: Id) -> None:
            with _scope(tenant_id, scoped=scoped):
                function(tenant_id, **ids)  # type: ignore[arg-type]  # P is (tenant_id, **ids) by contract

        _register(name, run, queue, attempts)
        if schedule:

            def each(timestamp: int) -> None:
                """Defer the job for every tenant."""
                del timestamp
                for tenant_id in tenancy.all_ids():
                    defer(name, tenant_id=tenant_id, once=f"{name}:{tenant_id}")

            _register(f"{name}.each", each, queue, attempts)
            app.periodic(cron=schedule, periodic_id=f"{name}.each")(app.tasks[f"{name}.each"])
        return function

    return decorate


def periodic(cron: str, name: str, *, queue: str = "default") -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Run a function without arguments at these times (cron, UTC), for the platform as a whole."""

    def decorate(function: Callable[[], Any]) -> Callable[[], Any]:
        def tick(timestamp: int) -> None:
            """The function; the time it was due at is not needed."""
            del timestamp
            function()

        _register(name, tick, queue, 1)
        app.periodic(cron=cron, periodic_id=name)(app.tasks[name])
        _functions[name] = function
        return function

    return decorate


def by_tenant(tenants: LiteralString, work: Callable[[psycopg.Connection[Any], int], object]) -> None:
    """Do `work(connection, tenant id)` for each tenant that a statement tells, each in a transaction of its own in the tenant's scope."""
    with connections.connect(autocommit=True) as conn:
        for (tenant_id,) in conn.execute(tenants).fetchall():
            with connections.tenant_transaction(conn, [tenant_id]):
                work(conn, tenant_id)


def _register(name: str, function: Callable[..., Any], queue: str, attempts: int) -> None:
    app.task(name=name, queue=queue, retry=RetryStrategy(max_attempts=attempts - 1, exponential_wait=5) if attempts > 1 else False)(function)
    _functions[name] = function


def _scope(tenant_id: int, *, scoped: bool) -> AbstractContextManager[None]:
    return database.scope(tenant_id) if scoped else nullcontext()


def defer(name: str, *, tenant_id: int, at: datetime | None = None, once: str = "", in_turn: str = "", **ids: Id) -> int | None:
    """Have a job done by the worker, after the transaction that is open has committed. Returns the job's id.

    `at` waits until then. `once` names a job of which one is enough in the queue (None is returned when it waits
    already); `in_turn` names those that run one after the other. Raises NotAnId for arguments that are no ids.
    """
    for key, value in ids.items():
        _require_id(key, value)
    task = app.configure_task(name, schedule_at=at, queueing_lock=once or None, lock=in_turn or None)
    try:
        with transaction.atomic():  # a refusal undoes itself, not what the caller did before
            return task.defer(tenant_id=tenant_id, **ids)
    except AlreadyEnqueued:
        return None


def _require_id(key: str, value: object) -> None:
    if value is None or isinstance(value, int):
        return
    if not isinstance(value, str) or len(value) > ID_LENGTH or "@" in value or "\n" in value:
        raise NotAnId(msg("O argumento {key} de um trabalho tem de ser um identificador."), key=key)


def run_now(name: str, **arguments: Id) -> None:
    """Run a job here and now, without the queue: for commands and tests."""
    _functions[name](**arguments)


def names() -> list[str]:
    """All jobs that rooms have declared."""
    return sorted(_functions)
