"""Signing an agreement in a browser: parishes by checkbox with the keyboard, an area drawn on the map."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from malha.kernel.time import now


@pytest.fixture
def towns(new_tenant):
    return new_tenant(name="Vila que partilha"), new_tenant(name="CIM que lê")


def test_it_works(page, server, towns, sign_in, shoot, assert_accessible):
    giver, reader = towns
    sign_in(page, giver)
    page.goto(f"{server}/{giver.slug}/gestao/acordos/novo/")
    assert_accessible(page)
    page.get_by_label("Quem pode ler").select_option(str(reader.id))
    first = page.get_by_role("group", name="Tipos de dados").get_by_role("checkbox").first
    first.focus()
    page.keyboard.press("Space")
    expect(first).to_be_checked()
    page.get_by_label("Para quê").fill("Plano regional do ar")
    page.get_by_label("Até que dia").fill((now() + timedelta(days=90)).date().isoformat())
    summary = page.get_by_text("Desenhar antes uma área no mapa")
    summary.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Desenhar a área").click(timeout=30_000)
    canvas = page.locator("malha-map canvas")
    box = canvas.bounding_box()
    for x, y in ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)):
        canvas.click(position={"x": box["width"] * x, "y": box["height"] * y})
    page.get_by_role("button", name="Terminar o desenho").click()
    assert "Polygon" in page.locator("#area-desenhada").input_value()
    shoot(page, "acordo-novo", sizes=("phone", "laptop"), full_page=True)
    assert_accessible(page)
    page.get_by_role("button", name="Pôr o acordo em vigor").click()
    page.wait_for_url("**/gestao/acordos/")
    expect(page.locator("main")).to_contain_text("CIM que lê")
    expect(page.locator("main")).to_contain_text("Plano regional do ar")
    assert_accessible(page)
