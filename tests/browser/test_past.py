"""A page as it was, by keyboard: the control, the band that says so, the address that can be sent on, and the way back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import expect
from tests.browser import board

from malha.kernel import time


@pytest.fixture
def town(new_tenant):
    tenant = new_tenant(name="Vila de Ontem", extent=[board.WEST, board.SOUTH, board.EAST, board.NORTH], centre=[-8.9, 39.43])
    board.fill(tenant)
    return tenant


def test_it_works(page, server, town, sign_in, shoot, assert_accessible):
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/mapa/")
    summary = page.get_by_text("Ver como estava em…")
    summary.focus()
    page.keyboard.press("Enter")
    when = (time.now() - timedelta(hours=30)).astimezone(town.zone).strftime("%Y-%m-%dT%H:%M")
    page.get_by_label("Dia e hora").fill(when)
    page.get_by_role("button", name="Ver esse momento").press("Enter")
    band = page.get_by_role("region", name="Momento que está a ver")
    expect(band).to_contain_text("Está a ver como estava em")
    assert f"em={when.replace(':', '%3A')}" in page.url
    expect(page.locator("malha-map[data-state=drawn]")).to_be_visible(timeout=30_000)
    page.locator("malha-map [data-map-table] summary").click()
    expect(page.locator("malha-map caption", has_text="Contentores (40)")).to_be_visible()
    expect(page.locator("malha-live")).to_have_count(0)
    assert_accessible(page)
    page.goto(f"{server}/{town.slug}/?{page.url.partition('?')[2]}")
    expect(page.locator(".indicator-grid .indicator[aria-busy]")).to_have_count(0, timeout=30_000)
    expect(page.locator("malha-chart[data-state=drawn]")).to_be_visible(timeout=30_000)
    shoot(page, "hoje-como-estava", sizes=("phone", "laptop"))
    assert_accessible(page)
    page.locator(".indicator-grid").get_by_role("link", name="Ribeiras, nível mais alto").click()
    expect(page.get_by_role("region", name="Momento que está a ver")).to_be_visible()  # the moment goes with whoever follows a link
    page.get_by_role("link", name="Ver os registos").click()
    page.get_by_role("link", name="Ponte Velha").click()
    expect(page.get_by_role("heading", name="Como estava em")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("link", name="Voltar a agora").click()
    expect(page.get_by_role("heading", name="Agora")).to_be_visible()
    assert "em=" not in page.url
