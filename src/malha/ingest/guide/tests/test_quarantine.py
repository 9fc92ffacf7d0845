"""The pages of quarantine, from the list to rows that came in."""

from __future__ import annotations

import io

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from malha.foundation.database import service as database
from malha.ingest.quality import service as quality
from malha.ingest.runs import service as runs


@pytest.fixture
def loaded(new_tenant, signed, tmp_path):
    tenant = new_tenant()
    path = tmp_path / "obras.csv"
    rows = [f"{n};Obra {n};{'30/02/2025' if n in {3, 5} else '01/02/2025'}" for n in range(1, 21)]
    path.write_text("Número;Nome;Início\n" + "\n".join(rows) + "\n")
    result = runs.load_file(tenant.id, path, {"key": ["Número"], "time": {"columns": []}})
    assert result.counts.held == 2
    return tenant, signed(tenant), result.run_id


def waiting(tenant):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        return quality.waiting(conn, tenant.id)


def test_it_works(loaded):
    tenant, browser, run_id = loaded
    assert "2 linhas: a data não existe" in browser.open("/dados/quarentena/").content.decode()
    assert "Deixar a célula vazia" in browser.open(f"/dados/quarentena/{run_id}/").content.decode()
    browser.send(f"/dados/quarentena/{run_id}/resolver/", {"code": "no_such_date", "path": "Início", "way": "set", "value": "28/02/2025"})
    assert waiting(tenant) == 0
    assert "Nada à espera" in browser.open("/dados/quarentena/").content.decode()


def test_the_workbook_goes_and_comes_back(loaded):
    tenant, browser, run_id = loaded
    answer = browser.open(f"/dados/quarentena/{run_id}/linhas.xlsx")
    book = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    for row in range(2, 4):
        book.active.cell(row, 3).value = "28/02/2025"
    out = io.BytesIO()
    book.save(out)
    back = browser.send(f"/dados/quarentena/{run_id}/trazer/", {"file": SimpleUploadedFile("linhas.xlsx", out.getvalue())})
    assert back.status_code == 302
    assert waiting(tenant) == 0


def test_another_table_is_not_taken(loaded):
    tenant, browser, run_id = loaded
    answer = browser.send(f"/dados/quarentena/{run_id}/trazer/", {"file": SimpleUploadedFile("outra.xlsx", b"a;b\n1;2\n")})
    assert answer.status_code == 422
    assert "não é o das linhas em espera" in answer.content.decode()
    assert waiting(tenant) == 2


def test_reasons_are_said_in_the_language_of_the_reader(new_tenant, signed, tmp_path):
    """What a load stores is a sentence with its parameters apart: whoever reads it later may read English."""
    from django.contrib.auth import get_user_model

    path = tmp_path / "obras.csv"
    path.write_text("Número;Nome;Ano\n" + "\n".join(f"{n};Obra {n};{2000 + n}" for n in range(9)) + "\n9;Obra 9\n")
    tenant = new_tenant()
    result = runs.load_file(tenant.id, path, {"key": ["Número"], "time": {"columns": []}})
    assert result.counts.held == 1
    browser = signed(tenant)
    place = f"/dados/quarentena/{result.run_id}/"
    assert "1 linha: a linha tem 2 colunas e o cabeçalho tem 3" in browser.open(place).content.decode()
    get_user_model().objects.filter(pk=browser.session["_auth_user_id"]).update(language="en")
    for page in (place, f"/dados/cargas/{result.run_id}/", "/dados/quarentena/"):
        shown = browser.open(page).content.decode()
        assert "the row has 2 columns and the header has 3" in shown, page
        assert "colunas e o cabeçalho" not in shown, page
    answer = browser.open(f"{place}linhas.xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content))).active
    assert sheet.cell(2, 5).value == "the row has 2 columns and the header has 3"
