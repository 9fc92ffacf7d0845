"""`./malha export`: the format that a name asks for, and what a script is told."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.project.cli import cli


@pytest.fixture
def tenant(new_tenant):
    made = new_tenant()
    table = EntityTable("Escola", [f"urn:t:Escola:{n}" for n in range(3)], [Column("name", ["Sé", "Rio", "Monte"]), Column("rooms", [4, 8, 12])])
    with database.connect() as conn, database.tenant_transaction(conn, [made.id]):
        store.upsert_table(conn, made.id, table)
    return made


def export(*words: str):
    return CliRunner().invoke(cli, ["export", *words])


@pytest.mark.parametrize(
    ("name", "wanted", "begins"),
    [("a.csv", "csv", b""), ("a.excel.csv", "excel.csv", b"\xef\xbb\xbf"), ("a.xlsx", "xlsx", b"PK"), ("a.parquet", "parquet", b"PAR1")],
)
def test_it_works(tenant, tmp_path: Path, name: str, wanted: str, begins: bytes):
    done = export("Escola", "--tenant", tenant.slug, "--out", str(tmp_path / name), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.strip().splitlines()[-1]) == {"file": str(tmp_path / name), "format": wanted, "rows": 3}
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_the_output_cannot_be_both(tenant):
    assert export("Escola", "--tenant", tenant.slug, "--json").exit_code == 2
    assert export("Escola", "--tenant", "nao-ha").exit_code == 1
