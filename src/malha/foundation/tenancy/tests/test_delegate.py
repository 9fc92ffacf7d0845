import time
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.tenancy import country, service
from malha.foundation.tenancy.contracts import AddressTaken, OrganisationKind, WrongPlace
from malha.foundation.tenancy.models import Delegation
from malha.kernel.time import now


@pytest.fixture
def community():
    """The CIM da Região de Aveiro with its eleven members, each at an address of this test's own."""
    mark = uuid4().hex[:8]
    cim = service.create_tenant(slug=f"cim-{mark}", name="CIM", kind=OrganisationKind.INTERMUNICIPAL_COMMUNITY)
    towns = [service.create_municipality(town.dico, slug=f"{town.slug}-{mark}", parent_id=cim.id) for town in country.members("cim-regiao-de-aveiro")]
    assert len(towns) == 11
    return cim, towns


def someone(tenant, role):
    person = get_user_model().objects.create_user(f"{uuid4().hex[:12]}@exemplo.pt")
    access.grant(person.pk, tenant.id, role)
    return person.pk


def test_it_works(community):
    cim, towns = community
    for town in towns[:3]:
        service.delegate(town.id, cim.id, by="person:1")
    with service.scope(cim.id):
        assert {member.id for member in service.delegating_members(cim.id)} == {town.id for town in towns[:3]}


def test_of_eleven_of_which_three_delegated_it_sees_three(community):
    cim, towns = community
    manager = someone(cim, RoleName.TENANT_MANAGER)
    for town in towns[:3]:
        service.delegate(town.id, cim.id)
    assert access.tenants_of(manager)[0].id == cim.id
    assert {door.id for door in access.tenants_of(manager)} == {cim.id, *(town.id for town in towns[:3])}
    for town in towns:
        may = access.capabilities_of(manager, town.id)
        assert (Capability.TENANT_MANAGE in may) == (town in towns[:3])
        assert Capability.PERSONAL_READ not in may
        assert Capability.AGREEMENTS_MANAGE not in may


def test_what_was_given_can_be_taken_back_at_once(community):
    cim, towns = community
    manager = someone(cim, RoleName.TENANT_MANAGER)
    service.delegate(towns[0].id, cim.id)
    assert service.end_delegation(towns[0].id, cim.id)
    assert access.capabilities_of(manager, towns[0].id) == frozenset()
    assert {door.id for door in access.tenants_of(manager)} == {cim.id}
    with service.scope(towns[0].id):
        assert [one.in_force for one in service.delegations(towns[0].id)] == [False]


def test_the_community_cannot_give_itself_anything(community):
    cim, towns = community
    with service.scope(cim.id), pytest.raises(Exception, match="row-level security"):
        Delegation.objects.create(tenant_id=towns[0].id, delegate_id=cim.id, valid_from=now())


def test_a_new_member_is_offered_its_community_first(community):
    cim, towns = community
    assert service.offered_delegate(towns[5].id).id == cim.id
    alone = service.create_municipality("0105", slug=f"aveiro-{uuid4().hex[:6]}")
    assert service.organisation(service.by_name("cim-regiao-de-aveiro").id).kind == OrganisationKind.INTERMUNICIPAL_COMMUNITY
    assert service.offered_delegate(alone.id) is None  # its community by law has no service of its own here


def test_only_a_community_can_be_asked(community):
    _cim, towns = community
    with pytest.raises(WrongPlace):
        service.delegate(towns[0].id, towns[1].id)


def test_a_tenant_for_a_real_municipality_is_filled_from_the_facts():
    started = time.perf_counter()
    tenant = service.create_municipality("4901", slug=f"corvo-{uuid4().hex[:6]}")
    assert time.perf_counter() - started < 1
    assert (tenant.name, str(tenant.zone), tenant.crs, tenant.dico) == ("Corvo", "Atlantic/Azores", "EPSG:5014", "4901")
    west, south, east, north = tenant.extent
    assert west < tenant.centre[0] < east
    assert south < tenant.centre[1] < north


def test_addresses_of_the_platform_are_not_given_away():
    for slug in ("conta", "ngsi-ld", "gestao"):
        with pytest.raises(AddressTaken):
            service.create_tenant(slug=slug, name="X", kind=OrganisationKind.MUNICIPALITY)
    tenant = service.create_tenant(slug=f"x-{uuid4().hex[:6]}", name="X", kind=OrganisationKind.MUNICIPALITY)
    with pytest.raises(AddressTaken):
        service.create_tenant(slug=tenant.slug, name="Y", kind=OrganisationKind.MUNICIPALITY)


def test_kinds_stand_where_they_may(new_tenant):
    town = new_tenant()
    parish = service.create_organisation(slug=f"f-{uuid4().hex[:6]}", name="Freguesia", kind=OrganisationKind.PARISH, parent_id=town.id)
    assert [child.id for child in service.children(town.id)] == [parish.id]
    with pytest.raises(WrongPlace):
        service.create_organisation(slug=f"n-{uuid4().hex[:6]}", name="Nação", kind=OrganisationKind.NATION, parent_id=town.id)
    for kind in OrganisationKind:
        service.create_organisation(slug=f"{kind.replace('_', '-')}-{uuid4().hex[:6]}", name=kind, kind=kind)
