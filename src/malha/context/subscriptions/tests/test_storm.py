"""A thousand subscriptions, a hundred of which never answer: the others are told as soon as without them, once, in order, within bounds."""

import time

import psutil
import pytest

from malha.context.subscriptions import queries, service
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.vocabulary.contexts import service as contexts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
GOOD, DEAD, ADDRESSES = 900, 100, 51  # of the dead, fifty have an address each and fifty share one
THINGS = 100
CALM, STORM, PER_SECOND = 200, 400, 40
MOST_CONNECTIONS, MOST_BYTES = 200, 200 * 2**20
#: how long a receiver is waited for: whoever stands behind one that hangs waits that long
TIMEOUT_SECONDS = 5.0


def test_a_hundred_that_never_answer_harm_nobody(client, start_worker, receivers, new_tenant):
    town, there = client.of(new_tenant()), receivers(ADDRESSES)
    subscribe(town, [(f"urn:x:Contentor:{n}" if n < THINGS else f"urn:x:Outro:{n}", there.good) for n in range(GOOD)])
    worker = psutil.Process(start_worker().pid)
    calm, before, _ = write(town, worker, there, 0, CALM)
    subscribe(town, [(f"urn:x:Contentor:{n}", there.hanging[max(0, n - DEAD + ADDRESSES)]) for n in range(DEAD)])
    storm, most, connections = write(town, worker, there, CALM, STORM)
    assert most - before < MOST_BYTES
    assert connections <= MOST_CONNECTIONS
    without, with_ = late(calm), late(storm)
    assert with_ < max(3 * without, TIMEOUT_SECONDS / 5), f"p95 {with_:.3f} s, {without:.3f} s before"
    with database.connect(Role.COMPACTOR, autocommit=True) as conn:
        waiting = conn.execute("SELECT count(*) FROM notification WHERE tenant_id = %s", [town.tenant.id]).fetchone()[0]
        assert waiting == STORM, "what the dead have not taken waits for them, and nothing else"
        assert queries.revisions(conn, [town.tenant.id])


def subscribe(town, wanted):
    """One subscription for each (id of the entity, address)."""
    with database.connect() as conn, database.tenant_transaction(conn, [town.tenant.id]):
        for uri, address in wanted:
            said = {"type": "Subscription", "entities": [{"type": uri.split(":")[2], "id": uri}], "notification": {"endpoint": {"uri": address}}}
            service.create(conn, town.tenant.id, f"client:{town.machine.client_id}", said, contexts.CORE)


def write(town, worker, there, first, count):
    """Make `count` changes at a steady pace. (seconds until each was told, most memory of the worker, most connections to those that hang)"""
    sent, got, most, start = {}, [], 0, time.monotonic()
    for n in range(count):
        value = first + n
        sent[value] = time.monotonic()
        assert town.post("entityOperations/upsert", json=[bin_(value % THINGS, value)]).status_code in {201, 204}
        most = max(most, worker.memory_info().rss)
        time.sleep(max(0.0, start + (n + 1) / PER_SECOND - time.monotonic()))
    end = time.monotonic() + 60
    while len(got) < count and time.monotonic() < end:
        found, connections = there.report()
        got += found
        time.sleep(0.1)
    values = [value for _, _, _, value in got]
    assert sorted(values) == sorted(sent), "lost, or told twice"
    assert len({name for _, name, _, _ in got}) == count
    for number in range(THINGS):
        mine = [value for value in values if value % THINGS == number]
        assert mine == sorted(mine), "out of order within one entity"
    return [at - sent[value] for at, _, _, value in got], most, connections


def late(seconds):
    """The time within which 95 of 100 were told."""
    return sorted(seconds)[int(len(seconds) * 0.95)]


def bin_(number, value):
    return {"id": f"urn:x:Contentor:{number}", "type": "Contentor", "nivel": {"type": "Property", "value": value}}
