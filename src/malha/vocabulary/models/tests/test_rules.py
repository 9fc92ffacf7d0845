"""How strictly a tenant's data is held to its models: set on a page, kept by tenant and type."""

import pytest
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.vocabulary.models import policy
from malha.vocabulary.models.policy import Mode


@pytest.fixture
def manager(new_tenant):
    """A browser of somebody who manages one tenant, and the tenant."""
    policy.forget()
    tenant = new_tenant()
    person = Person.objects.create(email=f"{tenant.slug}@exemplo.pt", name="Ana")
    access.grant(person.pk, tenant.id, RoleName.TENANT_MANAGER)
    client = Client(headers={"host": "localhost"})
    client.force_login(person)
    return client, tenant


def test_it_works(manager):
    client, tenant = manager
    path = f"/{tenant.slug}/dados/modelos/regras/"
    assert "Ainda não há regras" in client.get(path).content.decode()
    said = {"type": "WasteContainer", "mode": "enforce", "complete_address": "on", "usual_media": "application/ld+json"}
    assert client.post(path, said).status_code == 302
    with tenancy.scope(tenant.id):
        rule = policy.of_tenant(database.current(), tenant.id).of("WasteContainer")
    assert (rule.mode, rule.complete_address) == (Mode.ENFORCE, True)
    assert "Recusar com as razões" in client.get(path).content.decode()
    assert client.post(path, {"remove": "WasteContainer"}).status_code == 302
    with tenancy.scope(tenant.id):
        assert policy.of_tenant(database.current(), tenant.id).of("WasteContainer").mode is Mode.OFF


def test_what_is_no_mode_is_refused(manager):
    client, tenant = manager
    assert client.post(f"/{tenant.slug}/dados/modelos/regras/", {"type": "", "mode": "sometimes"}).status_code == 422


def test_a_type_is_chosen_among_those_that_have_a_model(manager):
    client, tenant = manager
    path = f"/{tenant.slug}/dados/modelos/regras/"
    page = client.get(path).content.decode()
    assert "Qualidade do ar observada (AirQualityObserved)" in page
    assert client.post(path, {"type": "Foo Bar<>", "mode": "warn"}).status_code == 422
    assert "Ainda não há regras" in client.get(path).content.decode()
