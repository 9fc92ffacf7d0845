"""The disk fills up in the middle of a load, for real: it is said, nothing is corrupted, and it goes on when there is room."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.rehearsal, pytest.mark.slow, pytest.mark.timeout(600)]

DRIVER = """
import json, os, shutil, time
from pathlib import Path
import psycopg
from malha.kernel.errors import MalhaError
from malha.project import supervisor

folder = Path(os.environ["MALHA_DATA"])
filler, path = folder / "filler", folder.parent / "leituras.csv"
ROWS = 120_000
path.write_text("sensor;instante;valor\\n" + "".join(f"S{n % 40};2026-01-{1 + n // 40 // 1440:02d}T{n // 40 // 60 % 24:02d}:{n // 40 % 60:02d}:00Z;{n}\\n" for n in range(ROWS)))


def fill(leave):
    with filler.open("ab") as out:
        while (free := shutil.disk_usage(folder).free) > leave:
            out.write(bytes(min(1 << 20, free - leave)))
            out.flush()


def free_again(start_again):
    filler.unlink()
    for _ in range(60):
        try:
            start_again()
            database.connect().close()
            return
        except (psycopg.OperationalError, MalhaError):
            time.sleep(0.5)


with supervisor.running_database() as start_again:
    supervisor.migrate()
    from django.db import close_old_connections
    from malha.foundation.database import service as database
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind
    from malha.history.engines import service as engines
    from malha.history.lake import service as lake
    from malha.ingest.lineage import service as lineage
    from malha.ingest.lineage.contracts import FullDisk
    from malha.ingest.runs import service as runs

    tenant = tenancy.create_tenant(slug="ensaio", name="Ensaio", kind=OrganisationKind.MUNICIPALITY).id
    said = {}
    fill(200 << 20)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        try:
            lineage.keep(conn, tenant, lineage.pieces_of(path), path.name)
        except FullDisk as reason:
            said["upload"] = str(reason)
        said["left"] = len([one for one in lineage.folder(tenant).iterdir() if one.is_file()])
    filler.unlink()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        kept = lineage.keep(conn, tenant, lineage.pieces_of(path), path.name)
        answers = {"type": "Leitura", "kind": "own", "key": ["sensor"], "time": {"columns": ["instante"], "zone": "UTC"},
                   "columns": [{"column": "valor", "attribute": "valor", "type": "integer"}]}
        shape, chosen = runs.prepare(conn, tenant, kept, path.name, answers)
        run_id = runs.create(conn, tenant, kept, path.name, chosen, shape.rows, "person:1")
    acknowledged = []

    def full(counts, _expected):
        acknowledged.append(counts.entered)
        if len(acknowledged) == 10:
            fill(0)

    try:
        said["load"] = runs.execute(tenant, run_id, on_progress=full, batch_rows=2_000).error
    except MalhaError as reason:
        said["load"] = str(reason)
    said["acknowledged"] = acknowledged[-1]
    free_again(start_again)
    close_old_connections()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        said["entered"] = runs.progress(conn, tenant, run_id).counts.entered
    done = runs.execute(tenant, run_id, batch_rows=20_000)
    said |= {"state": done.state.value, "read": done.counts.read}
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        said["values"], said["distinct"], said["total"] = conn.execute(
            "SELECT count(*), count(DISTINCT (entity_id, observed_at)), sum(num) FROM observations WHERE tenant_id = %s", [tenant]).fetchone()
    fill(0)
    try:
        lake.compact(tenant)
        said["compaction"] = "went through"
    except Exception as reason:
        said["compaction"] = type(reason).__name__
    free_again(start_again)
    lake.compact(tenant)
    query = f"SELECT count(*), count(DISTINCT (entity_id, observed_at)), sum(num) FROM lake.{engines.tenant_schema(tenant)}.observation"
    said["lake"] = engines.run([tenant], lambda reader: reader.execute(query).fetchone())
print(json.dumps(said))
"""
ROWS = 120_000


@pytest.fixture
def small_disk(tmp_path):
    """A data folder on a disk of 600 MB."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root of a Linux can mount a small disk")
    folder = tmp_path / "d"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m,mode=755", "tmpfs", str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_it_works(tmp_path, small_disk):
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:  # the server of an installation of root's runs as a user of its own
        parent.chmod(parent.stat().st_mode | 0o055)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALHA_")} | {"MALHA_DATA": str(small_disk)}
    child = subprocess.run([sys.executable, "-c", DRIVER], env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-3_000:]
    found = json.loads(child.stdout.splitlines()[-1])
    assert "Não há espaço no disco" in found["upload"]
    assert found["left"] == 0
    assert "O disco encheu" in found["load"] or "A base de dados parou" in found["load"]
    assert 0 < found["acknowledged"] <= found["entered"] < ROWS
    assert (found["state"], found["read"]) == ("done", ROWS)
    assert (found["values"], found["distinct"], found["total"]) == (ROWS, ROWS, sum(range(ROWS)))
    assert found["lake"] == [ROWS, ROWS, sum(range(ROWS))]
