"""The plane in process, with a town of its own for each test; files are named by requirement class of OGC 18-088."""

import warnings
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from malha.context.broker import auth, pool
from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityDocument, EntityTable
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.history.engines import service as engines
from malha.project import plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would like another client than the one that it ships with
    from starlette.testclient import TestClient

START = datetime(2026, 3, 1, tzinfo=UTC)
TYPE = "AirQualityObserved"


def token(tenant, *capabilities, types=None):
    with database.connect(autocommit=True) as conn:
        caps = capabilities or (Capability.DATA_READ, Capability.DATA_WRITE, Capability.PERSONAL_READ)
        more = {"types": types} if types else {}
        return tokens.issue(conn, settings.SECRET_KEY, subject="client:conformance", tenants=[tenant.id], capabilities=caps, **more)


def stations(tenant, count=3, hours=4):
    """`count` stations with a PM10 an hour; station n reads n + hour."""
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        for hour in range(hours):
            uris = [f"urn:x:{TYPE}:{n}" for n in range(count)]
            at = [START + timedelta(hours=hour)] * count
            points = [{"type": "Point", "coordinates": [-8.6 + n / 100, 41.1]} for n in range(count)]
            columns = [Column("pm10", [float(n + hour) for n in range(count)], unit="GQ"), Column("location", points, "GeoProperty")]
            store.upsert_table(conn, tenant.id, EntityTable(TYPE, uris, columns, at))
        named = [EntityDocument(f"urn:x:{TYPE}:{n}", (TYPE,), {"name": {"type": "Property", "value": f"Estação {'ABC'[n % 3]}"}}) for n in range(count)]
        store.upsert_documents(conn, tenant.id, named)


@pytest.fixture
def client():
    """`client(tenant)` speaks to the tenant's service with a token for everything, or for what is named."""
    auth.forget()
    with TestClient(plane.application(), base_url="http://localhost") as made:

        def of(tenant, *capabilities, types=None):
            headers = {"Authorization": f"Bearer {token(tenant, *capabilities, types=types)}"}
            return TestClient(made.app, base_url=f"http://localhost/{tenant.slug}/sensorthings/v1.1/", headers=headers)

        yield of
    pool.close()
    engines.forget_readers()


@pytest.fixture
def town(new_tenant):
    """A town with three stations and four hours of PM10."""
    made = new_tenant()
    stations(made)
    return made


@pytest.fixture
def sta(client, town):
    """The service of a town with stations."""
    return client(town)
