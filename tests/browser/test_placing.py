"""A row without a usable place is put on the map: by a click, and by keys alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from malha.ingest.runs import service as runs


@pytest.fixture
def waiting(new_tenant, tmp_path):
    town = new_tenant(name="Vila Nova de Ensaio", extent=[-8.95, 39.40, -8.85, 39.46], centre=[-8.9, 39.43])
    path = tmp_path / "bancos.csv"
    rows = [f"{n};Banco {n};{'?' if n in {3, 5} else f'39.4{n:02d}'};-8.9" for n in range(1, 21)]
    path.write_text("Número;Nome;Latitude;Longitude\n" + "\n".join(rows) + "\n", encoding="utf-8")
    result = runs.load_file(town.id, path, {"key": ["Número"], "time": {"columns": []}, "type": "Banco"})
    assert result.counts.held == 2
    return town, result.run_id


def test_it_works(page, server, waiting, sign_in, assert_accessible):
    town, run_id = waiting
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/dados/quarentena/{run_id}/")
    page.get_by_text("Colocar as linhas à mão").click()
    page.get_by_role("link", name="Banco 3").click()
    page.locator("malha-map[data-state=drawn]").wait_for()
    canvas = page.locator("malha-map canvas")
    canvas.click(position={"x": 120, "y": 100})
    expect(page.get_by_label("Latitude")).not_to_have_value("")
    assert 39.3 < float(page.get_by_label("Latitude").input_value()) < 39.6
    assert -9.1 < float(page.get_by_label("Longitude").input_value()) < -8.7
    assert_accessible(page)
    page.get_by_role("button", name="Colocar aqui").click()
    expect(page.get_by_text("A linha entrou, com lugar.")).to_be_visible()
    page.locator("malha-map[data-state=drawn]").wait_for()
    page.locator("malha-map canvas").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(600)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Latitude")).not_to_have_value("")
    page.get_by_role("button", name="Colocar aqui").press("Enter")
    expect(page.get_by_text("Desta carga já não há linhas à espera.")).to_be_visible()
