"""The plane in process, with a client of a tenant of its own for each test; files are named by clause of GS CIM 009 v1.9.1."""

import dataclasses
import threading
import warnings

import httpx
import pytest
import uvicorn
from django.conf import settings
from tests.conformance.ngsild.sources import CSR, TYPE, Source

from malha.context.broker import auth, pool
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.settings import service as malha_settings
from malha.foundation.tokens import service as tokens
from malha.project import plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would like another client than the one that it ships with
    from starlette.testclient import TestClient


@pytest.fixture
def broker_tenant(new_tenant):
    """The tenant of `broker`; a file of tests may have another."""
    return new_tenant()


@pytest.fixture
def broker(broker_tenant):
    """A client that may read and write everything of one tenant; paths are below /ngsi-ld/v1/."""
    auth.forget()
    with database.connect(autocommit=True) as conn:
        caps = (Capability.DATA_READ, Capability.DATA_WRITE, Capability.PERSONAL_READ)
        token = tokens.issue(conn, settings.SECRET_KEY, subject="client:conformance", tenants=[broker_tenant.id], capabilities=caps)
    with TestClient(plane.application(), base_url=f"http://localhost/{broker_tenant.slug}/ngsi-ld/v1/", headers={"Authorization": f"Bearer {token}"}) as client:
        yield client
    pool.close()


@pytest.fixture
def source(monkeypatch):
    """Makes brokers on loopback, which the operator allows every tenant to ask."""
    conf = dataclasses.replace(malha_settings.current(), internal_hosts=("*=127.0.0.0/8",))
    monkeypatch.setattr(malha_settings, "current", lambda: conf)
    made = []

    def start():
        made.append(Source())
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def other_client():
    """Another machine of the same tenant, at the same plane."""

    def make(client):
        slug = client.base_url.path.split("/")[1]
        with database.connect(autocommit=True) as conn:
            row = conn.execute("SELECT id FROM organisation WHERE slug = %s", [slug]).fetchone()
            token = tokens.issue(
                conn, settings.SECRET_KEY, subject="client:outra", tenants=[row[0]], capabilities=(Capability.DATA_READ, Capability.DATA_WRITE)
            )
        return TestClient(client.app, base_url=str(client.base_url), headers={"Authorization": f"Bearer {token}"})

    return make


class Party:
    """Another tenant behind a port of its own: a broker like ours, asked over the network as any other."""

    def __init__(self, tenant, port):
        self.tenant = tenant
        self.url = f"http://127.0.0.1:{port}/{tenant.slug}/ngsi-ld/v1"
        with database.connect(autocommit=True) as conn:
            caps = (Capability.DATA_READ, Capability.DATA_WRITE)
            self.token = tokens.issue(conn, settings.SECRET_KEY, subject="client:nacional", tenants=[tenant.id], capabilities=caps)
        self.http = httpx.Client(base_url=f"{self.url}/", headers={"Authorization": f"Bearer {self.token}", "Accept": "application/json"}, timeout=30)

    def registered_at(self, broker, *types, **more):
        """The id of a registration of this one at a broker, for these types."""
        said = {
            "type": "ContextSourceRegistration", "endpoint": self.url, "information": [{"entities": [{"type": name} for name in types]}],
            "contextSourceInfo": [{"key": "Authorization", "value": f"Bearer {self.token}"}],
        }  # fmt: skip
        made = broker.post("csourceRegistrations", json={**said, **more})
        assert made.status_code == 201, made.text
        return made.headers["location"].rsplit("/", 1)[-1]


@pytest.fixture
def party(new_tenant, monkeypatch):
    """Makes brokers that are real planes on loopback, each with a tenant of its own."""
    conf = dataclasses.replace(malha_settings.current(), internal_hosts=("*=127.0.0.0/8",))
    monkeypatch.setattr(malha_settings, "current", lambda: conf)
    server = uvicorn.Server(uvicorn.Config(plane.application(), host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    made = []

    def start():
        made.append(Party(new_tenant(), port))
        return made[-1]

    yield start
    for one in made:
        one.http.close()
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def register(broker):
    """Registers a source at the broker, and gives the id of that."""

    def make(source, information=None, **more):
        said = {"type": "ContextSourceRegistration", "endpoint": source.url, "information": information or [{"entities": [{"type": TYPE}]}], **more}
        made = broker.post(CSR, json=said)
        assert made.status_code == 201, made.text
        return made.headers["location"].rsplit("/", 1)[-1]

    return make
