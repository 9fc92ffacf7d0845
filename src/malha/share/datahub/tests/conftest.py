"""The plane in process, keys of people, and a town with a few entities and a history."""

import warnings
from uuid import uuid4

import pytest

from malha.context.broker import auth, pool
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.history.engines import service as engines
from malha.share.datahub import keys, tables
from malha.share.datahub.tests.town import air, basic


@pytest.fixture
def key_of():
    """`key_of(tenant)` is the text of a new key of a new analyst; `role`, `scope`, `with_personal` at will."""
    from malha.foundation.access import service as access
    from malha.foundation.identity import service as people

    def make(tenant, *, role=RoleName.ANALYST, scope=None, with_personal=False, tool="python"):
        person = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Analista")
        access.grant(person.id, tenant.id, role, scope)
        with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
            return keys.create(conn, tenant.id, person.id, tool, with_personal=with_personal)[1]

    return make


@pytest.fixture
def client(key_of):
    """The plane; `client.of(tenant)` is a client of its address with a key of an analyst."""
    from malha.project import plane

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # starlette would like another client than the one that it ships with
        from starlette.testclient import TestClient
    auth.forget()
    tables.forget()
    with TestClient(plane.application(), base_url="http://localhost") as made:

        def of(tenant, **wanted):
            one = TestClient(made.app, base_url="http://localhost", headers=basic(key_of(tenant, **wanted)))
            one.base_url = f"http://localhost/{tenant.slug}/"
            return one

        made.of = of
        yield made
    pool.close()
    engines.forget_readers()


@pytest.fixture
def town(new_tenant):
    """A town with five stations and three hours of PM10, nothing of it compacted."""
    made = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [made.id]):
        air(conn, made.id)
    return made
