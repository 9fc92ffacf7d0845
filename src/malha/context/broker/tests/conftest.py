"""A client of the plane in process, and tokens as identity issues them."""

import warnings

import pytest
from django.conf import settings

from malha.context.broker import auth, pool
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.project import plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would like another client than the one that it ships with
    from starlette.testclient import TestClient

READ_WRITE = (Capability.DATA_READ, Capability.DATA_WRITE)


def issue(*tenant_ids, capabilities=READ_WRITE, subject="client:test", types=None):
    with database.connect(autocommit=True) as conn:
        return tokens.issue(conn, settings.SECRET_KEY, subject=subject, tenants=tenant_ids, capabilities=capabilities, types=types)


@pytest.fixture
def client():
    """The plane; `client.of(tenant)` is a client of one tenant with a token that may read and write."""
    auth.forget()
    with TestClient(plane.application(), base_url="http://localhost") as made:

        def of(tenant, **token):
            one = TestClient(made.app, base_url="http://localhost", headers={"Authorization": f"Bearer {issue(tenant.id, **token)}"})
            one.base_url, one.portal = f"http://localhost/{tenant.slug}/ngsi-ld/v1/", made.portal
            return one

        made.of, made.issue = of, issue
        yield made
    pool.close()
