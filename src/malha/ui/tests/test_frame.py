"""The frame stands on every page, signed in or not."""

import pytest
from django.test import Client

PAGES = ["/procurar/", "/procurar/?q=ribeira", "/ajuda/", "/preferencias/", "/plataforma/componentes/"]


@pytest.fixture
def client() -> Client:
    return Client(headers={"host": "localhost"})


def test_it_works(client: Client) -> None:
    answer = client.get("/ajuda/")
    assert answer.status_code == 200
    page = answer.content.decode()
    assert '<html lang="pt-PT"' in page
    assert 'href="#conteudo"' in page
    assert '<main id="conteudo"' in page
    assert "unsafe" not in answer["Content-Security-Policy"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_answer_in_a_tenant_and_outside(client: Client, new_tenant, path: str) -> None:
    tenant = new_tenant(name="Vila da Moldura")
    for address in (path, f"/{tenant.slug}{path}"):
        answer = client.get(address)
        assert answer.status_code == 200, address
    assert "Vila da Moldura" in answer.content.decode()


def test_no_page_has_inline_script_or_style(client: Client) -> None:
    page = client.get("/plataforma/componentes/").content.decode()
    assert "style=" not in page
    assert "onclick" not in page
    assert page.count("<script") == page.count('<script type="module" src=')


def test_the_foot_names_who_operates_the_programme(client: Client, new_tenant) -> None:
    tenant = new_tenant()
    for path in ("/ajuda/", f"/{tenant.slug}/acessibilidade/", f"/{tenant.slug}/privacidade/"):
        assert '<a href="https://territoriosinteligentes.gov.pt">ARTE</a>' in client.get(path).content.decode(), path


def test_an_error_page_is_friendly(client: Client) -> None:
    answer = client.get("/nao-ha/")
    assert answer.status_code == 404
    assert "Esta página não existe" in answer.content.decode()


def test_language_changes_and_comes_back(client: Client) -> None:
    answer = client.post("/lingua/", {"language": "en", "next": "/ajuda/"})
    assert answer.status_code == 302
    assert answer["Location"] == "/ajuda/"
    page = client.get("/ajuda/").content.decode()
    assert '<html lang="en"' in page
    assert "Skip to content" in page


def test_language_never_sends_elsewhere(client: Client) -> None:
    answer = client.post("/lingua/", {"language": "en", "next": "https://example.org/"})
    assert answer["Location"] == "/"


def test_a_stale_form_gets_a_page_of_its_own() -> None:
    answer = Client(enforce_csrf_checks=True, headers={"host": "localhost"}).post("/lingua/", {"language": "en"})
    assert answer.status_code == 403
    assert "O formulário perdeu a validade" in answer.content.decode()


def test_preferences_are_kept(client: Client) -> None:
    client.post("/preferencias/", {"language": "pt-pt", "theme": "dark"})
    page = client.get("/preferencias/").content.decode()
    assert 'data-theme="dark"' in page
    assert 'data-keys="off"' in page


def test_the_accent_of_a_tenant_must_be_readable(client: Client, new_tenant) -> None:
    good = new_tenant(theme={"accent": "#7a1f3d"})
    bad = new_tenant(theme={"accent": "#ffee00"})
    assert "--tenant:#7a1f3d" in client.get(f"/{good.slug}/ajuda/").content.decode()
    assert "--tenant" not in client.get(f"/{bad.slug}/ajuda/").content.decode()


def test_an_address_with_a_character_that_no_text_can_have_is_refused(client: Client, new_tenant) -> None:
    for address in ("/procurar/?q=%00", f"/{new_tenant().slug}/procurar/?q=a%00b"):
        answer = client.get(address)
        assert answer.status_code == 400, address
        assert "carácter" in answer.content.decode()
