"""Sources that speak by themselves: set up, ask when due, wait longer after each failure, write with a run of their own.

The connector only says `NotReady`; how long to wait is decided here, and said once.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from malha.context.store import service as store
from malha.context.store.contracts import WriteOptions, WriteOutcome
from malha.foundation.audit import service as audit
from malha.foundation.database import service as database
from malha.foundation.tenancy import service as tenancy
from malha.ingest.quality import service as quality
from malha.ingest.runs import holding_to_model, queries, service
from malha.ingest.runs.contracts import Counts, RunBusy, RunKind, RunResult, RunState, Source, UnknownRun
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.sources.base.contracts import Connector, Fetcher, NotReady, SourceBatch, SourceChanged
from malha.sources.base.http import HttpFetcher

#: connector → where it is; a new connector is one line here
CONNECTORS = {"ipma": "malha.sources.ipma.service"}
LONGEST_WAIT_SECONDS = 6 * 3600
FIRST_WAIT_SECONDS = 60
LOCK = 8732 << 32


def connector(name: str) -> Connector:
    """The connector called `name`. Raises UnknownRun for one that does not exist."""
    if name not in CONNECTORS:
        raise UnknownRun(msg("Não há nenhuma fonte chamada {name}."), name=name)
    made: Connector = import_module(CONNECTORS[name]).CONNECTOR
    return made


def set_up(conn: psycopg.Connection[Any], tenant_id: int, name: str, settings: Mapping[str, str], actor: str, every_seconds: int | None = None) -> Source:
    """Set a source up, or change how it is set up; it is asked at once."""
    manifest = connector(name).manifest
    conn.execute(
        "INSERT INTO ingest_source (tenant_id, connector, settings, every_seconds) VALUES (%s, %s, %s, %s) ON CONFLICT (tenant_id, connector)"
        " DO UPDATE SET settings = excluded.settings, every_seconds = excluded.every_seconds, enabled = true, failures = 0, last_error = '', next_at = now()",
        [tenant_id, name, Jsonb(dict(settings)), every_seconds or manifest.every_seconds],
    )
    audit.record_on(conn, tenant_id, actor, "ingest.set_up_source", f"source:{name}", {})
    return next(source for source in queries.sources(conn, tenant_id) if source.connector == name)


def switch(conn: psycopg.Connection[Any], tenant_id: int, source_id: int, *, enabled: bool, actor: str) -> None:
    """Let a source speak, or silence it; nothing that it said is lost."""
    queries.update_source(conn, tenant_id, source_id, enabled=enabled, next_at=now())
    audit.record_on(conn, tenant_id, actor, "ingest.switch_source", f"source:{source_id}", {"enabled": enabled})


def sources(conn: psycopg.Connection[Any], tenant_id: int) -> list[Source]:
    """The sources of a tenant."""
    return queries.sources(conn, tenant_id)


def due(conn: psycopg.Connection[Any], tenant_id: int, at: datetime | None = None) -> list[int]:
    """The sources whose time has come."""
    moment = at or now()
    return [source.id for source in queries.sources(conn, tenant_id) if source.enabled and source.next_at <= moment]


def late(conn: psycopg.Connection[Any], tenant_id: int, at: datetime | None = None) -> list[Source]:
    """The sources that have been silent for longer than their manifest allows."""
    moment = at or now()
    found = []
    for source in queries.sources(conn, tenant_id):
        silence = timedelta(seconds=connector(source.connector).manifest.silent_after_seconds or 2 * source.every_seconds)
        if source.enabled and (source.last_heard_at is None or moment - source.last_heard_at > silence):
            found.append(source)
    return found


def wait_seconds(failures: int, asked: float | None, every_seconds: int) -> float:
    """How long to wait after `failures` in a row: doubling from a minute, never shorter than what the source asked for, with some scatter."""
    doubled: float = min(FIRST_WAIT_SECONDS * 2 ** max(0, failures - 1), LONGEST_WAIT_SECONDS, max(every_seconds * 4, FIRST_WAIT_SECONDS))
    return max(asked or 0.0, doubled * random.uniform(0.8, 1.2))  # noqa: S311 -- scatter, not secrecy


def fetch(tenant_id: int, source_id: int, fetcher: Fetcher | None = None) -> RunResult:
    """Ask one source for what is new and write it. A source that does not answer is a failed run with a sentence, not an error."""
    begun = time.monotonic()
    with database.connect(autocommit=True) as conn:
        row = conn.execute("SELECT pg_try_advisory_lock(%s)", [LOCK + source_id]).fetchone()
        if not (row and row[0]):
            raise RunBusy(msg("A fonte {id} já está a ser lida."), id=source_id)
        with database.tenant_transaction(conn, [tenant_id]):
            source = next((one for one in queries.sources(conn, tenant_id) if one.id == source_id), None)
            if source is None:
                raise UnknownRun(msg("Não há nenhuma fonte com o número {id}."), id=source_id)
            made = connector(source.connector)
            run_id = queries.insert(conn, tenant_id, kind=RunKind.SOURCE, title=made.manifest.label.pt, source_id=source_id, actor=f"source:{source.connector}")
            queries.update(conn, tenant_id, run_id, state="running", started_at=now(), heard_at=now(), tries=1)
        notes: list[str] = []
        counts, state, error, asked = _ask(conn, source, made, fetcher or HttpFetcher(), run_id, notes)
        with database.tenant_transaction(conn, [tenant_id]):
            _settle(conn, source, state, error, asked)
            queries.update(conn, tenant_id, run_id, state=state.value, error=error, counts=counts, notes=notes, finished_at=now())
            return RunResult(run_id, state, counts, round(time.monotonic() - begun, 3), tuple(quality.groups(conn, tenant_id, run_id)), error, tuple(notes))


def _ask(
    conn: psycopg.Connection[Any], source: Source, made: Connector, fetcher: Fetcher, run_id: int, notes: list[str]
) -> tuple[Counts, RunState, str, float | None]:
    """Write what the source says, batch by batch; what it remarks goes to `notes`."""
    counts = Counts()
    tenant = tenancy.by_id(source.tenant_id)
    try:
        for batch in made.fetch(fetcher, source.settings, source.progress, service.tenancy_of(tenant)):
            with database.tenant_transaction(conn, [source.tenant_id]):
                counts = _write(conn, source, batch, run_id, counts)
            notes += [note for note in batch.notes if note not in notes]
    except NotReady as reason:
        return counts, RunState.FAILED, reason.kept(), reason.retry_after_seconds
    except SourceChanged as reason:
        return counts, RunState.FAILED, reason.kept(), float(LONGEST_WAIT_SECONDS)
    except MalhaError as reason:
        return counts, RunState.FAILED, reason.kept(), None
    return counts, RunState.DONE, "", None


def _write(conn: psycopg.Connection[Any], source: Source, batch: SourceBatch, run_id: int, counts: Counts) -> Counts:
    options = WriteOptions(run_id=run_id, live=batch.live)
    judged = holding_to_model.judged_source(conn, source.tenant_id, batch)
    wrote, rows = WriteOutcome(), 0
    if judged.table is not None and judged.table.uris:
        wrote, rows = store.upsert_table(conn, source.tenant_id, judged.table, options), len(judged.table.uris)
    elif judged.documents:
        wrote, rows = store.upsert_documents(conn, source.tenant_id, judged.documents, options), len(judged.documents)
    refused = (*batch.refused, *judged.refused)
    quality.hold(conn, source.tenant_id, run_id, refused)
    if batch.state:
        queries.update_source(conn, source.tenant_id, source.id, progress=dict(batch.state))
    return dataclasses.replace(
        counts, read=counts.read + rows + len(refused), entered=counts.entered + rows, held=counts.held + len(refused),
        created=counts.created + wrote.created, updated=counts.updated + wrote.updated, unchanged=counts.unchanged + wrote.unchanged,
        observations=counts.observations + wrote.observations, warned=counts.warned + judged.warned,
    )  # fmt: skip


def _settle(conn: psycopg.Connection[Any], source: Source, state: RunState, error: str, asked: float | None) -> None:
    """When to ask again. The same failure again only counts: it is said once."""
    if state is RunState.DONE:
        queries.update_source(
            conn, source.tenant_id, source.id, failures=0, last_error="", last_heard_at=now(), next_at=now() + timedelta(seconds=source.every_seconds)
        )
        return
    failures = source.failures + 1
    pause = wait_seconds(failures, asked, source.every_seconds)
    queries.update_source(conn, source.tenant_id, source.id, failures=failures, last_error=error, next_at=now() + timedelta(seconds=pause))
