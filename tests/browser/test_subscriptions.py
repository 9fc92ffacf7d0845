"""*Subscrições* in a browser: found, read, paused and resumed by keyboard alone."""

import pytest
from playwright.sync_api import expect

from malha.context.subscriptions import service
from malha.foundation.database import service as database
from malha.vocabulary.contexts import service as contexts


@pytest.fixture
def town(new_tenant):
    tenant = new_tenant(name="Vila de Ensaio")
    said = {
        "type": "Subscription", "subscriptionName": "Contentores cheios", "entities": [{"type": "Contentor"}], "watchedAttributes": ["nivel"],
        "notification": {"endpoint": {"uri": "https://exemplo.pt/avisos"}},
    }  # fmt: skip
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        service.create(conn, tenant.id, "client:x", said, contexts.CORE)
    return tenant


def test_it_works(page, server, town, sign_in, shoot, assert_accessible):
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/dados/ligacoes/subscricoes/")
    expect(page.get_by_role("heading", name="Quem é avisado do que muda")).to_be_visible()
    assert_accessible(page)
    shoot(page, "subscricoes", sizes=("phone", "laptop"), themes=("light", "dark"))
    link = page.get_by_role("link", name="Contentores cheios")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Contentores cheios")).to_be_visible()
    assert_accessible(page)
    shoot(page, "subscricao", sizes=("phone", "laptop"), themes=("light", "dark"))
    pause = page.get_by_role("button", name="Pôr em pausa")
    pause.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("em pausa").first).to_be_visible()
    resume = page.get_by_role("button", name="Retomar")
    resume.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pôr em pausa")).to_be_visible()
