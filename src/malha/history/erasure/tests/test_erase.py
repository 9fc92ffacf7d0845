"""After an erasure no byte of the person is in any file of the data folder, and a copy that comes back is erased again.

An installation of its own: pages, log and files of a whole server are searched once it has stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytestmark = [pytest.mark.rehearsal, pytest.mark.slow, pytest.mark.timeout(1500)]

#: the person, and somebody else who must stay
SCRIPT = """
import json, sys
from datetime import UTC, datetime, timedelta
from malha.project import supervisor
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.settings import service as settings
from malha.kernel.time import now
WORDS = ("Joaquina Ensaio Perdigoto", "299912345", "urn:ensaio:Pessoa:299912345")

def fill():
    from malha.context.store import service as store
    from malha.context.store.contracts import EntityDocument
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind
    from malha.history.lake import service as lake
    from malha.ingest.lineage import service as lineage
    tenant = tenancy.create_tenant(slug="vila", name="Vila", kind=OrganisationKind.MUNICIPALITY).id
    def attributes(value, text, minute):
        at = (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
        return {"nivel": {"type": "Property", "value": value, "observedAt": at}, "nota": {"type": "Property", "value": text, "observedAt": at}}
    with database.connect(Role.APP, autocommit=True) as conn:
        for minute in range(3):
            with database.tenant_transaction(conn, [tenant]):
                store.upsert_documents(conn, tenant, [
                    EntityDocument("urn:ensaio:Pessoa:299912345", ("Pessoa",), {"name": {"type": "Property", "value": WORDS[0]}, **attributes(minute, "dela", minute)}),
                    EntityDocument("urn:ensaio:Contador:1", ("Contador",), attributes(minute + 10.0, f"lido por {WORDS[0].upper()} {minute}", minute)),
                    EntityDocument("urn:ensaio:Contador:2", ("Contador",), attributes(minute + 20.0, f"lido por outro {minute}", minute)),
                ])
            if minute < 2:
                lake.compact(tenant)
        with database.tenant_transaction(conn, [tenant]):
            conn.execute("INSERT INTO ingest_held (tenant_id, run_id, row_no, code, message, cells) VALUES (%s, 1, 1, 'x', 'm', %s::jsonb)",
                [tenant, json.dumps({"nome": WORDS[0], "nif": WORDS[1]})])
            conn.execute("INSERT INTO ingest_held (tenant_id, run_id, row_no, code, message, cells) VALUES (%s, 1, 2, 'x', 'm', '{\\"nome\\": \\"Outra\\"}')", [tenant])
            conn.execute("INSERT INTO outbox (tenant_id, name, payload) VALUES (%s, 'ensaio', %s::jsonb)", [tenant, json.dumps({"uri": WORDS[2]})])
            text = "nome;nif\\n" + WORDS[0] + ";" + WORDS[1] + "\\nOutra;111111111\\n"
            lineage.keep(conn, tenant, [text.encode()], "lista.csv")
    (settings.current().data / "log").mkdir(exist_ok=True)
    (settings.current().data / "log" / "worker.log").write_text(f"falhou {WORDS[0]}\\n")
    return tenant
"""
ERASE = """
with supervisor.running_database():
    supervisor.migrate()
    from malha.history.backups import service as backups
    from malha.history.erasure import service
    tenant = fill()
    backups.take("", now())
    seen = service.find(tenant, WORDS)
    proof = service.erase(tenant, WORDS, ground="RGPD art. 17.º, n.º 1, al. b)", by="person:1")
    backups.take("", now())
    print(json.dumps({"tenant": tenant, "entities": [(e.uri, e.whole) for e in seen.entities], "lake": seen.lake, "rows": seen.rows, "files": len(seen.files),
        "remains": proof.remains, "counts": proof.counts, "failure": proof.failure}))
"""
LOOK = """
with supervisor.running_database():
    from malha.history.engines import service as engines
    from malha.history.lake import service as lake
    tenant = int(sys.argv[1])
    lake.compact(tenant)
    query = f"SELECT num, txt FROM lake.{engines.tenant_schema(tenant)}.observation ORDER BY ALL"
    rows = engines.run([tenant], lambda reader: reader.execute(query).fetchall())
    with database.connect(Role.OWNER) as conn:
        uris = [row[0] for row in conn.execute("SELECT uri FROM entity ORDER BY 1").fetchall()]
        held = conn.execute("SELECT count(*) FROM ingest_held").fetchone()[0]
        proofs = conn.execute("SELECT count(*) FROM erasure WHERE done_at IS NOT NULL").fetchone()[0]
    files = [p.read_text() for p in (settings.current().data / "files" / str(tenant)).iterdir() if p.is_file()]
    print(json.dumps({"rows": rows, "uris": uris, "held": held, "files": files, "proofs": proofs}))
"""
WORDS = ("Joaquina Ensaio Perdigoto", "299912345")


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
    return json.loads(run(data, "-c", SCRIPT + script, *arguments, **environment).splitlines()[-1])


def holding(data: Path) -> list[str]:
    """The files below a folder with any byte of the person, raw or inside Parquet."""
    needles = [word.encode() for word in WORDS] + [WORDS[0].upper().encode()]
    found = [str(path.relative_to(data)) for path in data.rglob("*") if path.is_file() and any(needle in path.read_bytes() for needle in needles)]
    for path in data.rglob("*.parquet"):
        rows = str(duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall())
        found += [str(path.relative_to(data))] if any(word.lower() in rows.lower() for word in WORDS) else []
    return found


def test_it_works(folder: Path) -> None:
    data, given = folder / "data", {"MALHA_BACKUP_TO": str(folder / "copies")}
    made = said(data, ERASE, **given)
    assert made["failure"] == ""
    assert sorted(made["entities"]) == [["urn:ensaio:Contador:1", False], ["urn:ensaio:Pessoa:299912345", True]]
    assert made["lake"]["observation"]
    assert made["files"] == 1
    assert made["remains"] == {}
    assert holding(data) == []
    expected = {
        "rows": [[None, "lido por outro 0"], [None, "lido por outro 1"], [None, "lido por outro 2"], *([float(n), None] for n in (10, 11, 12, 20, 21, 22))],
        "uris": ["urn:ensaio:Contador:1", "urn:ensaio:Contador:2"], "held": 1, "files": ["nome;nif\nOutra;111111111\n"], "proofs": 1,
    }  # fmt: skip
    look = said(data, LOOK, str(made["tenant"]))
    assert sorted(look["rows"], key=str) == sorted(expected["rows"], key=str)
    assert {name: look[name] for name in ("uris", "held", "files", "proofs")} == {name: expected[name] for name in ("uris", "held", "files", "proofs")}
    first = run(data, "-m", "malha", "backup", "list", **given).split()[0]
    beside = folder / "beside"
    assert "outra vez: 1" in run(data, "-m", "malha", "restore", "--into", str(beside), "--backup", first, **given)
    again = said(beside, LOOK, str(made["tenant"]))
    assert sorted(again["rows"], key=str) == sorted(expected["rows"], key=str)
    assert again["uris"] == expected["uris"]
    assert holding(beside) == []
