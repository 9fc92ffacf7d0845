"""Rows without a usable place are placed by hand: coordinates, an address, one after the other."""

from __future__ import annotations

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.database import service as database
from malha.ingest.quality import service as quality
from malha.ingest.runs import service as runs


@pytest.fixture
def loaded(new_tenant, signed, tmp_path):
    tenant = new_tenant()
    path = tmp_path / "bancos.csv"
    rows = [f"{n};Banco {n};{'?' if n in {3, 5} else f'40.6{n:02d}'};-8.65;{n},5" for n in range(1, 21)]
    path.write_text("Número;Nome;Latitude;Longitude;Altura\n" + "\n".join(rows) + "\n", encoding="utf-8")
    result = runs.load_file(tenant.id, path, {"key": ["Número"], "time": {"columns": []}, "type": "Banco"})
    assert result.counts.held == 2
    return tenant, signed(tenant), result.run_id


def waiting(tenant, run_id):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        return list(quality.rows(conn, tenant.id, run_id))


def test_it_works(loaded):
    tenant, browser, run_id = loaded
    first, second = waiting(tenant, run_id)
    assert f"/dados/quarentena/{run_id}/lugar/{first.id}/" in browser.open(f"/dados/quarentena/{run_id}/").content.decode()
    place = f"/dados/quarentena/{run_id}/lugar"
    assert "Banco 3" in browser.open(f"{place}/{first.id}/").content.decode()
    assert browser.open(f"{place}.json").json()["words"]["picked"]
    after = browser.send(f"{place}/{first.id}/", {"latitude": "40,633", "longitude": "-8,66"})
    assert after["Location"].endswith(f"{place}/{second.id}/")
    browser.send(f"{place}/{second.id}/", {"latitude": "40.635", "longitude": "-8.66"})
    assert waiting(tenant, run_id) == []
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        found = {entity.value("nome"): entity for entity in store.query(conn, [tenant.id], EntityQuery(types=("Banco",), limit=100)).entities}
    assert len(found) == 20
    assert found["Banco 3"].value("location")["coordinates"] == [-8.66, 40.633]
    assert found["Banco 3"].value("altura") == 3.5
    assert browser.open(f"{place}/{first.id}/").status_code == 302  # it waits no longer


@pytest.mark.parametrize(
    "said", [{}, {"latitude": "norte", "longitude": "-8"}, {"latitude": "51.5", "longitude": "-8.6"}, {"address": "Rua de Parte Nenhuma", "search": "1"}]
)
def test_what_is_no_place_is_said(loaded, said):
    tenant, browser, run_id = loaded
    first, _second = waiting(tenant, run_id)
    assert browser.send(f"/dados/quarentena/{run_id}/lugar/{first.id}/", said).status_code == 422
    assert len(waiting(tenant, run_id)) == 2


@pytest.mark.parametrize("kind", ["hand", "address"])
def test_a_table_without_places_waits_to_be_placed_by_hand(new_tenant, signed, tmp_path, kind):
    tenant = new_tenant()
    path = tmp_path / "lojas.csv"
    path.write_text("Código;Nome;Morada\n" + "\n".join(f"L{n};Loja {n};Rua sem Registo {n}" for n in range(3)) + "\n", encoding="utf-8")
    place = {"kind": kind, "unplaced": "hold", "address": ["Morada"] if kind == "address" else []}
    result = runs.load_file(tenant.id, path, {"key": ["Código"], "type": "Loja", "place": place})
    assert (result.counts.entered, result.counts.held) == (0, 3)
    browser = signed(tenant)
    page = browser.open(f"/dados/quarentena/{result.run_id}/").content.decode()
    assert "3 linhas: falta apontar o lugar no mapa" in page
    first, second, _third = waiting(tenant, result.run_id)
    after = browser.send(f"/dados/quarentena/{result.run_id}/lugar/{first.id}/", {"latitude": "40,64", "longitude": "-8,65"})
    assert after["Location"].endswith(f"/lugar/{second.id}/")
    browser.send(f"/dados/quarentena/{result.run_id}/resolver/", {"code": "unplaced", "path": second.path, "way": "no_place"})
    assert waiting(tenant, result.run_id) == []
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        found = {one.value("codigo"): one.value("location") for one in store.query(conn, [tenant.id], EntityQuery(types=("Loja",), limit=9)).entities}
    assert found["L0"]["coordinates"] == [-8.65, 40.64]
    assert (found["L1"], found["L2"]) == (None, None)
