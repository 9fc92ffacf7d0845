"""The door of loads: make, run, stop, go on, look, undo. Used by pages, commands, jobs and `verify`."""

from __future__ import annotations

import dataclasses
import errno
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import WriteOptions
from malha.foundation.audit import service as audit
from malha.foundation.database import service as database
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import Tenant
from malha.ingest.lineage import service as lineage
from malha.ingest.lineage.contracts import StoredFile
from malha.ingest.mapping import rules
from malha.ingest.mapping import service as mapping
from malha.ingest.mapping.contracts import Answers, RowKind, from_json, to_json
from malha.ingest.quality import judging
from malha.ingest.quality import service as quality
from malha.ingest.runs import book, declaring, queries
from malha.ingest.runs.contracts import FULL, NEXT, CannotUndo, Counts, CutShort, Run, RunBusy, RunKind, RunResult, RunState, Stopped
from malha.ingest.runs.loading import FileLoad, Progress
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.sources.base.contracts import Tenancy
from malha.sources.tabular import service as tabular
from malha.sources.tabular.contracts import TableShape, TextBatch
from malha.vocabulary.models import service as models
from malha.vocabulary.territory import service as territory

BATCH_ROWS = 50_000
UNDO_DAYS = 30


def tenancy_of(tenant: Tenant) -> Tenancy:
    """What connectors and mappings may know of a tenant."""
    return Tenancy(tenant.slug, tenant.name, tenant.dico, str(tenant.zone), tenant.extent)


def load_file(
    tenant_id: int, path: Path, answers: Answers | Mapping[str, Any] | None = None, *, name: str = "", actor: str = "command", live: bool | None = None,
    on_progress: Progress | None = None, batch_rows: int = BATCH_ROWS,
) -> RunResult:  # fmt: skip
    """Load a file from disk here and now, and say what came of it.

    Without `answers` those given before for this header are used, else the suggested ones. The file is kept under its
    SHA-256, so that every value can be traced to a row of it. Opens connections and transactions of its own.
    """
    name = name or path.name
    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        kept = lineage.keep(conn, tenant_id, lineage.pieces_of(path), name)
        shape, chosen = prepare(conn, tenant_id, kept, name, answers)
        run_id = create(conn, tenant_id, kept, name, chosen if live is None else _with_live(chosen, live=live), shape.rows, actor)
    return execute(tenant_id, run_id, on_progress=on_progress, batch_rows=batch_rows)


def _with_live(answers: Answers, *, live: bool) -> Answers:
    return dataclasses.replace(answers, live=live)


def look(tenant_id: int, kept: StoredFile, name: str, *, sheet: str = "", header_row: int | None = None) -> tuple[TableShape, TextBatch]:
    """The table in a kept file, and its first rows."""
    work = lineage.work_folder(tenant_id, kept.sha256)
    shape = tabular.inspect(kept.path, name, work, sheet=sheet, header_row=header_row)
    sample = next(tabular.batches(kept.path, name, work, shape.reading, None, tabular.SAMPLE_ROWS))
    return shape, sample


def prepare(
    conn: psycopg.Connection[Any], tenant_id: int, kept: StoredFile, name: str, answers: Answers | Mapping[str, Any] | None
) -> tuple[TableShape, Answers]:
    """The shape of a kept file and the answers to load it with: given, remembered or suggested.

    Given answers may leave out `reading`: it is found by looking at the file.
    """
    tenant = tenancy.by_id(tenant_id)
    given = answers if isinstance(answers, Mapping) else None
    wanted = (given or {}).get("reading") or {}
    shape, sample = look(tenant_id, kept, name, sheet=wanted.get("sheet", ""), header_row=wanted.get("header_row"))
    if isinstance(answers, Answers):
        chosen = answers
    elif given is not None and "columns" in given:
        chosen = from_json({"reading": mapping.to_json_reading(shape.reading), "name": name, **given})
    else:
        offered, _known = mapping.offer(conn, tenant_id, shape, sample, name, tenancy_of(tenant), tenant.crs, models.all_models(tenant_id))
        chosen = from_json({**to_json(offered), **(given or {})})
    mapping.check(chosen)
    return shape, chosen


def create(conn: psycopg.Connection[Any], tenant_id: int, kept: StoredFile, title: str, answers: Answers, expected_rows: int, actor: str) -> int:
    """A load that waits to be run; the answers are remembered for the next file with this header."""
    mapping.check(answers)
    mapping.remember(conn, tenant_id, answers)
    declaring.declare(conn, tenant_id, answers)
    run_id = queries.insert(
        conn, tenant_id, kind=RunKind.FILE, title=title, sha256=kept.sha256, signature=mapping.signature(answers.reading), type=answers.type,
        answers=to_json(answers), expected_rows=expected_rows, actor=actor,
    )  # fmt: skip
    told = [column for column in answers.columns if column.personal and column.comes_in]
    if told:
        details: dict[str, object] = {"run": run_id, "columns": [f"{column.column}: {column.reason}" for column in told]}
        audit.record_on(conn, tenant_id, actor, "ingest.personal_columns", f"run:{run_id}", details, personal=True)
    audit.record_on(conn, tenant_id, actor, "ingest.load", f"run:{run_id}", {"type": answers.type, "file": kept.sha256})
    return run_id


def plan_for(conn: psycopg.Connection[Any], tenant: Tenant, answers: Answers) -> rules.Plan:
    """What a load of these answers needs to know of the tenant, of the model and of the territory. `conn` must be in the tenant's scope when it is used."""
    model = models.find(answers.type, tenant.id) if answers.kind is not RowKind.TABLE else None

    def addresses(lon: list[float], lat: list[float]) -> list[dict[str, str]]:
        return territory.complete_addresses(conn, lon, lat, tenant.id, dico=tenant.dico)

    def geocode(text: str) -> tuple[float, float, str] | None:
        found = territory.geocode(conn, tenant.id, text)
        return (found.longitude, found.latitude, found.quality.value) if found else None

    return rules.Plan(answers, tenancy_of(tenant), model, declaring.address_of(conn, tenant), addresses=addresses, geocode=geocode)


def judge_for(conn: psycopg.Connection[Any], plan: rules.Plan, tenant_id: int) -> judging.Judge:
    """How the rows of a load are held to their model; a table without a model is held to none."""
    return judging.judge_of(conn, tenant_id, plan.answers.type, plan.model) if plan.model is not None else judging.Judge(tenant_id, plan.answers.type)


def execute(tenant_id: int, run_id: int, *, on_progress: Progress | None = None, batch_rows: int = BATCH_ROWS) -> RunResult:
    """Run a load that waits, or go on with one that was stopped, failed or cut short. Raises RunBusy when another process has it."""
    begun = time.monotonic()
    with database.connect(autocommit=True) as conn, database.connect(autocommit=True) as reader:
        if not book.is_mine(conn, run_id):
            raise RunBusy(msg("A carga {id} já está a decorrer."), id=run_id)
        with database.tenant_transaction(conn, [tenant_id]):
            run = queries.get(conn, tenant_id, run_id)
            if run.state in {RunState.DONE, RunState.UNDONE}:
                return _result(conn, run, run.counts, run.state, time.monotonic() - begun)
            queries.update(
                conn, tenant_id, run_id, state="running", stop_asked=False, started_at=run.started_at or now(), heard_at=now(), tries=run.tries + 1, error=""
            )
            kept = lineage.find(conn, tenant_id, run.sha256)
        answers = from_json(run.answers)
        tenant = tenancy.by_id(tenant_id)
        with database.tenant_transaction(reader, [tenant_id]):
            plan = plan_for(reader, tenant, answers)
            judge = judge_for(reader, plan, tenant_id)
        load = FileLoad(conn, reader, run, plan, judge, kept.path, kept.name, lineage.work_folder(tenant_id, kept.sha256), on_progress)
        try:
            state, error = _attempt(load, batch_rows)
            with database.tenant_transaction(conn, [tenant_id]):
                notes = [*load.notes, *([msg("O ficheiro é tão grande que as linhas repetidas não foram todas notadas.")] if load.seen.full else [])]
                queries.update(
                    conn, tenant_id, run_id, state=state.value, error=error, notes=notes, finished_at=now() if state is not RunState.STOPPED else None
                )
                return _result(conn, run, load.counts, state, time.monotonic() - begun, error, tuple(notes))
        except psycopg.errors.DiskFull as reason:  # there is no room even to say so
            raise CutShort(FULL) from reason
        except psycopg.OperationalError as reason:
            raise CutShort(msg("A base de dados parou a meio da carga. O que já entrou está guardado; quando ela voltar, a carga continua.")) from reason


def _attempt(load: FileLoad, batch_rows: int) -> tuple[RunState, str]:
    """Run and turn what goes wrong into a state and a sentence; what was committed stays, and the load can go on."""
    try:
        load.go(batch_rows)
    except Stopped:
        return RunState.STOPPED, ""
    except MalhaError as reason:
        return RunState.FAILED, reason.kept()
    except (psycopg.errors.DiskFull, OSError) as reason:
        if isinstance(reason, OSError) and reason.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        return RunState.FAILED, FULL
    return RunState.DONE, ""


def _result(
    conn: psycopg.Connection[Any], run: Run, counts: Counts, state: RunState, seconds: float, error: str = "", notes: tuple[str, ...] = ()
) -> RunResult:
    return RunResult(run.id, state, counts, round(seconds, 3), tuple(quality.groups(conn, run.tenant_id, run.id)), error, notes)


def progress(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> Run:
    """A load as it stands. Raises UnknownRun."""
    return queries.get(conn, tenant_id, run_id)


told = queries.told
interrupted = queries.interrupted
start, finish, taken, resume = book.start, book.finish, book.taken, book.resume


def latest(conn: psycopg.Connection[Any], tenant_id: int, limit: int = 50, offset: int = 0, sha256: str = "", kinds: Sequence[str] = ()) -> list[Run]:
    """Loads, newest first."""
    return queries.latest(conn, tenant_id, limit, offset, sha256, kinds)


def stop(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> None:
    """Ask a load to stop after the batch it is in; one that has not begun stops at once."""
    conn.execute(
        "UPDATE ingest_run SET stop_asked = true, state = CASE WHEN state = 'waiting' THEN 'stopped' ELSE state END WHERE tenant_id = %s AND id = %s",
        [tenant_id, run_id],
    )


def create_history(
    conn: psycopg.Connection[Any], tenant_id: int, kept: StoredFile, title: str, answers: Mapping[str, Any], expected_rows: int, actor: str
) -> int:
    """A load of a kept file straight into history, that waits to be run."""
    run_id = queries.insert(
        conn, tenant_id, kind=RunKind.HISTORY, title=title, sha256=kept.sha256, answers=dict(answers), expected_rows=expected_rows, actor=actor
    )
    audit.record_on(conn, tenant_id, actor, "ingest.load_history", f"run:{run_id}", {"file": kept.sha256})
    return run_id


def wait_again(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, actor: str) -> bool:
    """Have a load that stopped or failed wait for its turn once more. Returns whether it is one that can."""
    run = queries.get(conn, tenant_id, run_id)
    if RunState.WAITING not in NEXT[run.state]:
        return False
    queries.update(conn, tenant_id, run_id, state="waiting", stop_asked=False, error="", finished_at=None, tries=0)
    audit.record_on(conn, tenant_id, actor, "ingest.resume", f"run:{run_id}")
    return True


def can_be_undone(run: Run) -> bool:
    """Whether a load is young enough, ended, and did something."""
    if run.state not in {RunState.DONE, RunState.STOPPED, RunState.FAILED} or run.created_at is None:
        return False
    return run.counts.changes > 0 and run.created_at > now() - timedelta(days=UNDO_DAYS)


def undo(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, actor: str) -> Run:
    """Take a load back whole: things it made go, things it changed are as before, things it removed return.

    Loads that mended its rows go with it. Raises CannotUndo.
    """
    run = queries.get(conn, tenant_id, run_id)
    if not can_be_undone(run):
        raise CannotUndo(msg("Esta carga já não se pode desfazer: passaram mais de {days} dias, ainda decorre, ou não mudou nada."), days=UNDO_DAYS)
    for one in [*queries.children(conn, tenant_id, run_id), run_id]:
        store.undo_run(conn, tenant_id, one)
        back = queries.removed(conn, tenant_id, one)
        for begin in range(0, len(back), BATCH_ROWS):
            store.upsert_documents(conn, tenant_id, back[begin : begin + BATCH_ROWS], WriteOptions(live=False))
        quality.settle_run(conn, tenant_id, one)
        queries.update(conn, tenant_id, one, state="undone", undone_at=now(), undone_by=actor)
    audit.record_on(conn, tenant_id, actor, "ingest.undo", f"run:{run_id}", {"type": run.type})
    return queries.get(conn, tenant_id, run_id)
