from uuid import uuid4

import pytest
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.identity import service
from malha.foundation.identity.models import Person
from malha.foundation.mail import service as mail
from malha.foundation.tenancy import country
from malha.foundation.tenancy import service as tenancy


def browse(person=None):
    browser = Client(SERVER_NAME="localhost")
    if person:
        browser.force_login(Person.objects.get(pk=person.id))
    return browser


@pytest.fixture
def operator():
    person = service.create_person(f"op-{uuid4().hex[:8]}@exemplo.pt", name="Operadora")
    access.make_operator(person.id)
    return person


def free_dico():
    taken = {tenancy.by_id(one).slug for one in tenancy.all_ids()}
    return next(one for one in country.municipalities().values() if one.slug not in taken)


def test_it_works(operator):
    town, email = free_dico(), f"gestora-{uuid4().hex[:8]}@exemplo.pt"
    browser = browse(operator)
    page = browser.get("/plataforma/criar/").content.decode()
    assert page.count("<option") == 309
    assert browser.post("/plataforma/criar/", {"dico": town.dico, "email": email, "name": "Gestora"}).status_code == 302
    tenant = tenancy.by_slug(town.slug)
    assert tenant.dico == town.dico
    assert f"/{town.slug}/conta/convite/" in mail.kept(email)[0].body
    assert town.name in browser.get("/plataforma/").content.decode()
    assert access.capabilities_of(operator.id, tenant.id) == frozenset(), "whoever makes a town does not see it"
    again = browser.post("/plataforma/criar/", {"dico": town.dico, "email": email})
    assert "já está ocupado" in again.content.decode()


def test_is_for_the_operator(new_tenant):
    tenant = new_tenant()
    person = service.create_person(f"p-{uuid4().hex[:8]}@exemplo.pt")
    access.grant(person.id, tenant.id, RoleName.TENANT_MANAGER)
    for path in ("/plataforma/", "/plataforma/criar/", f"/plataforma/{tenant.slug}/convidar/", "/plataforma/correio/"):
        assert browse(person).get(path).status_code == 403, path
        assert browse().get(path).status_code == 302, path


def test_a_community_makes_its_members():
    entity = next(one for one in country.entities() if len(country.members(one)) > 5)
    community = tenancy.create_entity(entity)
    person = service.create_person(f"cim-{uuid4().hex[:8]}@exemplo.pt")
    access.grant(person.id, community.id, RoleName.TENANT_MANAGER)
    page = browse(person).get(f"/{community.slug}/gestao/municipios/criar/").content.decode()
    assert page.count("<option") == len(country.members(entity)) + 1


def test_the_landing_lists_the_doors(new_tenant):
    tenant, other = new_tenant(name="Vila das Portas"), new_tenant(name="Vila Fechada")
    person = service.create_person(f"p-{uuid4().hex[:8]}@exemplo.pt")
    access.grant(person.id, tenant.id, RoleName.VIEWER)
    page = browse(person).get("/").content.decode()
    assert f'href="/{tenant.slug}/"' in page
    assert other.name not in page
    assert browse(person).get("/conta/entrou/").url == f"/{tenant.slug}/"
    assert "Vila das Portas" not in browse().get("/").content.decode()
