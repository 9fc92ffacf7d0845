"""The data folder is destroyed, and everything comes back: to the copy's moment, and to an instant between two commits.

An installation of its own, driven from the terminal's side in processes of their own: nothing of it is shared with other tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.rehearsal, pytest.mark.slow, pytest.mark.timeout(1500)]

BEGIN = """
import json, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from malha.project import supervisor
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.settings import service as settings
from malha.kernel.time import now
START = datetime(2026, 3, 1, tzinfo=UTC)

def write(tenant, first, count):
    with database.connect(Role.APP, autocommit=True) as conn, database.tenant_transaction(conn, [tenant]):
        conn.execute("INSERT INTO entity_type (name, iri) VALUES ('Ensaio', 'https://exemplo.pt/Ensaio') ON CONFLICT DO NOTHING")
        conn.execute("INSERT INTO attribute (name, iri) VALUES ('nivel', 'https://exemplo.pt/nivel') ON CONFLICT DO NOTHING")
        conn.execute("INSERT INTO outbox (tenant_id, name, payload) VALUES (%s, 'ensaio', '{}')", [tenant])
        conn.execute('''INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, type_id, attr_id, kind)
            SELECT %s, 1, %s + n * interval '1 minute', n, t.id, a.id, 1 FROM generate_series(%s::int, %s::int) AS n, entity_type t, attribute a
            WHERE t.name = 'Ensaio' AND a.name = 'nivel' ''', [tenant, START, first, first + count - 1])

def ask(tenant):
    from malha.history.lake import service as lake
    from malha.history.engines import service as engines
    lake.compact(tenant)
    query = f"SELECT count(*), sum(num), min(num), max(num) FROM lake.{engines.tenant_schema(tenant)}.observation"
    return engines.run([tenant], lambda reader: reader.execute(query).fetchone())
"""

MAKE = """
with supervisor.running_database():
    supervisor.migrate()
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind
    from malha.history.backups import service
    from malha.history.lake import service as lake
    tenant = tenancy.create_tenant(slug="vila", name="Vila", kind=OrganisationKind.MUNICIPALITY).id
    write(tenant, 0, 100)
    lake.compact(tenant)
    write(tenant, 100, 50)
    place = settings.current().data / "files" / str(tenant)
    place.mkdir(parents=True, mode=0o700)
    (place / "ficheiro").write_bytes(b"veio de fora" * 1000)
    first = service.take("", now())
    write(tenant, 150, 10)
    time.sleep(0.3); between = now(); time.sleep(0.3)
    write(tenant, 160, 10)
    again = service.take("", now())
    write(tenant, 170, 5)
    print(json.dumps({"tenant": tenant, "first": first.id, "between": between.isoformat(), "again": again.id, "new": again.new_bytes, "all": again.bytes,
        "files": [p.path for p in again.pieces if p.path.startswith(("files/", "lake/"))]}))
"""

ASK = """
with supervisor.running_database():
    tenant = int(sys.argv[1])
    place = settings.current().data / "files" / str(tenant) / "ficheiro"
    with database.connect(Role.COMPACTOR) as conn:
        settled = conn.execute("SELECT count(*) FROM outbox WHERE xid < pg_snapshot_xmin(pg_current_snapshot())").fetchone()[0]
        # an event that nobody heard yet is of the rows of its own transaction, and of no other
        heard = conn.execute("SELECT count(*), count(DISTINCT o.xid) FROM observation_hot o JOIN outbox e USING (tenant_id, xid)").fetchone()
    write(tenant, 1000, 1)
    print(json.dumps({"lake": ask(tenant), "file": place.read_bytes() == b"veio de fora" * 1000, "settled": settled, "heard": heard}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def run(data: Path, *command: str, **environment: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALHA_")} | {"MALHA_DATA": str(data), **environment}
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return done.stdout


def said(data: Path, script: str, *arguments: str, **environment: str) -> Any:
    return json.loads(run(data, "-c", BEGIN + script, *arguments, **environment).splitlines()[-1])


def test_it_works(folder: Path) -> None:
    data, copies = folder / "data", folder / "copies"
    given = {"MALHA_BACKUP_TO": str(copies), "MALHA_BACKUP_KEY": "segredo de ensaio"}
    made = said(data, MAKE, **given)
    assert made["new"] < made["all"]
    assert any(path.startswith("lake/") for path in made["files"])
    assert not [path for path in copies.rglob("*") if path.is_file() and b"veio de fora" in path.read_bytes()]
    assert "voltou inteira" in run(data, "-m", "malha", "backup", "check", **given)
    assert "regressa em" in run(data, "-m", "malha", "backup", "list", **given)
    shutil.rmtree(data)

    assert "--data" not in run(data, "-m", "malha", "restore", **given)  # the folder is free: it comes back to its own place
    assert said(data, ASK, str(made["tenant"]), **given) == {"lake": [171, sum(range(170)) + 1000, 0, 1000], "file": True, "settled": 4, "heard": [170, 4]}

    beside = folder / "beside"
    run(data, "-m", "malha", "restore", "--into", str(beside), "--at", made["between"], **given)
    assert said(beside, ASK, str(made["tenant"])) == {"lake": [161, sum(range(160)) + 1000, 0, 1000], "file": True, "settled": 3, "heard": [160, 3]}


KILLED = """
from malha.history.backups import repository, service, taking
with supervisor.running_database():
    supervisor.migrate()
    import os, signal
    if sys.argv[1] == "dumps":
        taking._keep_files = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    else:
        repository.Repository.write_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    service.take("", now())
"""


@pytest.mark.parametrize("point", ["dumps", "manifest"])
def test_a_copy_that_was_killed_is_none_and_the_next_is_whole(folder: Path, point: str) -> None:
    data, given = folder / "data", {"MALHA_BACKUP_TO": str(folder / "copies")}
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALHA_")} | {"MALHA_DATA": str(data), **given}
    killed = subprocess.run([sys.executable, "-c", BEGIN + KILLED, point], env=env, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    time.sleep(1)
    assert "NÃO" not in run(data, "-m", "malha", "backup", **given)
    assert len(run(data, "-m", "malha", "backup", "list", **given).splitlines()) == 1
