from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpResponse
from django.test import RequestFactory

from malha.foundation.access import rules, service
from malha.foundation.access.contracts import Capability, NotAllowed, RoleName
from malha.foundation.access.views import requires
from malha.foundation.tenancy import service as tenancy
from malha.kernel.time import now


@pytest.fixture
def person():
    def make(**fields):
        from uuid import uuid4

        return get_user_model().objects.create_user(f"{uuid4().hex[:12]}@exemplo.pt", **fields)

    return make


def request(tenant, person, path="/pagina/"):
    made = RequestFactory().get(path)
    made.tenant, made.user = tenant, person
    return made


def test_it_works(new_tenant, person):
    tenant, other, someone = new_tenant(), new_tenant(), person()
    assert service.capabilities_of(someone.pk, tenant.id) == frozenset()
    service.grant(someone.pk, tenant.id, RoleName.ANALYST)
    assert service.capabilities_of(someone.pk, tenant.id) == rules.ROLES[RoleName.ANALYST]
    assert service.capabilities_of(someone.pk, other.id) == frozenset()
    assert service.revoke(someone.pk, tenant.id) == 1
    assert service.capabilities_of(someone.pk, tenant.id) == frozenset()


def test_a_role_ends(new_tenant, person):
    tenant, someone = new_tenant(), person()
    service.grant(someone.pk, tenant.id, RoleName.VIEWER, until=now() + timedelta(seconds=1))
    assert Capability.DATA_READ in service.capabilities_of(someone.pk, tenant.id)
    import time

    time.sleep(1.1)
    assert service.capabilities_of(someone.pk, tenant.id) == frozenset()


def test_a_supplier_has_a_window(new_tenant, person):
    tenant, someone = new_tenant(), person()
    service.grant(someone.pk, tenant.id, RoleName.SUPPLIER, {"types": ["WasteContainer"]}, since=now() + timedelta(days=1), until=now() + timedelta(days=2))
    assert service.capabilities_of(someone.pk, tenant.id) == frozenset()


def test_types_limit_a_reader_unless_another_role_has_no_limit(new_tenant, person):
    tenant, someone = new_tenant(), person()
    service.grant(someone.pk, tenant.id, RoleName.SUPPLIER, {"types": ["WasteContainer"]})
    assert service.principal(request(tenant, someone)).types == {"WasteContainer"}
    service.grant(someone.pk, tenant.id, RoleName.VIEWER)
    assert service.principal(request(tenant, someone)).types is None


def test_the_manager_does_not_read_what_is_about_people():
    assert Capability.PERSONAL_READ not in rules.ROLES[RoleName.TENANT_MANAGER]
    assert Capability.DATA_READ not in rules.ROLES[RoleName.PLATFORM_OPERATOR]
    assert set(rules.ROLES) == set(RoleName)


def test_the_operator_of_the_platform_reads_no_tenant(new_tenant, person):
    operator = person()
    service.make_operator(operator.pk, by="comando")
    assert service.capabilities_of(operator.pk, None) == rules.ROLES[RoleName.PLATFORM_OPERATOR]
    assert service.capabilities_of(operator.pk, new_tenant().id) == frozenset()


def test_a_page_asks_for_a_capability(new_tenant, person, monkeypatch):
    tenant, someone = new_tenant(), person()

    @requires(Capability.AUDIT_READ)
    def page(_request):
        return HttpResponse("ok")

    monkeypatch.setattr("malha.foundation.access.views.render_to_string", lambda *_args: "não")
    assert page(request(tenant, AnonymousUser())).status_code == 302
    assert page(request(tenant, someone)).status_code == 403
    service.grant(someone.pk, tenant.id, RoleName.TENANT_MANAGER)
    assert page(request(tenant, someone)).status_code == 200
    with pytest.raises(Http404):
        page(request(None, someone))
    with pytest.raises(NotAllowed):
        service.principal(request(tenant, person())).require(Capability.AUDIT_READ)


def test_the_rows_of_another_tenant_are_not_seen(new_tenant, person):
    tenant, other, someone = new_tenant(), new_tenant(), person()
    service.grant(someone.pk, tenant.id, RoleName.VIEWER)
    with tenancy.scope(other.id):
        assert service.members(tenant.id) == []
    with tenancy.scope(tenant.id):
        assert [member.person_id for member in service.members(tenant.id)] == [someone.pk]
