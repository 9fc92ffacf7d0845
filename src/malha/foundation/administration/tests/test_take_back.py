"""A delegation that ends: what the community's people hold for the plane ends with it, not a quarter of an hour later."""

import time
import warnings
from uuid import uuid4

from django.test import Client

from malha.context.broker import auth, pool
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import OrganisationKind
from malha.foundation.tokens import service as tokens
from malha.project import plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


def entered(tenant, role=RoleName.TENANT_MANAGER):
    card = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Ana")
    access.grant(card.id, tenant.id, role)
    browser = Client(headers={"host": "localhost"})
    browser.force_login(Person.objects.get(pk=card.id))
    return browser


def test_it_works(new_tenant):
    town, community = new_tenant(), new_tenant(kind=OrganisationKind.INTERMUNICIPAL_COMMUNITY)
    tenancy.delegate(town.id, community.id)
    theirs, ours = entered(community), entered(town)
    theirs.get(f"/{town.slug}/dados/entidades/")
    held = {"Cookie": f"malha_plane={theirs.cookies['malha_plane'].value}"}
    auth.forget()
    with TestClient(plane.application(), base_url=f"http://localhost/{town.slug}/") as reader:
        assert reader.get("ngsi-ld/v1/types", headers=held).status_code == 200
        assert ours.post(f"/{town.slug}/gestao/delegacao/{community.id}/retirar/").status_code == 302
        time.sleep(tokens.REVOKED_SECONDS + 0.1)
        assert reader.get("ngsi-ld/v1/types", headers=held).status_code == 401
    pool.close()
    assert theirs.get(f"/{town.slug}/dados/entidades/").status_code in {302, 403}
