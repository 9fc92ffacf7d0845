import json
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from django.conf import settings

from malha.context.broker import auth, pool
from malha.context.live import hub, streams
from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.database import service as database
from malha.foundation.events.contracts import Event
from malha.foundation.tokens import service as tokens
from malha.kernel.time import now
from malha.project import plane


@pytest.fixture
def served():
    """The plane on a port of its own, in a thread."""
    auth.forget()
    server = uvicorn.Server(uvicorn.Config(plane.application(), port=0, log_level="warning", timeout_graceful_shutdown=3))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    hub.stop_all()
    server.should_exit = True
    thread.join(10)
    pool.close()
    assert not thread.is_alive()


def token(tenant, **more):
    with database.connect(autocommit=True) as conn:
        caps = more.pop("capabilities", [Capability.DATA_READ])
        return tokens.issue(conn, settings.SECRET_KEY, subject=more.pop("subject", "client:t"), tenants=[tenant.id], capabilities=caps, **more)


def write(tenant, kind="W", value=1):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        store.upsert_table(conn, tenant.id, EntityTable(kind, [f"urn:x:{kind}:1"], [Column("a", [value])]))


@contextmanager
def listening(url, tenant, *, types="", last="", **more):
    headers = {"Authorization": f"Bearer {token(tenant, **more)}"} | ({"Last-Event-ID": last} if last else {})
    with httpx.stream("GET", f"{url}/{tenant.slug}/events/stream?types={types}", headers=headers, timeout=10) as answer:
        assert answer.status_code == 200, answer.read()
        lines = answer.iter_lines()
        yield events(lines)


def events(lines):
    """(event, id, data) as they come."""
    found = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            found[name] = value
        elif found:
            yield found.get("event"), found.get("id"), json.loads(found["data"])
            found = {}


def test_it_works(served, new_tenant):
    town, other = new_tenant(), new_tenant()
    with listening(served, town) as stream:
        assert next(stream)[0] == "hello"
        write(other)
        started = time.monotonic()
        write(town)
        name, id_, data = next(stream)
        assert time.monotonic() - started < 3
    assert name == "entities.changed"
    assert data["payload"]["type"] == "W"
    assert data["payload"]["count"] == 1
    write(town, value=2)
    write(town, kind="Other", value=2)
    with listening(served, town, types="Other", last=id_) as stream:
        assert [next(stream)[0], next(stream)[2]["payload"]["type"]] == ["hello", "Other"]


def test_who_may(served, new_tenant):
    town, other = new_tenant(), new_tenant()
    url = f"{served}/{town.slug}/events/stream"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"Authorization": f"Bearer {token(other)}"}).status_code == 403
    assert httpx.get(url, headers={"Authorization": f"Bearer {token(town, capabilities=[])}"}).status_code == 403


def test_types_within_reach():
    event = lambda name, **payload: Event(1, 5, 6, name, payload, now())  # noqa: E731
    narrow, wide = Principal(1, types=frozenset({"A"})), Principal(1)
    assert streams.passes(event("entities.changed", type="A"), narrow, frozenset())
    assert not streams.passes(event("entities.changed", type="B"), narrow, frozenset())
    assert not streams.passes(event("alarm.opened", id=1), narrow, frozenset())
    assert streams.passes(event("alarm.opened", id=1), wide, frozenset())
    assert streams.passes(event("entities.deleted", types=["A", "B"]), wide, frozenset({"B"}))
    assert not streams.passes(event("entities.deleted", types=["A"]), wide, frozenset({"B"}))
    assert streams.position("12-34") == (12, 34)
    assert streams.position("x") is None


def test_stream_ends_when_the_process_is_asked_to(served, new_tenant):
    town = new_tenant()
    with listening(served, town) as stream:
        next(stream)
        hub.stop_all()
        assert list(stream) == []
