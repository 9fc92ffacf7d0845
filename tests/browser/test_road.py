"""The whole road as somebody walks it who only reads the screen: a file, the map, an export, an open dataset, and back."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

ROWS = 30
QUESTIONS = 12  # more than there are: nobody answers for ever


@pytest.fixture
def worker(server):
    """The worker beside the server, as `./malha up` has it: loads are jobs."""
    process = subprocess.Popen([sys.executable, "-m", "malha.project.worker"], env=os.environ.copy(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield process
    process.terminate()
    process.wait(15)


@pytest.fixture
def town(new_tenant):
    return new_tenant(name="Vila Nova de Ensaio", extent=[-8.95, 39.40, -8.85, 39.46], centre=[-8.9, 39.43])


@pytest.fixture
def file(tmp_path):
    """A spreadsheet's CSV as a town hall has it: semicolons, decimal commas, days first, Windows' letters."""
    lines = ["Código;Designação;Latitude;Longitude;Capacidade;Telefone"]
    lines += [f"C{n:02};Contentor da Praça {n};{39.41 + n / 1000:.4f};{-8.94 + n / 1000:.4f};{n},5;912 345 6{n:02}".replace(".", ",") for n in range(ROWS)]
    path = tmp_path / "contentores.csv"
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    return path


def carry_on(page):
    page.get_by_role("button", name="Continuar").click()


def load(page, address, file):
    """Answer every question with what is suggested, until the page that loads."""
    page.goto(f"{address}/dados/carregar/")
    page.set_input_files("input[type=file]", file)
    carry_on(page)
    for _ in range(QUESTIONS):
        page.wait_for_load_state()
        if page.get_by_role("button", name="Carregar", exact=True).count():
            break
        carry_on(page)
    page.get_by_text(re.compile(r"linhas? entram?")).wait_for()
    page.get_by_role("button", name="Carregar", exact=True).click()
    page.get_by_text(re.compile(rf"{ROWS} linhas entraram")).wait_for(timeout=60_000)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_it_works(server, worker, page, phone, town, file, sign_in, assert_accessible, shoot):
    address = f"{server}/{town.slug}"
    sign_in(page, town)
    load(page, address, file)
    assert_accessible(page)
    shoot(page, "carga")
    run = page.url

    page.goto(f"{address}/dados/entidades/")
    page.locator("main a", has_text=re.compile("contentores", re.IGNORECASE)).first.click()
    page.get_by_text("Contentor da Praça 7", exact=True).wait_for()
    entity_type = page.url.rstrip("/").rsplit("/", 1)[1].partition("?")[0]
    assert_accessible(page)

    page.goto(f"{address}/dados/exportar/?type={entity_type}")
    assert_accessible(page)
    with page.expect_download() as taken:
        page.get_by_role("button", name=re.compile("^CSV —")).click()
    text = taken.value.path().read_text(encoding="utf-8")
    assert sum(not line.startswith("#") for line in text.splitlines()) == ROWS + 1
    assert "912 345" not in text, "telephones are about people and stay out"

    page.goto(f"{address}/dados/publicar/")
    page.get_by_label("Que dados quer publicar?").select_option(entity_type)
    page.get_by_role("button", name="Começar").click()
    page.get_by_label("Título", exact=True).fill("Contentores")
    page.get_by_label(re.compile("^Descrição$")).fill("Onde ficam os contentores do lixo e quanto levam.")
    assert_accessible(page)
    shoot(page, "publicar")
    carry_on(page)
    page.get_by_label("Quem responde por estes dados").fill("Serviço de Ambiente")
    page.get_by_label("Endereço de correio para perguntas").fill("ambiente@vila.example")
    carry_on(page)
    assert_accessible(page)
    page.get_by_role("button", name="Publicar conjunto de dados").click()
    page.get_by_role("heading", name="Contentores", exact=True).wait_for()

    phone.goto(page.url)
    phone.get_by_text("Contentor da Praça 3", exact=True).wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert_accessible(phone)
    shoot(phone, "conjunto-aberto", sizes=("phone", "laptop"))

    page.goto(run)
    page.get_by_role("link", name="Desfazer a carga").click()
    page.get_by_role("button", name="Desfazer").click()
    page.get_by_text("Esta carga foi desfeita.").wait_for()
    phone.reload()
    assert not phone.get_by_text("Contentor da Praça 3", exact=True).count()
