"""The worker, PostgreSQL and the web process are killed in the middle of a load: it goes on by itself, and the count is right."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.rehearsal, pytest.mark.slow, pytest.mark.timeout(900)]

DRIVER = """
import json, os, signal, subprocess, sys, time, urllib.request
from pathlib import Path

import psutil, psycopg

folder, port, rows = Path(os.environ["MALHA_DATA"]), sys.argv[1], int(sys.argv[2])
PATIENCE = 300


def healthy():
    try:
        return urllib.request.urlopen(f"http://localhost:{port}/health", timeout=2).status == 200
    except OSError:
        return False


def until(what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.2)
    raise SystemExit(f"waited {seconds} s in vain: {what.__name__} {now()}")


def process(words):
    return next((one for one in psutil.Process(up.pid).children(recursive=True) if words in " ".join(one.cmdline())), None)


def kill(one):
    for each in [one, *one.children(recursive=True)]:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            pass


def now():
    try:
        with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
            return runs.progress(conn, tenant, run_id)
    except (psycopg.OperationalError, MalhaError):
        return None


def gone_on(before, tries):
    def went_on():
        run = now()
        return run if run and run.tries >= tries and run.counts.entered > before else None
    return until(went_on).counts.entered


path = folder.parent / "leituras.csv"
with path.open("w", encoding="utf-8") as out:
    out.write("sensor;instante;valor\\n")
    for n in range(rows):
        minute = n // 100
        out.write(f"S{n % 100};2026-01-{1 + minute // 1440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:00Z;{n}\\n")
up = subprocess.Popen([sys.executable, "-m", "malha", "up", "--no-demo", "--data", str(folder), "--port", port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    until(healthy)
    from malha.project import supervisor
    from malha.kernel.errors import MalhaError
    with supervisor.platform():
        from malha.foundation.database import service as database
        from malha.foundation.tenancy import service as tenancy
        from malha.foundation.tenancy.contracts import OrganisationKind
        from malha.ingest.lineage import service as lineage
        from malha.ingest.runs import jobs, service as runs
        tenant = tenancy.create_tenant(slug="ensaio", name="Ensaio", kind=OrganisationKind.MUNICIPALITY).id
        with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
            kept = lineage.keep(conn, tenant, lineage.pieces_of(path), path.name)
            answers = {"type": "Leitura", "kind": "own", "key": ["sensor"], "time": {"columns": ["instante"], "zone": "UTC"},
                       "columns": [{"column": "valor", "attribute": "valor", "type": "integer"}]}
            shape, chosen = runs.prepare(conn, tenant, kept, path.name, answers)
            run_id = runs.create(conn, tenant, kept, path.name, chosen, shape.rows, "person:1")
        jobs.defer_load(tenant, run_id)
    said = {}
    said["first"] = gone_on(0, 1)
    kill(process("malha.project.worker"))
    said["worker"] = now().counts.entered
    said["after_worker"] = gone_on(said["worker"], 2)
    kill(psutil.Process(int(next(folder.rglob("postmaster.pid")).read_text().split()[0])))
    said["after_postgres"] = gone_on(said["after_worker"], 3)
    kill(process("malha.project.oneport"))
    until(healthy)

    def ended():
        run = now()
        return run if run and run.state.value != "running" else None
    run = until(ended)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        values, distinct, total = conn.execute(
            "SELECT count(*), count(DISTINCT (entity_id, observed_at)), sum(num) FROM observations WHERE tenant_id = %s", [tenant]).fetchone()
        things = conn.execute("SELECT count(*) FROM entities WHERE tenant_id = %s", [tenant]).fetchone()[0]
finally:
    up.send_signal(signal.SIGINT)
    up.wait(60)
print(json.dumps(said | {"state": run.state.value, "error": run.error, "read": run.counts.read, "entered": run.counts.entered, "held": run.counts.held, "values": values,
                         "distinct": distinct, "total": total, "things": things}))
"""
ROWS = 400_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_works(tmp_path):
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:  # the server of an installation of root's runs as a user of its own
        parent.chmod(parent.stat().st_mode | 0o055)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALHA_")} | {"MALHA_DATA": str(tmp_path / "d")}
    (tmp_path / "d").mkdir()
    child = subprocess.run([sys.executable, "-c", DRIVER, str(free_port()), str(ROWS)], env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-2_000:]
    found = json.loads(child.stdout.splitlines()[-1])
    assert 0 < found["worker"] < found["after_worker"] < found["after_postgres"]  # killed in the middle, and went on
    assert (found["state"], found["error"], found["held"]) == ("done", "", 0)
    assert (found["read"], found["entered"]) == (ROWS, ROWS)
    assert (found["values"], found["distinct"], found["things"]) == (ROWS, ROWS, 100)
    assert found["total"] == sum(range(ROWS))
