"""GS CIM 009 §4.14, §5.5.10, §6.3.14: a tenant made by the first write to it, where the operator and its client's rights allow that."""

import dataclasses
import time
import warnings
from uuid import uuid4

import pytest
from django.conf import settings

from malha.context.broker import auth, founding, pool
from malha.foundation.access import subjects
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as tenants
from malha.foundation.database import service as database
from malha.foundation.identity import service as identity
from malha.foundation.settings import service as malha_settings
from malha.foundation.tokens import service as tokens
from malha.project import plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

WRITER = (Capability.DATA_READ, Capability.DATA_WRITE)
FOUNDER = (*WRITER, Capability.TENANT_CREATE)
ENTITY = {"id": "urn:x:Contentor:1", "type": "Contentor"}


@pytest.fixture
def allow(monkeypatch):
    """The operator lets each client make so many."""

    def at_most(most):
        conf = dataclasses.replace(malha_settings.current(), tenants_by_write=most)
        monkeypatch.setattr(malha_settings, "current", lambda: conf)

    at_most(2)
    return at_most


@pytest.fixture
def machine(new_tenant):
    """Makes machines of tenants of their own, as clients that name a tenant in the header."""
    auth.forget()
    founding.forget()
    app = plane.application()

    def make(capabilities, **limits):
        home = new_tenant()
        with tenants.scope(home.id):
            made, _secret = identity.create_machine(home.id, name="Plataforma", capabilities=capabilities, **limits)
        with database.connect(autocommit=True) as conn:
            token = tokens.issue(conn, settings.SECRET_KEY, subject=f"client:{made.client_id}", tenants=[home.id], capabilities=capabilities)
        client = TestClient(app, base_url="http://localhost/ngsi-ld/v1/", headers={"Authorization": f"Bearer {token}"})
        client.home, client.machine = home, made
        return client

    yield make
    pool.close()


def named():
    return f"vila-{uuid4().hex[:12]}"


def test_the_first_write_makes_it_and_nothing_else_does(allow, machine):
    one, header = machine(FOUNDER), {"NGSILD-Tenant": named()}
    before = one.get("entities", params={"type": "Contentor"}, headers=header)
    assert (before.status_code, before.json()["type"].rsplit("/", 1)[-1], before.headers["NGSILD-Tenant"]) == (
        404,
        "NonexistentTenant",
        header["NGSILD-Tenant"],
    )
    began = time.monotonic()
    made = one.post("entities", json=ENTITY, headers=header)
    assert (made.status_code, made.headers["NGSILD-Tenant"], time.monotonic() - began < 30) == (201, header["NGSILD-Tenant"], True)
    assert one.get("entities/urn:x:Contentor:1", headers=header).status_code == 200
    assert one.get("entities/urn:x:Contentor:1").status_code == 404  # its home is another
    assert one.post("entities", json={**ENTITY, "id": "urn:x:Contentor:2"}, headers=header).status_code == 201


def test_nobody_else_enters_it(allow, machine):
    one, other, header = machine(FOUNDER), machine(FOUNDER), {"NGSILD-Tenant": named()}
    assert one.post("entities", json=ENTITY, headers=header).status_code == 201
    assert [other.get("entities/urn:x:Contentor:1", headers=header).status_code, other.post("entities", json=ENTITY, headers=header).status_code] == [403, 403]


@pytest.mark.parametrize(("capabilities", "limits"), [(WRITER, {}), (FOUNDER, {"types": ["Contentor"]})])
def test_a_client_without_the_right_makes_none(allow, machine, capabilities, limits):
    answer = machine(capabilities, **limits).post("entities", json=ENTITY, headers={"NGSILD-Tenant": named()})
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[-1]) == (404, "NonexistentTenant")


def test_as_many_as_the_operator_allows(allow, machine):
    one = machine(FOUNDER)
    assert [one.post("entities", json=ENTITY, headers={"NGSILD-Tenant": named()}).status_code for _ in range(3)] == [201, 201, 404]
    allow(0)
    assert machine(FOUNDER).post("entities", json=ENTITY, headers={"NGSILD-Tenant": named()}).status_code == 404


@pytest.mark.parametrize("name", ["Vila", "a" * 64, "../etc", "admin", "-a"])
def test_a_name_that_is_no_address(allow, machine, name):
    assert machine(FOUNDER).post("entities", json=ENTITY, headers={"NGSILD-Tenant": name}).status_code == 400


def test_who_is_revoked_at_home_is_out_there_too(allow, machine):
    one, header = machine(FOUNDER), {"NGSILD-Tenant": named()}
    assert one.post("entities", json=ENTITY, headers=header).status_code == 201

    def there():
        with database.connect(autocommit=True) as conn:
            row = conn.execute("SELECT id FROM organisation WHERE slug = %s", [header["NGSILD-Tenant"]]).fetchone()
            with database.tenant_transaction(conn, [row[0]]):
                return subjects.principal(conn, row[0], f"client:{one.machine.client_id}")

    assert there().capabilities == frozenset(WRITER)  # so notifications reach it
    with tenants.scope(one.home.id):
        identity.revoke_machine(one.home.id, one.machine.id, by=1)
    assert there() is None
