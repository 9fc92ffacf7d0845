"""The whole road as somebody walks it who only reads the screen: sign in, a file, the map, an alarm, an export, an open dataset, and back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.parse
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityQuery, EntityTable, WriteOptions
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.identity import invitations
from malha.foundation.tenancy import service as tenancy
from malha.kernel import time

ROWS = 30
THING = "C07"
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


def sign_in_by_passkey(page, server, town, passkeys):
    """Invited, a passkey made; gone, and back by that passkey."""
    passkeys(page)
    with tenancy.scope(town.id):
        _, link = invitations.invite(town, email=f"ana-{uuid4().hex[:8]}@exemplo.pt", role=RoleName.TENANT_MANAGER, name="Ana Ensaio")
    page.goto(server + urllib.parse.urlsplit(link).path)
    page.get_by_role("button", name="Com chave de acesso").click()
    page.get_by_role("button", name="Criar chave neste aparelho").click()
    page.get_by_role("link", name="Já os guardei, continuar").click()
    page.get_by_label("Conta de Ana Ensaio").click()
    page.get_by_role("link", name="Sair ou mudar de pessoa").click()
    page.get_by_role("button", name="Sair", exact=True).click()
    page.get_by_role("button", name="Entrar com chave de acesso").click()
    page.wait_for_url(lambda url: "/conta/login/" not in url)


def an_alarm(page, address, town, entity_type, assert_accessible):
    """Who is to be told, what to watch; a value comes by itself; the notice is read, the alarm taken and ended."""
    email = f"piquete-{uuid4().hex[:8]}@exemplo.pt"
    page.goto(f"{address}/agir/alarmes/avisos/")
    page.get_by_label("Nome").fill("Piquete")
    page.get_by_label("Endereço").fill(email)
    page.get_by_role("button", name="Juntar canal").click()
    page.get_by_role("button", name="Enviar teste Piquete").wait_for()
    page.goto(f"{address}/dados/entidades/{entity_type}/")
    page.get_by_role("link", name=THING, exact=True).click()
    page.get_by_role("link", name="Criar alarme").click()
    page.get_by_label("Nome do alarme").fill("Capacidade")
    page.locator("#id_bound").fill("100")
    page.get_by_label("Gravidade").select_option(label="Crítico")
    page.get_by_label("O que fazer").fill("Ir lá ver.")
    page.get_by_label("A quem ligar").fill("Piquete")
    page.get_by_role("checkbox", name=email).check()
    watched = page.get_by_label("Medida").input_value()
    assert_accessible(page)
    page.get_by_role("button", name="Guardar alarme").click()
    expect(page.get_by_role("link", name="Capacidade", exact=True)).to_be_visible()

    page.goto(f"{address}/agir/alarmes/")
    speaks(town, entity_type, watched, 120.5)
    expect(page.locator("#alarmes .alarm-title")).to_have_text(f"Capacidade — {THING}", timeout=45_000)
    post = page.context.new_page()
    subject = post.get_by_text(re.compile(rf"\[Crítico\] Capacidade 120,50.* > 100,00.* — {THING} — desde \d\d:\d\d")).first
    for _ in range(30):
        post.goto(f"{address.rsplit('/', 1)[0]}/correio/?para={email}")
        if subject.count():
            break
        post.wait_for_timeout(1000)
    expect(subject).to_be_visible()
    post.close()
    page.locator("#alarmes").get_by_role("link", name="Capacidade", exact=True).click()
    page.get_by_role("button", name="Fico com isto").click()
    expect(page.get_by_text("Ana Ensaio ficou com isto às")).to_be_visible()
    page.get_by_role("button", name="Terminar alarme").click()
    expect(page.locator("section[aria-labelledby=o-que] p").first).to_contain_text("Terminado")
    assert_accessible(page)


def speaks(town, entity_type, attribute, value):
    """The container itself says something new, as a device does."""
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        thing = next(one for one in store.query(conn, [town.id], EntityQuery(types=(entity_type,), limit=ROWS)).entities if one.uri.endswith(THING))
        store.upsert_table(
            conn, town.id, EntityTable(entity_type, [thing.uri], [Column(attribute, [value])], observed_at=[time.now()]), WriteOptions(live=True)
        )


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_it_works(server, worker, page, phone, town, file, passkeys, assert_accessible, shoot):
    address = f"{server}/{town.slug}"
    sign_in_by_passkey(page, server, town, passkeys)
    load(page, address, file)
    assert_accessible(page)
    shoot(page, "carga")
    run = page.url

    page.get_by_role("link", name="Ver no mapa").click()
    expect(page.locator("malha-map[data-state=drawn]")).to_be_visible(timeout=45_000)
    page.locator("malha-map [data-map-table] summary").click()
    expect(page.locator("malha-map").get_by_role("link", name=THING, exact=True)).to_be_visible()
    assert_accessible(page)

    page.goto(f"{address}/dados/entidades/")
    page.locator("main a", has_text=re.compile("contentores", re.IGNORECASE)).first.click()
    page.get_by_text("Contentor da Praça 7", exact=True).wait_for()
    entity_type = page.url.rstrip("/").rsplit("/", 1)[1].partition("?")[0]
    assert_accessible(page)

    an_alarm(page, address, town, entity_type, assert_accessible)

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
