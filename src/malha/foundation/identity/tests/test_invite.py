from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.identity import invitations, service
from malha.foundation.identity.contracts import AlreadyMember, InvitationForAnother, InvitationSpent
from malha.foundation.identity.models import Invitation, Person
from malha.foundation.mail import service as mail
from malha.foundation.tenancy import service as tenancy
from malha.kernel.time import now


def address():
    return f"rita-{uuid4().hex[:10]}@exemplo.pt"


def browse():
    return Client(SERVER_NAME="localhost")


@pytest.fixture
def invited(new_tenant):
    tenant, email = new_tenant(), address()
    with tenancy.scope(tenant.id):
        card, link = invitations.invite(tenant, email=email.upper(), role=RoleName.ANALYST, name="Rita")
    return tenant, email, card, urlsplit(link).path


def secret_of(path):
    return path.rstrip("/").rpartition("/")[2]


def test_it_works(invited):
    tenant, email, card, path = invited
    assert card.expires_at - card.created_at == pytest.approx(timedelta(days=7), abs=timedelta(seconds=5))
    assert path in mail.kept(email)[0].body
    answer = browse().post(path, {"name": "Rita Lopes", "way": "passkey"})
    assert answer.url == f"/{tenant.slug}/conta/2fa/webauthn/add/"
    person = service.by_email(email)
    assert person.name == "Rita Lopes"
    assert Capability.DATA_LOAD in access.capabilities_of(person.id, tenant.id)


def test_works_once(invited):
    _, _, _, path = invited
    browse().post(path, {"name": "Rita", "way": "passkey"})
    answer = browse().post(path, {"name": "Outra", "way": "passkey"})
    assert answer.status_code == 410
    assert "já foi usado" in answer.content.decode()


def test_ends_after_seven_days(invited):
    tenant, _, card, path = invited
    with tenancy.scope(tenant.id):
        Invitation.objects.filter(pk=card.id).update(expires_at=now() - timedelta(seconds=1))
    assert "sete dias" in browse().get(path).content.decode()
    with tenancy.scope(tenant.id), pytest.raises(InvitationSpent):
        invitations.find(tenant.id, secret_of(path))


def test_sending_again_ends_the_first_link(invited):
    tenant, _, card, path = invited
    with tenancy.scope(tenant.id):
        _, link = invitations.resend(tenant, card.id)
    assert browse().get(path).status_code == 410
    assert browse().get(urlsplit(link).path).status_code == 200


def test_withdrawing_ends_the_link(invited):
    tenant, _, card, path = invited
    with tenancy.scope(tenant.id):
        invitations.revoke(tenant, card.id)
    assert browse().get(path).status_code == 410


def test_another_tenants_address_does_not_open_it(invited, new_tenant):
    _, _, _, path = invited
    other = new_tenant()
    assert browse().get(f"/{other.slug}/conta/convite/{secret_of(path)}/").status_code == 410


def test_is_for_one_person(invited):
    tenant, email, _, path = invited
    other = service.create_person(address())
    with tenancy.scope(tenant.id), pytest.raises(InvitationForAnother):
        invitations.accept(tenant.id, secret_of(path), Person.objects.get(pk=other.id))
    browser = browse()
    browser.force_login(Person.objects.get(pk=other.id))
    page = browser.get(path).content.decode()
    assert email in page
    assert other.email in page
    assert access.capabilities_of(other.id, tenant.id) == frozenset()


def test_somebody_known_signs_in_first(new_tenant):
    tenant, person = new_tenant(), service.create_person(address())
    with tenancy.scope(tenant.id):
        _, link = invitations.invite(tenant, email=person.email, role=RoleName.VIEWER)
    path = urlsplit(link).path
    assert f"/{tenant.slug}/conta/login/?next=" in browse().get(path).content.decode()
    browse().post(path, {"name": "Intruso", "way": "passkey"})
    assert access.capabilities_of(person.id, tenant.id) == frozenset(), "the link alone lets nobody into an account"
    browser = browse()
    browser.force_login(Person.objects.get(pk=person.id))
    browser.post(path)
    assert access.capabilities_of(person.id, tenant.id) == {Capability.DATA_READ}
    with tenancy.scope(tenant.id), pytest.raises(AlreadyMember):
        invitations.invite(tenant, email=person.email, role=RoleName.VIEWER)


def test_a_suppliers_role_ends(new_tenant):
    tenant, person, end = new_tenant(), service.create_person(address()), now() + timedelta(days=30)
    with tenancy.scope(tenant.id):
        _, link = invitations.invite(tenant, email=person.email, role=RoleName.SUPPLIER, until=end)
        invitations.accept(tenant.id, secret_of(urlsplit(link).path), Person.objects.get(pk=person.id))
        assert [one.valid_until for one in access.members(tenant.id)] == [end]


def test_the_secret_is_not_kept(invited):
    tenant, _, card, path = invited
    with tenancy.scope(tenant.id):
        assert secret_of(path) not in str(Invitation.objects.filter(pk=card.id).values())
