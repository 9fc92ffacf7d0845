"""The one search finds things of the town by name, never another's."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import django as database
from malha.foundation.identity import service as identity


@pytest.fixture
def enter() -> Any:
    def make(tenant: Any, role: RoleName = RoleName.VIEWER, name: str = "Casa da Câmara") -> Client:
        uri = f"urn:ensaio:PointOfInterest:{tenant.slug}"
        document = EntityDocument(uri, ("PointOfInterest",), {"name": {"type": "Property", "value": name}})
        with database.scope(tenant.id):
            store.upsert_documents(database.current(), tenant.id, [document])
        person = identity.create_person(f"{tenant.slug}@exemplo.pt", name="Ana")
        access.grant(person.id, tenant.id, role)
        client = Client(headers={"host": "localhost"})
        client.force_login(get_user_model().objects.get(pk=person.id))
        return client

    return make


def test_it_works(new_tenant, enter) -> None:
    tenant = new_tenant()
    client = enter(tenant)
    page = client.get(f"/{tenant.slug}/procurar/", {"q": "casa da camara"}).content.decode()
    assert "Casa da Câmara" in page
    assert f"id=urn%3Aensaio%3APointOfInterest%3A{tenant.slug}" in page or f"id=urn:ensaio:PointOfInterest:{tenant.slug}" in page


def test_another_towns_things_are_not_found(new_tenant, enter) -> None:
    here, there = new_tenant(), new_tenant()
    client, _other = enter(here), enter(there, name="Chafariz Escondido")
    page = client.get(f"/{here.slug}/procurar/", {"q": "chafariz"}).content.decode()
    assert "Chafariz Escondido" not in page
    assert "Nada encontrado" in page


def test_a_stranger_finds_nothing(new_tenant, enter) -> None:
    tenant = new_tenant()
    enter(tenant)
    page = Client(headers={"host": "localhost"}).get(f"/{tenant.slug}/procurar/", {"q": "camara"}).content.decode()
    assert "Casa da Câmara" not in page
