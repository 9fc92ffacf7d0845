"""The first day of a municipality, from the invitation to the first alarm, by somebody who only reads the screen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.parse
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable, WriteOptions
from malha.foundation.access import service as access
from malha.foundation.database import service as database
from malha.foundation.tenancy import country
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import Municipality
from malha.kernel import time

RIVER = "urn:vila:FloodMonitoring:ponte-velha"
QUESTIONS = 12  # more than there are: nobody answers for ever


@pytest.fixture
def worker(server):
    """The worker beside the server, as `./malha up` has it: loads are jobs, alarms are heard by it, notices leave from it."""
    process = subprocess.Popen([sys.executable, "-m", "malha.project.worker"], env=os.environ.copy(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield process
    process.terminate()
    process.wait(15)


def river_says(tenant_id: int, level: float) -> None:
    """A gauge of the municipality speaks: the only thing in this test that nobody does on the screen."""
    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        place = {"type": "Point", "coordinates": list(tenancy.by_id(tenant_id).centre or (-8.6, 40.6))}
        columns = [Column("currentLevel", [level], unit="MTR"), Column("name", ["Ponte Velha"]), Column("location", [place], kind="GeoProperty")]
        store.upsert_table(conn, tenant_id, EntityTable("FloodMonitoring", [RIVER], columns, observed_at=[time.now()]), WriteOptions(live=True))


def invite_by_the_page(page: Page, server: str, sign_in) -> tuple[Municipality, str]:
    """The operator makes a municipality that is not there yet; gives it and the address of who will manage it."""
    access.make_operator(sign_in(page, name="Operadora").id)
    page.goto(f"{server}/")
    page.get_by_role("link", name="Gerir a plataforma").click()
    page.get_by_role("link", name="Criar município").first.click()
    taken = {tenancy.by_id(one).slug for one in tenancy.all_ids()}
    town = next(one for one in country.municipalities().values() if one.slug not in taken)
    email = f"gestora-{uuid4().hex[:8]}@exemplo.pt"
    page.get_by_label("Município").select_option(town.dico)
    page.get_by_label("Endereço de quem vai gerir o serviço").fill(email)
    page.get_by_role("button", name="Criar e convidar").click()
    page.wait_for_url("**/plataforma/")
    return town, email


def invitation(page: Page, server: str, email: str) -> str:
    """The address in the letter, as the demonstration mail shows it."""
    page.goto(f"{server}/correio/?para={urllib.parse.quote(email)}")
    link = re.search(r"http\S+/conta/convite/\S+", page.locator("article pre").first.inner_text())
    assert link is not None
    return link.group(0)


def step(page: Page, title: str, done: int) -> None:
    """Go back to *Hoje* by the rail, see how far one is, and take the step."""
    page.get_by_role("navigation", name="Salas").get_by_role("link", name="Hoje").first.click()
    if not page.get_by_text(f"{done} de 5 passos feitos").count():
        page.get_by_role("link", name="Continuar", exact=True).click()
    expect(page.get_by_text(f"{done} de 5 passos feitos")).to_be_visible()
    if title:
        page.locator(".steps").get_by_role("link", name=title).click()


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_it_works(server, worker, browser, page, sign_in, passkeys, assert_accessible, shoot):
    office = browser.new_context(locale="pt-PT", timezone_id="Europe/Lisbon").new_page()
    town, email = invite_by_the_page(office, server, sign_in)
    address = invitation(office, server, email)

    picture = office.screenshot(clip={"x": 0, "y": 0, "width": 64, "height": 64})  # any small picture does for arms

    # the invitation's address is the only one that is typed
    passkeys(page)
    page.goto(address)
    page.get_by_label("O seu nome").fill("Rita Lopes")
    page.get_by_role("button", name="Com chave de acesso").click()
    page.get_by_role("button", name="Criar chave neste aparelho").click()
    page.get_by_role("link", name="Já os guardei, continuar").click()
    expect(page.get_by_role("heading", name=f"{town.name}: primeiro dia")).to_be_visible()
    expect(page.get_by_text("0 de 5 passos feitos")).to_be_visible()
    assert_accessible(page)

    # 1. name and arms
    page.get_by_role("banner").wait_for()
    page.locator(".page-actions").get_by_role("link", name="Nome e brasão").click()
    page.get_by_label(re.compile("^Brasão")).set_input_files({"name": "brasao.png", "mimeType": "image/png", "buffer": picture})
    assert_accessible(page)
    page.get_by_role("button", name="Guardar nome e brasão").click()
    page.locator("img.brand-arms").wait_for()

    # 2. a first file: the one that is offered
    step(page, "", 1)
    page.get_by_role("button", name="Usar o exemplo").click()
    for _ in range(QUESTIONS):
        page.wait_for_load_state()
        if page.get_by_role("button", name="Carregar", exact=True).count():
            break
        page.get_by_role("button", name="Continuar").click()
    assert_accessible(page)
    page.get_by_role("button", name="Carregar", exact=True).click()
    page.get_by_text(re.compile(r"linhas entraram")).wait_for(timeout=60_000)

    # somebody has to leave: they come back tomorrow by the passkey, to where they were
    page.get_by_label("Conta de Rita Lopes").click()
    page.get_by_role("link", name="Sair ou mudar de pessoa").click()
    page.get_by_role("button", name="Sair", exact=True).click()
    page.get_by_role("button", name="Entrar com chave de acesso").click()
    page.wait_for_url(lambda url: "/conta/login/" not in url)

    # 3. a pack
    step(page, "Um pacote", 2)
    page.get_by_role("button", name="Ligar Resíduos").click()
    expect(page.get_by_text("Pacote ligado")).to_be_visible()
    assert_accessible(page)

    # 4. a second manager
    step(page, "Um segundo gestor e os colegas", 3)
    page.get_by_role("link", name="Convidar outra pessoa para gerir").click()
    colleague = f"rui-{uuid4().hex[:8]}@exemplo.pt"
    page.get_by_label("Endereço de correio eletrónico").fill(colleague)
    page.get_by_role("button", name="Enviar convite").click()
    page.wait_for_url("**/gestao/pessoas/")
    guest = browser.new_context(locale="pt-PT").new_page()
    passkeys(guest)
    guest.goto(invitation(office, server, colleague))
    guest.get_by_label("O seu nome").fill("Rui Alves")
    guest.get_by_role("button", name="Com chave de acesso").click()
    guest.get_by_role("button", name="Criar chave neste aparelho").click()
    guest.wait_for_url("**/recovery-codes/")

    # 5. an alarm, on a gauge that speaks by now
    tenant = next(one for one in map(tenancy.by_id, tenancy.all_ids()) if one.slug == town.slug)
    river_says(tenant.id, 1.2)
    step(page, "Um alarme", 4)
    page.get_by_role("link", name="Nível de cheia").click()
    page.get_by_label("Nome do alarme").fill("Ribeira")
    page.get_by_label("Medida").select_option("currentLevel")
    page.locator("#id_bound").fill("2")
    page.get_by_label("Termina quando volta a").fill("1,8")
    page.get_by_label("Gravidade").select_option(label="Crítico")
    page.get_by_label("O que fazer").fill("Fechar a passagem inferior.")
    page.get_by_label("A quem ligar").fill("Piquete, 210 000 000")
    assert_accessible(page)
    page.get_by_role("button", name="Guardar alarme").click()
    expect(page.get_by_role("link", name="Ribeira", exact=True)).to_be_visible()

    # the board is live now; the river rises, and it rings without anybody touching the page
    page.get_by_role("navigation", name="Salas").get_by_role("link", name="Hoje").first.click()
    expect(page.get_by_role("heading", name="Hoje", level=1)).to_be_visible()
    expect(page.get_by_text("passo do primeiro dia")).to_have_count(0)
    river_says(tenant.id, 2.31)
    expect(page.locator("#alarmes-hoje").get_by_text("Ribeira — Ponte Velha")).to_be_visible(timeout=45_000)
    expect(page).to_have_title(re.compile(r"^\(1\) Hoje"), timeout=20_000)
    shoot(page, "primeiro-alarme", sizes=("laptop",))
    assert_accessible(page)
    page.get_by_label("1 alarme por atender").click()
    page.locator("#sino-lista").get_by_role("link", name="1 alarme por atender").click()
    page.get_by_role("button", name="Fico com isto").click()
    expect(page.get_by_text("Rita Lopes ficou com isto às")).to_be_visible()
    expect(page.get_by_text("Fechar a passagem inferior.")).to_be_visible()
    expect(page.get_by_text("Piquete, 210 000 000")).to_be_visible()
    page.get_by_role("textbox", name="Nota").fill("Passagem fechada.")
    page.get_by_role("button", name="Terminar alarme").click()
    expect(page.locator("section[aria-labelledby=o-que] p").first).to_contain_text("Terminado")
    assert_accessible(page)
