"""Every component, in both themes and on a phone, passes axe and works by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

GALLERY = "/plataforma/componentes/"


def test_it_works(page: Page, server: str, assert_accessible: Callable[..., Any], shoot: Callable[..., Any]) -> None:
    page.goto(server + GALLERY)
    expect(page.get_by_role("heading", level=1)).to_have_text("Componentes")
    assert_accessible(page)
    shoot(page, "componentes")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_are_accessible(page: Page, server: str, assert_accessible: Callable[..., Any], theme: str) -> None:
    page.goto(f"{server}{GALLERY}?theme={theme}")
    assert_accessible(page)


def test_nothing_is_wider_than_a_phone(phone: Page, server: str) -> None:
    phone.goto(server + GALLERY)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_first_tab_skips_to_the_content(page: Page, server: str) -> None:
    page.goto(server + GALLERY)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Saltar para o conteúdo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#conteudo")).to_be_focused()


def test_a_dialog_opens_and_gives_the_focus_back(page: Page, server: str) -> None:
    page.goto(server + GALLERY)
    opener = page.get_by_role("button", name="Publicar conjunto de dados")
    opener.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_menu_closes_by_escape(page: Page, server: str) -> None:
    page.goto(server + GALLERY)
    page.get_by_text("Descarregar").click()
    expect(page.get_by_role("link", name="GeoJSON")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="GeoJSON")).to_be_hidden()


def test_the_slash_opens_the_search_unless_switched_off(page: Page, server: str, new_tenant: Callable[..., Any], sign_in: Callable[..., Any]) -> None:
    tenant = new_tenant(name="Vila da Procura")
    sign_in(page, tenant)
    page.goto(f"{server}/{tenant.slug}/ajuda/")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.goto(f"{server}/{tenant.slug}/preferencias/")
    page.get_by_label("Atalhos de uma só tecla").uncheck()
    page.get_by_role("button", name="Guardar preferências").click()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).not_to_be_focused()


def test_the_search_answers_while_one_types(page: Page, server: str, new_tenant: Callable[..., Any], sign_in: Callable[..., Any]) -> None:
    tenant = new_tenant()
    sign_in(page, tenant)
    page.goto(f"{server}/{tenant.slug}/procurar/")
    page.get_by_label("O que procura?").press_sequentially("zzzz")
    expect(page.get_by_text("Nada encontrado")).to_be_visible()
    expect(page.locator("#anuncios")).to_have_text("0 resultados")
