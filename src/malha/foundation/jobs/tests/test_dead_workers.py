"""A worker ends when asked, whatever it has in hand; what it leaves is done by another."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from malha.foundation.database import django as database
from malha.foundation.jobs import service
from malha.foundation.jobs.contracts import ATTEMPTS
from malha.foundation.jobs.jobs import DEAD_SECONDS, take_back

#: a worker whose job would take an hour, in the process that the worker's own module makes
SLOW = """
import time
from malha.project import worker
original = worker._do_jobs
def sleep(tenant_id):
    print("begun", flush=True)
    time.sleep(3600)
async def with_slow_job(app, stop):
    from malha.foundation.jobs import service
    service.tenant_job("test.slow", scoped=False)(sleep)
    await original(app, stop)
worker._do_jobs = with_slow_job
worker.run()
"""


@service.tenant_job("test.slow", scoped=False)
def slow(tenant_id: int) -> None:
    """The other process's is the slow one."""


@service.tenant_job("test.other", scoped=False)
def other(tenant_id: int) -> None:
    """Nothing."""


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    ProcrastinateJob.objects.using("owner").filter(task_name__startswith="test.")._raw_delete("owner")


def owned(statement: str, *values: object) -> list[tuple[object, ...]]:
    """What the owner of the tables sees or does."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def taken_back() -> None:
    """Run the job that looks for jobs of the dead, as a worker does."""
    with app.replace_connector(app.connector.get_worker_connector()) as worker:  # type: ignore[attr-defined]  # the Django connector has it

        async def once() -> None:
            async with worker.open_async():
                await take_back.defer_async(timestamp=0)
                await worker.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False, queues=["default"])

        asyncio.run(once())


def in_hand(tenant_id: int, *, silent_for: float, attempts: int = 0, once: str = "") -> int:
    """A job that a worker took and then was not heard of again."""
    job = service.defer("test.other", tenant_id=tenant_id, once=once)
    (worker,) = owned("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => %s)) RETURNING id", silent_for)
    owned("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s, attempts = %s WHERE id = %s", worker[0], attempts, job)
    assert job is not None
    return job


def status(job: int) -> str | None:
    found = owned("SELECT status::text FROM procrastinate_jobs WHERE id = %s", job)
    return str(found[0][0]) if found else None


def test_a_worker_with_a_long_job_ends_in_time_and_its_job_is_kept(new_tenant):
    tenant = new_tenant()
    job = service.defer("test.slow", tenant_id=tenant.id)
    process = subprocess.Popen([sys.executable, "-c", SLOW], env=os.environ.copy(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)  # a terminal asks too
        assert process.wait(60) == 0
        assert 6 < time.monotonic() - asked < 14, "it is given time, and then no more"
    finally:
        process.kill()
    assert job is not None
    assert status(job) == "doing"
    owned("UPDATE procrastinate_workers w SET last_heartbeat = now() - interval '1 hour' FROM procrastinate_jobs j WHERE j.id = %s AND w.id = j.worker_id", job)
    taken_back()
    assert status(job) == "succeeded", "done by the next worker"


def test_the_jobs_of_the_living_are_theirs(new_tenant):
    job = in_hand(new_tenant().id, silent_for=DEAD_SECONDS / 4)
    taken_back()
    assert status(job) == "doing"


def test_one_of_its_kind_that_waits_is_enough(new_tenant):
    tenant = new_tenant()
    job = in_hand(tenant.id, silent_for=DEAD_SECONDS * 2, once="y")
    with database.scope(tenant.id):
        waits = service.defer("test.other", tenant_id=tenant.id, once="y", at=datetime(2999, 1, 1, tzinfo=UTC))
    taken_back()
    assert waits is not None
    assert (status(job), status(waits)) == (None, "todo")


def test_what_ends_every_worker_is_not_tried_for_ever(new_tenant):
    job = in_hand(new_tenant().id, silent_for=DEAD_SECONDS * 2, attempts=ATTEMPTS - 1)
    taken_back()
    assert status(job) == "failed"
