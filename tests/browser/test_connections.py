"""*Ligações* in a browser: found, read, paused, renewed and ended by keyboard alone, in Portuguese and English."""

from uuid import uuid4

import pytest
from playwright.sync_api import expect

from malha.context.subscriptions import service as subscriptions
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.database import django as django_database
from malha.foundation.database import service as database
from malha.foundation.identity import service as identity
from malha.ingest.devices import service as devices
from malha.ingest.devices.contracts import DoorKind
from malha.share.datahub import keys
from malha.vocabulary.contexts import service as contexts


@pytest.fixture
def town(new_tenant):
    """A town with one connection of each kind that is its own, and a vehicle that moved."""
    tenant = new_tenant(name="Vila de Ensaio")
    person = identity.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Rita Analista")
    access.grant(person.id, tenant.id, RoleName.ANALYST)
    said = {
        "type": "Subscription", "subscriptionName": "Contentores cheios", "entities": [{"type": "Contentor"}],
        "notification": {"endpoint": {"uri": "mqtt://ana:segredo@exemplo.pt/avisos"}},
    }  # fmt: skip
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        subscriptions.create(conn, tenant.id, "client:x", said, contexts.CORE)
        devices.open_door(conn, tenant.id, DoorKind.JSON, "Estações do porto")
        keys.create(conn, tenant.id, person.id, "python")
    with django_database.scope(tenant.id):
        identity.create_machine(tenant.id, name="Frota", capabilities=[Capability.DATA_READ], types=None, created_by=None)
    return tenant


def press(page, role, name):
    found = page.get_by_role(role, name=name)
    found.focus()
    page.keyboard.press("Enter")


def test_it_works(page, server, town, sign_in, shoot, assert_accessible):
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/dados/ligacoes/todas/")
    expect(page.get_by_role("heading", name="Quem fala com estes dados")).to_be_visible()
    for name in ("Frota", "python", "Estações do porto", "Contentores cheios"):
        expect(page.get_by_role("rowheader", name=name)).to_be_visible()
    assert "ana:segredo" not in page.content()
    assert_accessible(page)
    shoot(page, "ligacoes", sizes=("phone", "laptop"), themes=("light", "dark"))
    press(page, "button", "Pôr em pausa Contentores cheios")
    expect(page.get_by_text("em pausa").first).to_be_visible()
    page.goto(f"{server}/{town.slug}/dados/ligacoes/todas/")
    page.locator("summary", has_text="Revogar python").focus()
    page.keyboard.press("Enter")
    press(page, "button", "Revogar de vez python")
    expect(page.get_by_text("A chave de Rita Analista deixou de servir.")).to_be_visible()
    expect(page.get_by_role("rowheader", name="python")).to_have_count(0)
    page.locator("#filtro-procurar").fill("porto")
    press(page, "button", "Mostrar")
    expect(page.get_by_role("rowheader")).to_have_count(1)
    page.goto(f"{server}/{town.slug}/dados/ligacoes/todas/?problemas=1")
    expect(page.get_by_text("Nenhuma ligação é assim.")).to_be_visible()
    assert_accessible(page)
