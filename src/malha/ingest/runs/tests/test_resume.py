"""Killed or stopped in the middle, a load goes on: nothing acknowledged is lost, nothing is doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from malha.context.store import service as store
from malha.foundation.database import service as database
from malha.ingest.lineage import service as lineage
from malha.ingest.quality import service as quality
from malha.ingest.runs import book, jobs, queries
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import RunBusy, RunState
from malha.ingest.runs.loading import FileLoad

ROWS = 3_000
ANSWERS = {"key": ["codigo"], "time": {"columns": []}, "type": "Coisa"}
CHILD = """
import sys, django
django.setup()
from malha.ingest.runs import service as runs
def tell(counts, expected):
    print(counts.entered, flush=True)
runs.execute(int(sys.argv[1]), int(sys.argv[2]), on_progress=tell, batch_rows=100)
"""


def table(tmp_path):
    path = tmp_path / "coisas.csv"
    lines = [f"C{n:05d};Coisa {n};{'31/02/2025' if n % 100 == 7 else '01/02/2025'};{n}" for n in range(ROWS)]
    lines[2_000] = lines[3]  # said twice, far apart
    lines[2_001] = "C00004;Outra;01/02/2025;9"  # the same thing with other values
    path.write_text("codigo;nome;dia;valor\n" + "\n".join(lines) + "\n")
    return path


def waiting_run(tenant, path):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        kept = lineage.keep(conn, tenant.id, lineage.pieces_of(path), path.name)
        shape, answers = runs.prepare(conn, tenant.id, kept, path.name, ANSWERS)
        return runs.create(conn, tenant.id, kept, path.name, answers, shape.rows, "person:1")


def check(tenant, run_id):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        run = runs.progress(conn, tenant.id, run_id)
        assert run.state is RunState.DONE
        assert {name: count for name, count, _at in store.types(conn, tenant.id)} == {"Coisa": ROWS - 2 - 30}
        held = {(row.row_number, row.code) for row in quality.rows(conn, tenant.id, run_id)}
        assert len(held) == 31
        assert (2_003, "duplicate") in held
        counts = run.counts
        assert (counts.read, counts.entered, counts.held, counts.repeated) == (ROWS, ROWS - 32, 31, 1)
        assert counts.created == ROWS - 32


def test_it_works(new_tenant, tmp_path):
    """The process is killed with SIGKILL between two batches."""
    tenant = new_tenant()
    run_id = waiting_run(tenant, table(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tenant.id), str(run_id)], stdout=subprocess.PIPE, env={**os.environ}, text=True)
    acknowledged = 0
    for line in child.stdout:
        acknowledged = int(line)
        if acknowledged >= 1_000:
            break
    child.send_signal(signal.SIGKILL)
    child.stdout.close()
    child.wait()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        run = runs.progress(conn, tenant.id, run_id)
        assert run.state is RunState.RUNNING
        assert acknowledged <= run.counts.entered < ROWS - 32
        assert store.types(conn, tenant.id)[0][1] == run.counts.created >= acknowledged
        conn.execute("UPDATE ingest_run SET heard_at = now() - interval '1 hour' WHERE tenant_id = %s AND id = %s", [tenant.id, run_id])
        assert queries.interrupted(conn, tenant.id, jobs.SILENT_SECONDS) == [run_id]
    runs.execute(tenant.id, run_id, batch_rows=100)
    check(tenant, run_id)


def test_a_stopped_load_goes_on(new_tenant, tmp_path):
    tenant = new_tenant()
    run_id = waiting_run(tenant, table(tmp_path))

    def ask(counts, _expected):
        if counts.read == 900:
            with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
                runs.stop(conn, tenant.id, run_id)

    assert runs.execute(tenant.id, run_id, on_progress=ask, batch_rows=300).state is RunState.STOPPED
    assert runs.execute(tenant.id, run_id, batch_rows=300).state is RunState.DONE
    check(tenant, run_id)


def test_two_processes_do_not_share_a_load(new_tenant, tmp_path):
    tenant = new_tenant()
    run_id = waiting_run(tenant, table(tmp_path))
    with database.connect(autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", [book.LOCK + run_id])
        with pytest.raises(RunBusy):
            runs.execute(tenant.id, run_id)


def test_a_full_disk_is_said_and_the_load_can_go_on(new_tenant, tmp_path, monkeypatch):
    tenant = new_tenant()
    run_id = waiting_run(tenant, table(tmp_path))
    step, seen = FileLoad._step, []

    def full(self, *given):
        if len(seen) == 3:
            raise OSError(28, "No space left on device")
        seen.append(1)
        step(self, *given)

    monkeypatch.setattr(FileLoad, "_step", full)
    failed = runs.execute(tenant.id, run_id, batch_rows=300)
    assert failed.state is RunState.FAILED
    assert "O disco encheu" in failed.error
    monkeypatch.setattr(FileLoad, "_step", step)
    runs.execute(tenant.id, run_id, batch_rows=300)
    check(tenant, run_id)


def test_another_tenant_sees_nothing_of_it(new_tenant, tmp_path):
    tenant, other = new_tenant(), new_tenant()
    run_id = waiting_run(tenant, table(tmp_path))
    runs.execute(tenant.id, run_id)
    with database.connect() as conn, database.tenant_transaction(conn, [other.id]):
        for name in ("ingest_run", "ingest_held", "ingest_file", "ingest_answers", "ingest_draft", "ingest_source", "ingest_removed"):
            assert conn.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)


def test_a_value_is_traced_to_its_row(new_tenant, tmp_path):
    tenant = new_tenant()
    run_id = waiting_run(tenant, table(tmp_path))
    runs.execute(tenant.id, run_id)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        origin = next(one for one in lineage.origins(conn, tenant.id, f"urn:{tenant.slug}:Coisa:C00010") if one.attribute == "valor")
        assert (origin.run_id, origin.row_number) == (run_id, 12)
        assert lineage.find(conn, tenant.id, runs.progress(conn, tenant.id, origin.run_id).sha256).name == "coisas.csv"
