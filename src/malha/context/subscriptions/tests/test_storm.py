"""Many subscriptions, receivers that accept and never answer: nothing is lost, memory and connections stay bounded. How fast is for a benchmark to say."""

import asyncio
import threading
import time

import psutil
import pytest

from malha.context.subscriptions import queries, service
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.vocabulary.contexts import service as contexts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
GOOD, DEAD, UPDATES = 900, 100, 400


class Hole:
    """A receiver that takes connections and requests, and never answers. Counts how many were open at once."""

    def __init__(self):
        self.open = self.most = 0
        self.loop = asyncio.new_event_loop()
        self.ports = []
        ready = threading.Event()

        async def hold(reader, writer):
            self.open += 1
            self.most = max(self.most, self.open)
            try:
                while await reader.read(65536):
                    pass
            except OSError:
                pass
            finally:
                self.open -= 1
                writer.close()

        async def start():
            for _ in range(4):
                server = await asyncio.start_server(hold, "127.0.0.1", 0)
                self.ports.append(server.sockets[0].getsockname()[1])
            ready.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.create_task(start())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert ready.wait(5)


def test_a_hundred_that_never_answer_lose_nothing_and_stay_bounded(client, running, receiver, new_tenant):
    town = client.of(new_tenant())
    hole = Hole()
    with database.connect() as conn, database.tenant_transaction(conn, [town.tenant.id]):
        for n in range(GOOD + DEAD):
            uri = receiver.url if n < GOOD else f"http://127.0.0.1:{hole.ports[n % 4]}/x"
            entities = [{"type": "Contentor", "id": f"urn:x:Contentor:{n % 100}"}] if n >= GOOD or n < 100 else [{"type": "Outro", "id": f"urn:x:Outro:{n}"}]
            said = {"type": "Subscription", "entities": entities, "notification": {"endpoint": {"uri": uri}}}
            service.create(conn, town.tenant.id, f"client:{town.machine.client_id}", said, contexts.CORE)
    process = psutil.Process()
    before, most = process.memory_info().rss, 0
    start = time.monotonic()
    for n in range(UPDATES):
        assert town.post("entityOperations/upsert", json=[bin_(n % 100, n)]).status_code in {201, 204}
        most = max(most, process.memory_info().rss)
        time.sleep(max(0.0, start + (n + 1) / 40 - time.monotonic()))
    end = time.monotonic() + 150
    while len(told(receiver)) < UPDATES and time.monotonic() < end:
        time.sleep(0.05)
    values = list(told(receiver).values())
    assert sorted(values) == list(range(UPDATES)), "lost, or told twice under two names"
    for number in range(100):
        mine = [value for value in values if value % 100 == number]
        assert mine == sorted(mine), "out of order within one entity"
    assert most - before < 200 * 2**20
    assert hole.most <= 200
    with database.connect(Role.COMPACTOR, autocommit=True) as conn:
        waiting = conn.execute("SELECT count(*) FROM notification WHERE tenant_id = %s", [town.tenant.id]).fetchone()[0]
        assert waiting >= UPDATES - DEAD * 5, "what the dead have not taken waits for them"
        assert queries.revisions(conn, [town.tenant.id])


def told(receiver):
    """What was told, by the id of its notification: one that was answered too late comes again under the same id."""
    return {body["id"]: body["data"][0]["nivel"]["value"] for body, _ in list(receiver.got)}


def bin_(number, value):
    return {"id": f"urn:x:Contentor:{number}", "type": "Contentor", "nivel": {"type": "Property", "value": value}}
