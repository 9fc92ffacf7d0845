"""What a town keeps, for how long, and what it lets go: tables and their versions, retention, copies and erasure, in a browser."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.lake import service as lake
from malha.history.lake.tests.test_bulk_load import make_entities
from malha.history.lake.tests.test_compact import write_hot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BOTH = {"sizes": ("phone", "laptop"), "themes": ("light", "dark")}


def test_a_table_and_its_versions(page, server, new_tenant, sign_in, shoot, assert_accessible):
    tenant = new_tenant(name="Vila de Ensaio")
    sign_in(page, tenant)
    page.goto(f"{server}/{tenant.slug}/dados/tabelas/")
    assert_accessible(page)
    shoot(page, "tabelas", **BOTH)
    page.locator("input[name=title]").fill("Contratos")
    page.locator("input[name=keys]").fill("código")
    page.locator("input[type=file]").set_input_files(
        {"name": "c.csv", "mimeType": "text/csv", "buffer": "código;nome;valor\n1;Obra A;10,5\n2;Obra B;20\n".encode()}
    )
    page.locator("main form button[type=submit]").first.click()
    expect(page.get_by_role("heading", name="Contratos").first).to_be_visible()
    page.locator("input[type=file]").set_input_files(
        {"name": "c.csv", "mimeType": "text/csv", "buffer": "código;nome;valor\n1;Obra A;12\n3;Obra C;30\n".encode()}
    )
    page.locator("form[action$='nova-versao/'] button[type=submit]").click()
    expect(page.get_by_text("linhas novas: 1")).to_be_visible()
    assert_accessible(page)
    shoot(page, "tabela", **BOTH)
    page.goto(f"{page.url.split('?')[0]}diferencas/?de=1&para=2")
    expect(page.get_by_text("10,5 → 12")).to_be_visible()
    assert_accessible(page)
    shoot(page, "diferencas", **BOTH)


def test_how_long_and_copies(page, server, new_tenant, sign_in, shoot, assert_accessible):
    tenant = new_tenant(name="Vila de Ensaio")
    make_entities(tenant.id, ["urn:ensaio:0"])
    with database.connect(Role.OWNER) as conn:
        (entity,) = conn.execute("SELECT id FROM entity WHERE tenant_id = %s", [tenant.id]).fetchone()
    write_hot(tenant.id, [(entity, datetime.now(UTC) - timedelta(days=days), 1.0) for days in (1, 100, 200)])
    lake.compact(tenant.id)
    sign_in(page, tenant)
    page.goto(f"{server}/{tenant.slug}/gestao/retencao/")
    assert_accessible(page)
    page.get_by_role("link", name="Ensaio", exact=True).click()
    assert_accessible(page)
    shoot(page, "retencao-regra", **BOTH)
    page.locator("[name=how]").select_option("period")
    page.locator("[name=count]").fill("90")
    page.locator("main form button[type=submit]").first.click()
    expect(page.get_by_text("saem já esta noite")).to_be_visible()
    assert_accessible(page)
    shoot(page, "retencao-aviso", **BOTH)
    page.get_by_role("button", name="Guardar, e deixar sair").click()
    expect(page.get_by_text("90 dias")).to_be_visible()
    assert_accessible(page)
    shoot(page, "retencao", **BOTH)
    page.goto(f"{server}/{tenant.slug}/gestao/copias/")
    assert_accessible(page)
    shoot(page, "copias", **BOTH)


def test_a_person_is_looked_for(page, server, new_tenant, sign_in, shoot, assert_accessible):
    tenant = new_tenant(name="Vila de Ensaio")
    make_entities(tenant.id, ["urn:ensaio:Pessoa:Perdigoto"])
    sign_in(page, tenant, role="data_protection_officer")
    page.goto(f"{server}/{tenant.slug}/gestao/apagar-pessoa/")
    assert_accessible(page)
    shoot(page, "apagar-pessoa", **BOTH)
    page.locator("[name=identifiers]").fill("Perdigoto")
    page.locator("main form button[type=submit]").first.click()
    expect(page.get_by_role("heading", name="O que há sobre esta pessoa")).to_be_visible()
    expect(page.get_by_text("urn:ensaio:Pessoa:Perdigoto")).to_be_visible()
    assert_accessible(page)
    shoot(page, "apagar-pessoa-visto", **BOTH)
