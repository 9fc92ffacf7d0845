from contextlib import contextmanager

import psycopg
import pytest

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.events import queries, service
from malha.foundation.events.dispatcher import ATTEMPTS, Dispatcher


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@contextmanager
def connections():
    with database.connect(Role.COMPACTOR, autocommit=True) as outbox, database.connect(autocommit=True) as tenants:
        yield outbox, tenants


def publish(connection, tenant, name, **payload):
    with database.tenant_transaction(connection, [tenant.id]):
        service.publish(connection, tenant.id, name, payload)


@pytest.fixture
def heard(new_tenant):
    """A tenant, a list of what the consumer heard of it, and a dispatcher that starts where the outbox ends."""
    tenant = new_tenant()
    seen = []

    def consumer(connection, event):
        if event.tenant_id == tenant.id:
            seen.append(event.payload["n"])

    consumer.__qualname__ += f".{tenant.id}"
    dispatcher = Dispatcher({"thing.done": [consumer], "thing.undone": [consumer]}, clock=Clock())
    with connections() as (outbox, _):
        dispatcher.readers[0].position = queries.horizon(outbox)
    return tenant, seen, dispatcher


def drain(dispatcher):
    with connections() as (outbox, tenants):
        while dispatcher.dispatch(outbox, tenants):
            pass


def test_it_works(heard):
    tenant, seen, dispatcher = heard
    with database.connect(autocommit=True) as connection:
        publish(connection, tenant, "thing.done", n=1)
        publish(connection, tenant, "another", n=2)
        publish(connection, tenant, "thing.undone", n=3)
    drain(dispatcher)
    drain(dispatcher)
    assert seen == [1, 3]


def test_what_is_undone_was_never_said(heard):
    tenant, seen, dispatcher = heard
    with database.connect() as connection, pytest.raises(ZeroDivisionError), database.tenant_transaction(connection, [tenant.id]):  # noqa: PT012 -- the point is what the error undoes
        service.publish(connection, tenant.id, "thing.done", {"n": 1})
        raise ZeroDivisionError
    drain(dispatcher)
    assert seen == []


def test_a_transaction_held_open_across_a_dispatch_loses_nothing(heard):
    tenant, seen, dispatcher = heard
    with database.connect() as slow, database.connect(autocommit=True) as quick:
        with database.tenant_transaction(slow, [tenant.id]):
            service.publish(slow, tenant.id, "thing.done", {"n": "slow"})  # takes its number first …
            publish(quick, tenant, "thing.done", n="quick")
            drain(dispatcher)
            assert seen == []  # … so nothing after it is settled yet
        drain(dispatcher)
    assert sorted(seen) == ["quick", "slow"]


def test_a_new_dispatcher_goes_on_where_the_old_one_stood(heard):
    tenant, seen, dispatcher = heard
    with database.connect(autocommit=True) as connection:
        publish(connection, tenant, "thing.done", n=1)
        drain(dispatcher)
        publish(connection, tenant, "thing.done", n=2)
    reader = dispatcher.readers[0]
    successor = Dispatcher({"thing.done": [reader.call]})
    with connections() as (outbox, tenants):
        successor.load(outbox)
        while successor.dispatch(outbox, tenants):
            pass
    assert seen == [1, 2]


def test_a_failing_consumer_holds_up_nobody_and_its_event_is_set_aside(heard):
    tenant, seen, dispatcher = heard
    tried = []

    def failing(connection, event):
        if event.tenant_id == tenant.id:
            tried.append(event.payload["n"])
            if event.payload["n"] == 1:
                connection.execute("SELECT 1/0")

    failing.__qualname__ += f".{tenant.id}"
    both = Dispatcher({"thing.done": [failing, dispatcher.readers[0].call]}, clock=dispatcher.clock)
    for reader in both.readers:
        reader.position = dispatcher.readers[0].position
    with database.connect(autocommit=True) as connection:
        publish(connection, tenant, "thing.done", n=1)
        publish(connection, tenant, "thing.done", n=2)
    for _ in range(ATTEMPTS):
        drain(both)
        dispatcher.clock.now += 20
    assert seen == [1, 2]
    assert tried == [1] * ATTEMPTS + [2]
    with database.connect() as connection, database.tenant_transaction(connection, [tenant.id]):
        assert connection.execute("SELECT name, error FROM outbox_failure").fetchall() == [("thing.done", "DivisionByZero: division by zero")]


def test_heard_events_are_trimmed(heard):
    tenant, _seen, dispatcher = heard
    dispatcher.keep_seconds = -1
    with database.connect(autocommit=True) as connection:
        publish(connection, tenant, "thing.done", n=1)
        drain(dispatcher)
        publish(connection, tenant, "thing.done", n=2)
    with connections() as (outbox, _):
        dispatcher.trim(outbox)
        left = outbox.execute("SELECT payload->>'n' FROM outbox WHERE tenant_id = %s", [tenant.id]).fetchall()
    assert left == [("2",)]


def test_a_stream_reads_its_own_tenant(new_tenant):
    tenant, other = new_tenant(), new_tenant()
    with database.connect(autocommit=True) as connection:
        here = service.here(connection)
        publish(connection, tenant, "thing.done", n=1)
        publish(connection, other, "thing.done", n=2)
        with database.tenant_transaction(connection, [tenant.id]):
            assert [event.payload for event in service.since(connection, tenant.id, here)] == [{"n": 1}]
            assert service.since(connection, other.id, here) == []


def test_waking_is_heard():
    with database.connect(autocommit=True) as connection:
        connection.execute("LISTEN malha_outbox")
        service.wake()
        assert [notice.channel for notice in connection.notifies(timeout=2, stop_after=1)] == ["malha_outbox"]


def test_the_application_cannot_change_what_was_said(new_tenant):
    tenant = new_tenant()
    with database.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege), database.tenant_transaction(connection, [tenant.id]):
        connection.execute("DELETE FROM outbox")
