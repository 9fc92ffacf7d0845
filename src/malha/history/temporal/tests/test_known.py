"""What was known at an instant, and what a corrected value was."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from malha.context.store import service as store
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import service as engines
from malha.history.lake import catalogue, upkeep
from malha.history.lake import service as lake
from malha.history.lake.tests.test_bulk_load import make_entities
from malha.history.lake.tests.test_compact import START, write_hot
from malha.history.temporal import service
from malha.history.temporal.contracts import Grain, NoLongerKnown, SeriesQuery, UnusablePeriod
from malha.vocabulary.models.contracts import Aggregation

END = START + timedelta(days=1)
pytestmark = pytest.mark.whole_lake


def entity_of(tenant: int) -> int:
    make_entities(tenant, ["urn:ensaio:0"])
    with database.connect(Role.OWNER) as conn:
        row = conn.execute("SELECT id FROM entity WHERE tenant_id = %s", [tenant]).fetchone()
    assert row
    return int(row[0])


def values(tenant: int, known_at: datetime | None = None, grain: Grain = Grain.RAW) -> list[Any]:
    query = SeriesQuery("Ensaio", "nivel", START, END, ("urn:ensaio:0",), grain, Aggregation.SUM, group_by_entity=True, known_at=known_at)
    return [value for one in service.series(tenant, query) for _, value, _ in one.points]


def moment() -> datetime:
    """An instant with room before and after."""
    time.sleep(0.05)
    at = datetime.now(UTC)
    time.sleep(0.05)
    return at


def test_it_works(new_tenant: Any) -> None:
    """Late and corrected values answer as before, hot or compacted, merged or not; a value corrected before both were compacted too."""
    tenant = new_tenant().id
    entity = entity_of(tenant)
    before = moment()
    write_hot(tenant, [(entity, START, 1.0), (entity, START + timedelta(hours=1), 2.0)])
    first = moment()
    lake.compact(tenant)
    write_hot(tenant, [(entity, START, 10.0)], run_id=7)
    second = moment()
    write_hot(tenant, [(entity, START, 100.0), (entity, START + timedelta(hours=2), 3.0)])
    last = moment()
    wanted = {before: [], first: [1.0, 2.0], second: [10.0, 2.0], last: [100.0, 2.0, 3.0]}
    for step in ("hot", "compacted", "merged"):
        if step == "compacted":
            lake.compact(tenant)
        if step == "merged":
            with catalogue.writing() as writer:
                upkeep.tidy(writer, datetime.now(UTC))
            engines.forget_readers()
        assert {at: values(tenant, at) for at in wanted} == wanted, step
        assert values(tenant) == [100.0, 2.0, 3.0]
        assert values(tenant, second, Grain.HOUR) == [10.0, 2.0]
        assert values(tenant, first, Grain.DAY) == [3.0]
        found = service.corrections(tenant, "urn:ensaio:0", ["nivel"], START, END)
        assert [(one.at, one.number, one.by_run) for one in found] == [(START, 10.0, None), (START, 1.0, 7)], step
        assert first < found[1].replaced_at < second < found[0].replaced_at < last


def test_the_state_at_an_instant(new_tenant: Any) -> None:
    tenant = new_tenant().id
    entity = entity_of(tenant)
    write_hot(tenant, [(entity, START, 1.0), (entity, START + timedelta(hours=5), 2.0)])
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        thing = store.retrieve(conn, tenant, "urn:ensaio:0")
        assert timedelta(days=6.9) < datetime.now(UTC) - service.known_since(conn, tenant) < timedelta(days=7.1)
    things = [replace(thing, attributes={"nivel": {}, "outro": {}})]
    for known, at, wanted in ((False, START - timedelta(hours=1), {}), (False, START + timedelta(hours=1), {entity: 1.0}), (True, moment(), {entity: 2.0})):
        found = service.states(tenant, things, at, known=known)
        assert {id_: values["nivel"].number for id_, values in found.items()} == wanted
    with pytest.raises(NoLongerKnown):  # it is long ago
        service.states(tenant, things, START + timedelta(hours=1), known=True)


def test_what_is_not_kept_is_refused_with_the_reason(new_tenant: Any) -> None:
    tenant = new_tenant().id
    entity_of(tenant)
    with pytest.raises(NoLongerKnown, match="7 dias") as refused:
        values(tenant, datetime.now(UTC) - timedelta(days=8))
    assert refused.value.status == 410
    with pytest.raises(UnusablePeriod, match="ainda não chegou"):
        values(tenant, datetime.now(UTC) + timedelta(hours=1))
    with database.connect(Role.OWNER) as conn:
        conn.execute("INSERT INTO erasure (tenant_id, asked_by, ground, digests) VALUES (%s, 'person:1', 'x', '{}')", [tenant])
    with pytest.raises(NoLongerKnown, match="apagaram-se dados"):
        values(tenant, datetime.now(UTC) - timedelta(hours=1))


def test_undoing_a_run_does_not_bring_back_what_others_have_written_since(new_tenant: Any) -> None:
    tenant = new_tenant().id
    entity = entity_of(tenant)
    write_hot(tenant, [(entity, START, 1.0), (entity, END - timedelta(hours=1), 5.0)], run_id=1)
    lake.compact(tenant)
    write_hot(tenant, [(entity, START, 2.0), (entity, END - timedelta(hours=1), 6.0)], run_id=2)
    lake.compact(tenant)
    write_hot(tenant, [(entity, START, 3.0)])
    lake.compact(tenant)
    assert lake.remove_run(tenant, 2) == 1
    assert values(tenant) == [3.0, 5.0]
