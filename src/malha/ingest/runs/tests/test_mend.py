"""Rows that wait are mended a group at once, or by a workbook that is brought back."""

from __future__ import annotations

import openpyxl
import pytest

from malha.context.store import service as store
from malha.foundation.database import service as database
from malha.ingest.lineage import service as lineage
from malha.ingest.quality import service as quality
from malha.ingest.runs import mending, previewing, queries
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import RunState
from malha.ingest.runs.mending import Mending, Way

ROWS = "\n".join(
    f"{n};Paragem {n};{38.70 + n / 1000:.4f};{-9.10 - n / 1000:.4f};{'31/02/2025' if n % 10 == 0 else f'{1 + n % 28:02d}/03/2025'};{n},5" for n in range(1, 101)
)
CSV = f"Código;Nome;Latitude;Longitude;Visita;Valor (m)\n{ROWS}\n"


@pytest.fixture
def loaded(new_tenant, tmp_path):
    tenant = new_tenant(extent=[-9.3, 38.6, -9.0, 38.9])
    path = tmp_path / "paragens.csv"
    path.write_text(CSV)
    result = runs.load_file(tenant.id, path, {"key": ["Código"], "time": {"columns": []}})
    assert (result.counts.entered, result.counts.held) == (90, 10)
    return tenant, result


def test_it_works(loaded):
    tenant, result = loaded
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        mended = mending.mend_group(conn, tenant.id, result.run_id, "no_such_date", "Visita", Mending(Way.SET, "28/02/2025"), "person:1")
        assert mended.counts.entered == 10
        assert quality.waiting(conn, tenant.id) == 0
        assert store.retrieve(conn, tenant.id, f"urn:{tenant.slug}:Paragens:10").value("visita") == "2025-02-28"


def test_a_wrong_mending_leaves_the_rows_waiting(loaded):
    tenant, result = loaded
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        mended = mending.mend_group(conn, tenant.id, result.run_id, "no_such_date", "Visita", Mending(Way.SET, "30/02/2025"), "person:1")
        assert mended.counts.entered == 0
        assert quality.waiting(conn, tenant.id) == 10


def test_dropped_rows_wait_no_longer(loaded):
    tenant, result = loaded
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        assert mending.mend_group(conn, tenant.id, result.run_id, "no_such_date", "Visita", Mending(Way.DROP), "person:1") is None
        assert quality.waiting(conn, tenant.id) == 0


@pytest.mark.parametrize(
    ("language", "own", "why"), [("pt-pt", ["linha", "porquê"], "Visita: a data não existe"), ("en", ["row", "why"], "Visita: the date does not exist")]
)
def test_the_workbook_goes_out_and_comes_back(loaded, tmp_path, language, own, why):
    tenant, result = loaded
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        headers = queries.get(conn, tenant.id, result.run_id).answers["reading"]["columns"]
        assert quality.write_workbook(conn, tenant.id, result.run_id, tmp_path / "espera.xlsx", headers, language) == 10
    book = openpyxl.load_workbook(tmp_path / "espera.xlsx")
    sheet = book.active
    assert [cell.value for cell in sheet[1]][-2:] == own
    assert sheet.cell(2, sheet.max_column).value == why
    for row in range(2, sheet.max_row + 1):
        sheet.cell(row, 5).value = "01/03/2025"
    book.save(tmp_path / "corrigido.xlsx")
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        back = mending.bring_back(conn, tenant.id, result.run_id, tmp_path / "corrigido.xlsx", "corrigido.xlsx", tmp_path / "work", "person:1")
        assert back.counts.entered == 10
        assert quality.waiting(conn, tenant.id) == 0


def test_a_load_is_undone_whole_with_what_mended_it(loaded):
    tenant, result = loaded
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        mending.mend_group(conn, tenant.id, result.run_id, "no_such_date", "Visita", Mending(Way.CLEAR), "person:1")
        assert {name: count for name, count, _at in store.types(conn, tenant.id)}["Paragens"] == 100
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        assert runs.undo(conn, tenant.id, result.run_id, "person:1").state is RunState.UNDONE
        assert [name for name, count, _at in store.types(conn, tenant.id) if count] == []


def test_replacing_removes_what_is_gone_and_undoing_brings_it_back(loaded, tmp_path):
    tenant, _result = loaded
    path = tmp_path / "paragens.csv"
    path.write_text("\n".join(CSV.splitlines()[:51]) + "\n")
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        kept = lineage.keep(conn, tenant.id, lineage.pieces_of(path), path.name)
        _shape, answers = runs.prepare(conn, tenant.id, kept, path.name, {"again": "replace", "time": {"columns": []}})
        assert previewing.preview(conn, tenant, kept, path.name, answers).vanishing == 45
    result = runs.load_file(tenant.id, path, {"again": "replace", "time": {"columns": []}})
    assert result.counts.removed == 45
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        assert store.types(conn, tenant.id)[0][1] == 45
        runs.undo(conn, tenant.id, result.run_id, "person:1")
        assert store.types(conn, tenant.id)[0][1] == 90
