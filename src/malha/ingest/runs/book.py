"""The book of loads, for rooms that write by themselves: begin, go on, say how far, end. Django-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from malha.ingest.runs import queries
from malha.ingest.runs.contracts import NEXT, CannotResume, Counts, Run, RunBusy, RunKind, RunState
from malha.kernel.text import msg
from malha.kernel.time import now

#: first half of the key of the advisory lock that one process at a time holds on a load
LOCK = 8731 << 32

get, several = queries.get, queries.several


def start(
    conn: psycopg.Connection[Any], tenant_id: int, source: str, *, title: str = "", entity_type: str = "", actor: str = "", kind: RunKind = RunKind.OTHER
) -> int:
    """A run for rooms that write by themselves (a simulator, an API load): its id goes into `WriteOptions.run_id`."""
    run_id = queries.insert(conn, tenant_id, kind=kind, title=title or source, type=entity_type, actor=actor)
    queries.update(conn, tenant_id, run_id, state="running", started_at=now(), heard_at=now())
    return run_id


def finish(
    conn: psycopg.Connection[Any], tenant_id: int, run_id: int, counts: Counts, error: str = "", *, notes: Sequence[str] = (), stopped: bool = False
) -> None:
    """End a run begun by `start`."""
    state = RunState.STOPPED if stopped else RunState.FAILED if error else RunState.DONE
    queries.update(conn, tenant_id, run_id, state=state.value, counts=counts, error=error, notes=list(notes), finished_at=None if stopped else now())


@contextmanager
def taken(conn: psycopg.Connection[Any], run_id: int) -> Iterator[None]:
    """Have a load for this session (in autocommit) alone while the block runs. Raises RunBusy when another process has it."""
    if not is_mine(conn, run_id):
        raise RunBusy(msg("A carga {id} já está a decorrer."), id=run_id)
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):  # a session that ended has let go of it
            conn.execute("SELECT pg_advisory_unlock(%s)", [LOCK + run_id])


def resume(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> Run:
    """Say that a load which was started, stopped, failed or cut short runs now. Raises CannotResume for one that has ended for good."""
    run = queries.get(conn, tenant_id, run_id)
    if RunState.RUNNING not in NEXT[run.state]:
        raise CannotResume(msg("A carga {id} já terminou: não há nada para continuar."), id=run_id)
    queries.update(
        conn, tenant_id, run_id, state="running", started_at=run.started_at or now(), heard_at=now(), finished_at=None, tries=run.tries + 1, error=""
    )
    return run


def hear(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, counts: Counts, position: Mapping[str, int]) -> bool:
    """Note how far a load is. Returns whether somebody wants it to stop."""
    queries.update(conn, tenant_id, run_id, counts=counts, position=dict(position), heard_at=now())
    row = conn.execute("SELECT stop_asked FROM ingest_run WHERE tenant_id = %s AND id = %s", [tenant_id, run_id]).fetchone()
    return bool(row and row[0])


def is_mine(conn: psycopg.Connection[Any], run_id: int) -> bool:
    """Have a load for this session alone. Returns whether nobody else has it."""
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK + run_id]).fetchone()
    return bool(row and row[0])
