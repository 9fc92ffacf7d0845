"""Two installations join in a browser: the invitation, what leaves and what comes, one click to end. The other side is another address of this one."""

import httpx
import pytest
from playwright.sync_api import expect

from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.identity import service as identity


def keep(tenant, *entities):
    with database.scope(tenant.id):
        docs = [EntityDocument(uri, (kind,), attributes) for uri, kind, attributes in entities]
        assert not store.upsert_documents(database.current(), tenant.id, docs).refused


def value(what):
    return {"type": "Property", "value": what}


def place(lon, lat):
    return {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [lon, lat]}}


@pytest.fixture
def towns(new_tenant):
    nation, town = new_tenant(name="Plataforma da nação"), new_tenant(name="Vila que se junta")
    keep(
        nation,
        ("urn:x:Aviso:dentro", "Aviso", {"nivel": value(2), "location": place(-8.44, 40.57)}),
        ("urn:x:Aviso:fora", "Aviso", {"nivel": value(3), "location": place(-7.9, 37.0)}),
    )
    keep(town, ("urn:x:Contentor:1", "Contentor", {"cheio": value(80), "dono": value("eu"), "location": place(-8.45, 40.57)}))
    return nation, town


def reader(url, tenant):
    """`read(type)` asks the tenant's broker as a machine of its own."""
    with database.scope(tenant.id):
        machine, secret = identity.create_machine(tenant.id, name="Leitor", capabilities=[Capability.DATA_READ])
    form = {"grant_type": "client_credentials", "client_id": machine.client_id, "client_secret": secret, "scope": "malha"}
    token = httpx.post(f"{url}/{tenant.slug}/identity/o/api/token", data=form).json()["access_token"]

    def read(kind):
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        answer = httpx.get(f"{url}/{tenant.slug}/ngsi-ld/v1/entities", params={"type": kind, "options": "keyValues"}, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return {one["id"]: one for one in answer.json()}

    return read


def test_it_works(page, another_server, towns, sign_in, shoot, assert_accessible):
    server = another_server(MALHA_INTERNAL_HOSTS="*=127.0.0.0/8,*=localhost")
    nation, town = towns
    sign_in(page, nation, base=server)
    page.goto(f"{server}/{nation.slug}/dados/federacao/convidar/")
    assert_accessible(page)
    page.get_by_label("A quem se destina o convite").fill("Águeda")
    page.get_by_label("Só o que fica em").select_option(label="Águeda")
    page.get_by_label("Licença com que saem").select_option("CC-BY-4.0")
    page.get_by_role("button", name="Fazer o convite").click()
    invitation = page.locator("#convite").inner_text()
    assert_accessible(page)

    sign_in(page, town, base=server)
    page.goto(f"{server}/{town.slug}/dados/federacao/")
    page.get_by_role("link", name="Juntar-me com um convite").click()
    page.get_by_label("Convite").fill("isto não é um convite")
    page.get_by_role("button", name="Ver o que sai e o que vem").click()
    expect(page.get_by_text("não é um convite inteiro")).to_be_visible()
    page.get_by_label("Convite").fill(invitation)
    page.get_by_role("button", name="Ver o que sai e o que vem").click()
    comes = page.get_by_role("region", name="O que vem")
    expect(comes).to_contain_text("Aviso")
    expect(comes).to_contain_text("1 entidade")
    expect(comes).to_contain_text("Creative Commons Atribuição 4.0")
    goes = page.get_by_role("region", name="O que sai")
    goes.get_by_text("Escolher os atributos").click()
    goes.get_by_role("checkbox", name="dono").uncheck()
    assert_accessible(page)
    shoot(page, "federacao-juntar", sizes=("phone", "laptop"), full_page=True)
    page.get_by_role("button", name="Juntar as duas instalações").click()
    page.wait_for_url("**/dados/federacao/")
    expect(page.locator("main")).to_contain_text("Plataforma da nação")

    of_nation, of_town = reader(server, nation), reader(server, town)
    assert set(of_town("Aviso")) == {"urn:x:Aviso:dentro"}  # cut to the municipality
    (bin_,) = of_nation("Contentor").values()
    assert (bin_["cheio"], "dono" in bin_) == (80, False)  # what was not ticked did not leave

    page.get_by_role("link", name="Aviso").click()
    expect(page.get_by_role("heading", name="Aviso de Plataforma da nação")).to_be_visible()
    expect(page.get_by_role("table")).to_contain_text("dentro")
    expect(page.locator("malha-map canvas")).to_be_visible()
    assert_accessible(page)
    shoot(page, "registos-noutra-instalacao", sizes=("phone", "laptop"), full_page=True)
    elsewhere = page.url
    page.goto(f"{server}/{town.slug}/dados/entidades/")
    page.get_by_role("region", name="Nas instalações ligadas").get_by_role("link", name="Plataforma da nação").click()
    assert page.url == elsewhere
    page.goto(f"{elsewhere.rsplit('/', 2)[0]}/todas/")
    expect(page.get_by_role("table")).to_contain_text("Plataforma da nação")
    assert_accessible(page)
    page.get_by_label("Condição").fill("nivel>2")
    page.get_by_role("button", name="Filtrar").click()
    expect(page.get_by_text("Nenhum registo com esta condição.")).to_be_visible()

    page.goto(f"{server}/{town.slug}/dados/federacao/")
    expect(page.locator("main")).to_contain_text("Responderam-nos")
    assert_accessible(page)
    shoot(page, "federacao", sizes=("phone", "laptop"), full_page=True)
    page.get_by_role("button", name="Terminar Plataforma da nação").click()
    expect(page.get_by_text("Nada mais sai nem vem")).to_be_visible()
    assert of_nation("Contentor") == {}
    assert of_town("Aviso") == {}
    assert page.goto(elsewhere).status == 404


def test_another_broker_is_read_with_one_token(page, another_server, towns, sign_in, shoot, assert_accessible):
    server = another_server(MALHA_INTERNAL_HOSTS="*=127.0.0.0/8,*=localhost")
    nation, town = towns
    with database.scope(nation.id):
        machine, secret = identity.create_machine(nation.id, name="Quem lê", capabilities=[Capability.DATA_READ])
    form = {"grant_type": "client_credentials", "client_id": machine.client_id, "client_secret": secret, "scope": "malha"}
    token = httpx.post(f"{server}/{nation.slug}/identity/o/api/token", data=form).json()["access_token"]

    sign_in(page, town, base=server)
    page.goto(f"{server}/{town.slug}/dados/federacao/")
    page.get_by_role("link", name="Ler outro broker NGSI-LD").click()
    assert_accessible(page)
    page.get_by_label("Endereço do broker").fill(f"{server}/{nation.slug}")
    page.get_by_label("Token", exact=False).first.fill("errado")
    page.get_by_role("button", name="Ver o que vem e o que sai").click()
    expect(page.get_by_text("não deixa entrar")).to_be_visible()
    page.get_by_label("Token", exact=False).first.fill(token)
    page.get_by_label("Nome por que fica conhecido aqui").fill("Broker do vizinho")
    page.get_by_role("button", name="Ver o que vem e o que sai").click()
    comes = page.get_by_role("region", name="O que vem")
    expect(comes).to_contain_text("Aviso")
    expect(comes).to_contain_text("2 entidades")
    expect(page.get_by_role("region", name="O que sai").get_by_role("checkbox", name="Contentor")).not_to_be_checked()
    assert_accessible(page)
    shoot(page, "federacao-broker", sizes=("phone", "laptop"), full_page=True)
    page.get_by_role("region", name="O que sai").get_by_role("checkbox", name="Contentor").check()
    page.get_by_role("button", name="Ler este broker").click()
    expect(page.get_by_role("heading", name="Chave para Broker do vizinho")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("link", name="Já a copiei").click()
    of_town = reader(server, town)
    assert set(of_town("Aviso")) == {"urn:x:Aviso:dentro", "urn:x:Aviso:fora"}
    page.get_by_role("button", name="Terminar Broker do vizinho").click()
    expect(page.get_by_text("Nada mais sai nem vem")).to_be_visible()
    assert of_town("Aviso") == {}
