"""Sources that speak by themselves: asked, written once, waited for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.database import service as database
from malha.ingest.runs import fetching, queries
from malha.ingest.runs.contracts import RunState
from malha.kernel.time import now
from malha.sources.base.contracts import NotReady
from malha.sources.ipma.simulator import Simulator


class Simulated:
    """A fetcher that asks the simulator without a network."""

    def __init__(self, failure=None):
        self.simulator = Simulator(lambda: MOMENT)
        self.failure = failure

    def get_json(self, url):
        if self.failure:
            raise self.failure
        name = url.rsplit("/", 1)[1].removesuffix(".json")
        made = {
            "stations": self.simulator.stations, "observations": self.simulator.observations, "locations": self.simulator.places,
            "warnings_www": self.simulator.warnings, "rcm-d0": lambda: self.simulator.fire_risk(0), "rcm-d1": lambda: self.simulator.fire_risk(1),
        }  # fmt: skip
        return made[name]() if name in made else self.simulator.forecast(name)


MOMENT = now()


@pytest.fixture
def source(new_tenant):
    tenant = new_tenant(name="Aveiro", dico="0105", extent=[-8.75, 40.53, -8.52, 40.73])
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        return fetching.set_up(conn, tenant.id, "ipma", {}, "person:1")


def now_of(source):
    with database.connect() as conn, database.tenant_transaction(conn, [source.tenant_id]):
        return queries.sources(conn, source.tenant_id)[0]


def test_it_works(source):
    result = fetching.fetch(source.tenant_id, source.id, Simulated())
    assert result.state is RunState.DONE
    assert result.counts.created > 0
    with database.connect() as conn, database.tenant_transaction(conn, [source.tenant_id]):
        stations = store.query(conn, [source.tenant_id], EntityQuery(types=("WeatherObserved",), limit=10))
    assert {entity.uri for entity in stations.entities} == {"urn:ipma:WeatherObserved:1990001", "urn:ipma:WeatherObserved:1990002"}
    assert now_of(source).last_heard_at is not None


def test_the_same_answer_twice_changes_nothing(source):
    fetching.fetch(source.tenant_id, source.id, Simulated())
    again = fetching.fetch(source.tenant_id, source.id, Simulated())
    assert again.state is RunState.DONE
    assert again.counts.changes == 0


def test_it_waits_longer_each_time(source):
    assert 48 <= fetching.wait_seconds(1, None, 1800) <= 72
    assert fetching.wait_seconds(1, None, 1800) < fetching.wait_seconds(4, None, 1800) < fetching.wait_seconds(8, None, 1800) <= 7200 * 1.2
    assert fetching.wait_seconds(1, 900, 1800) == 900
    result = fetching.fetch(source.tenant_id, source.id, Simulated(NotReady("o IPMA não responde", retry_after_seconds=600)))
    assert (result.state, result.error) == (RunState.FAILED, "o IPMA não responde")
    after = now_of(source)
    assert after.failures == 1
    assert after.next_at > now() + timedelta(seconds=590)


def test_silence_is_noticed(source):
    with database.connect() as conn, database.tenant_transaction(conn, [source.tenant_id]):
        assert [one.id for one in fetching.late(conn, source.tenant_id)] == [source.id]
    fetching.fetch(source.tenant_id, source.id, Simulated())
    with database.connect() as conn, database.tenant_transaction(conn, [source.tenant_id]):
        assert fetching.late(conn, source.tenant_id) == []
        assert [one.id for one in fetching.late(conn, source.tenant_id, now() + timedelta(hours=4))] == [source.id]
