from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.identity import service
from malha.foundation.identity.models import Person
from malha.foundation.mail import service as mail
from malha.foundation.tenancy import service as tenancy


def member(tenant, role, name="Ana"):
    person = service.create_person(f"p-{uuid4().hex[:10]}@exemplo.pt", name=name)
    access.grant(person.id, tenant.id, role)
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(Person.objects.get(pk=person.id))
    return person, browser


@pytest.fixture
def town(new_tenant):
    tenant = new_tenant()
    manager, browser = member(tenant, RoleName.TENANT_MANAGER)
    return tenant, manager, browser


def test_it_works(town):
    tenant, _, browser = town
    colleague, _ = member(tenant, RoleName.VIEWER, "Bruno")
    page = browser.get(f"/{tenant.slug}/gestao/pessoas/").content.decode()
    assert "Bruno" in page
    assert "Nomeie uma segunda pessoa" in page
    browser.post(f"/{tenant.slug}/gestao/pessoas/{colleague.id}/", {"action": "roles", "roles": ["tenant_manager", "publisher"]})
    with tenancy.scope(tenant.id):
        assert {one.role for one in access.members(tenant.id) if one.person_id == colleague.id} == {"tenant_manager", "publisher"}
    assert "Nomeie uma segunda pessoa" not in browser.get(f"/{tenant.slug}/gestao/pessoas/").content.decode()
    browser.post(f"/{tenant.slug}/gestao/pessoas/{colleague.id}/", {"action": "remove"})
    assert access.capabilities_of(colleague.id, tenant.id) == frozenset()


def test_invites(town):
    tenant, _, browser = town
    email = f"novo-{uuid4().hex[:8]}@exemplo.pt"
    assert browser.post(f"/{tenant.slug}/gestao/pessoas/convidar/", {"email": email, "role": "analyst"}).status_code == 302
    assert len(mail.kept(email)) == 1
    page = browser.get(f"/{tenant.slug}/gestao/pessoas/").content.decode()
    assert email in page
    assert "Diga até quando" in browser.post(f"/{tenant.slug}/gestao/pessoas/convidar/", {"email": "x@exemplo.pt", "role": "supplier"}).content.decode()
    refused = browser.post(f"/{tenant.slug}/gestao/pessoas/convidar/", {"email": email, "role": "platform_operator"})
    assert refused.status_code == 200, "the platform's operator is not invited by a town"


def test_the_last_manager_stays(town):
    tenant, manager, browser = town
    for said in ({"action": "remove"}, {"action": "roles", "roles": ["viewer"]}):
        browser.post(f"/{tenant.slug}/gestao/pessoas/{manager.id}/", said)
        with tenancy.scope(tenant.id):
            assert [one.role for one in access.members(tenant.id)] == ["tenant_manager"]


def test_resets_the_second_step(town):
    tenant, _, browser = town
    colleague, theirs = member(tenant, RoleName.VIEWER)
    Authenticator.objects.create(user_id=colleague.id, type=Authenticator.Type.TOTP, data={})
    before = service.person_generation(colleague.id)
    browser.post(f"/{tenant.slug}/gestao/pessoas/{colleague.id}/", {"action": "second_factor"})
    assert not Authenticator.objects.filter(user_id=colleague.id).exists()
    assert service.person_generation(colleague.id) > before
    assert "segundo passo" in mail.kept(colleague.email)[0].subject
    assert theirs is not None


def test_refuses_who_does_not_manage(town):
    tenant, manager, _ = town
    _, viewer = member(tenant, RoleName.VIEWER)
    for path in ("gestao/pessoas/", "gestao/pessoas/convidar/", f"gestao/pessoas/{manager.id}/", "dados/ligacoes/", "dados/ligacoes/nova/"):
        assert viewer.get(f"/{tenant.slug}/{path}").status_code == 403, path


def test_another_towns_people_are_not_here(town, new_tenant):
    _, manager, _ = town
    other = new_tenant()
    _, browser = member(other, RoleName.TENANT_MANAGER)
    assert browser.get(f"/{other.slug}/gestao/pessoas/{manager.id}/").status_code == 404
    assert manager.email not in browser.get(f"/{other.slug}/gestao/pessoas/").content.decode()


def test_a_manager_gives_a_program_only_what_they_may(town):
    tenant, _, browser = town
    answer = browser.post(f"/{tenant.slug}/dados/ligacoes/nova/", {"name": "X", "capabilities": ["platform.operate"]})
    assert answer.status_code == 200
    with tenancy.scope(tenant.id):
        assert service.machines_of(tenant.id) == []
    for wrong in ({"types": "Weather Observed;<b>"}, {"types": "1x"}, {"attributes": "temp erature"}):
        answer = browser.post(f"/{tenant.slug}/dados/ligacoes/nova/", {"name": "X", "capabilities": ["data.read"], **wrong})
        assert "não é um nome" in answer.content.decode()
    answer = browser.post(f"/{tenant.slug}/dados/ligacoes/nova/", {"name": "X", "capabilities": ["data.read"], "types": "Device, WeatherObserved"})
    assert "no-store" in answer.headers["Cache-Control"]
    with tenancy.scope(tenant.id):
        (machine,) = service.machines_of(tenant.id)
    assert machine.types == {"Device", "WeatherObserved"}
    renewed = browser.post(f"/{tenant.slug}/dados/ligacoes/{machine.id}/", {"action": "renew"})
    assert machine.client_id in renewed.content.decode()
