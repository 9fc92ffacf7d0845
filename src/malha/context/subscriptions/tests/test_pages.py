"""*Subscrições*: seen, paused, resumed, renewed and ended by who manages connections, and by nobody else."""

from uuid import uuid4

import pytest
from django.test import Client

from malha.context.subscriptions import service
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.vocabulary.contexts import service as contexts


def browser_of(tenant, role):
    from malha.foundation.identity import service as identity
    from malha.foundation.identity.models import Person

    person = identity.create_person(f"p-{uuid4().hex[:10]}@exemplo.pt", name="Ana")
    access.grant(person.id, tenant.id, role)
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(Person.objects.get(pk=person.id))
    return browser


@pytest.fixture
def town(new_tenant):
    tenant = new_tenant()
    said = {
        "type": "Subscription", "subscriptionName": "Contentores cheios", "entities": [{"type": "Contentor"}], "q": "nivel>80",
        "notification": {"endpoint": {"uri": "mqtt://vila:segredo@exemplo.pt/contentores"}},
    }  # fmt: skip
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        service.create(conn, tenant.id, "client:x", said, contexts.CORE)
        ((kept, _),) = service.page(conn, tenant.id)
    return tenant, kept


def status_of(tenant):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        return [service.status(kept) for kept, _ in service.page(conn, tenant.id)]


def test_it_works(town):
    tenant, kept = town
    browser = browser_of(tenant, RoleName.TENANT_MANAGER)
    root = f"/{tenant.slug}/dados/ligacoes/subscricoes/"
    page = browser.get(root).content.decode()
    assert "Contentores cheios" in page
    assert "segredo" not in page
    page = browser.get(f"{root}{kept.id}/").content.decode()
    assert "nivel&gt;80" in page
    assert "segredo" not in page
    for action, status in (("pause", ["paused"]), ("resume", ["active"]), ("renew", ["active"]), ("end", [])):
        assert browser.post(f"{root}{kept.id}/mudar/", {"action": action}).status_code == 302
        assert status_of(tenant) == status
    assert "Ninguém subscreveu" in browser.get(root).content.decode()


def test_others_do_not_see_it(town, new_tenant):
    tenant, kept = town
    for role in (RoleName.VIEWER, RoleName.ANALYST, RoleName.OPERATOR):
        assert browser_of(tenant, role).get(f"/{tenant.slug}/dados/ligacoes/subscricoes/").status_code == 403
    other = new_tenant()
    stranger = browser_of(other, RoleName.TENANT_MANAGER)
    assert stranger.get(f"/{other.slug}/dados/ligacoes/subscricoes/{kept.id}/").status_code == 404
    assert stranger.post(f"/{other.slug}/dados/ligacoes/subscricoes/{kept.id}/mudar/", {"action": "end"}).status_code == 404
    assert status_of(tenant) == ["active"]
