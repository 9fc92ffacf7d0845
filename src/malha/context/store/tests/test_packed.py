"""The road of loads does what the road of batches does: same state, same history, same counts."""

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from malha.context.store import packed, service
from malha.context.store.contracts import ArrowTable, Column, EntityTable, WriteOptions, WriteOutcome
from malha.context.store.series import Rows
from malha.foundation.database import service as database

T0 = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.fixture
def towns(new_tenant):
    """(connection, two tenants in scope)."""
    pair = new_tenant().id, new_tenant().id
    with database.connect() as conn, database.tenant_transaction(conn, pair):
        yield conn, *pair
        conn.execute("SELECT set_config('malha.tenants', '', true)")


def arrow(uris, minutes, row_numbers=None, **columns):
    when = np.array([(T0 + timedelta(minutes=m)).replace(tzinfo=None) for m in minutes], "datetime64[us]")
    made = [Column(name, pa.array(values), unit="CEL" if name == "temperature" else "") for name, values in columns.items()]
    return ArrowTable("WeatherObserved", pa.array(uris), made, when, np.asarray(row_numbers if row_numbers is not None else range(2, len(uris) + 2)))


def observations(conn, tenant):
    return sorted(
        conn.execute(
            "SELECT e.uri, a.name, o.observed_at, o.num, o.txt, o.kind, o.unit_id, o.row_no, o.run_id FROM observations o JOIN attribute a ON a.id = o.attr_id"
            " JOIN entities e ON e.tenant_id = o.tenant_id AND e.id = o.entity_id WHERE o.tenant_id = %s",
            [tenant],
        ).fetchall(),
        key=str,
    )


def entities(conn, tenant):
    return sorted(conn.execute("SELECT uri, doc, name_key, run_id FROM entities WHERE tenant_id = %s", [tenant]).fetchall(), key=str)


def test_it_works(towns):
    conn, tenant, _ = towns
    batch = arrow(["urn:x:W:1"] * 5, range(5), temperature=[20.5, 21.0, None, 23.0, 24.0], state=["ok", "ok", 'a"b\\', None, "fim"])
    assert Rows(batch).usable()
    assert service.upsert_arrow(conn, tenant, batch, WriteOptions(run_id=7, live=False)) == WriteOutcome(created=1, observations=8)
    found = service.retrieve(conn, tenant, "urn:x:W:1").attributes
    assert found["temperature"] == {"type": "Property", "value": 24.0, "unitCode": "CEL", "observedAt": "2026-11-20T10:04:00Z"}
    assert found["state"]["value"] == "fim"
    assert conn.execute("SELECT count(*) FROM observation_hot WHERE tenant_id = %s", [tenant]).fetchone() == (0,)
    rows = observations(conn, tenant)
    assert [(row[2] - T0).seconds // 60 for row in rows if row[1] == "temperature"] == [0, 1, 3, 4]
    assert [row[4] for row in rows if row[1] == "state"] == ["ok", "ok", 'a"b\\', "fim"]
    assert [row[7] for row in rows if row[1] == "temperature"] == [2, 3, 5, 6]
    numbers = conn.execute("SELECT seq FROM observations WHERE tenant_id = %s", [tenant]).fetchall()
    assert len(set(numbers)) == 8
    name, payload = conn.execute("SELECT name, payload FROM outbox WHERE tenant_id = %s", [tenant]).fetchone()
    assert (name, payload["count"], payload["run_id"], payload["observed_to"]) == ("entities.changed", 1, 7, "2026-11-20T10:04:00Z")


@pytest.mark.parametrize("seed", range(12))
def test_both_roads_end_alike(towns, seed):
    """Batches with gaps, repeats, late values and corrections, one road beside the other."""
    conn, one, other = towns
    chance = random.Random(seed)
    for run in range(1, 5):
        rows = 60
        uris = [f"urn:x:W:{chance.randrange(5)}" for _ in range(rows)]
        minutes = [chance.randrange(30) + 8 * run * (seed % 3) for _ in range(rows)]
        columns = {
            "temperature": [chance.choice([None, 1.5, 2.0, 3.25]) for _ in range(rows)], "count": [chance.randrange(3) for _ in range(rows)],
            "on": [chance.choice([True, False, None]) for _ in range(rows)], "name": [chance.choice(["Praça", "Rua d'Água", None]) for _ in range(rows)],
        }  # fmt: skip
        batch = arrow(uris, minutes, **columns)
        assert Rows(batch).usable()
        options = WriteOptions(run_id=run, live=False)
        told = service.upsert_arrow(conn, one, batch, options)
        assert told == service.upsert_table(conn, other, batch.lists(), options)
        assert entities(conn, one) == entities(conn, other)
        assert _newest(observations(conn, one)) == _newest(observations(conn, other))
        again = service.upsert_arrow(conn, one, batch, WriteOptions(run_id=99))
        assert (again.created, again.updated) == (0, 0)
    for run in (3, 2):
        assert service.undo_run(conn, one, run)[2] == service.undo_run(conn, other, run)[2]
        assert _newest(observations(conn, one)) == _newest(observations(conn, other))


def _newest(rows):
    """Values by key, without the order in which equal instants were told."""
    return sorted({(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[8]) for row in rows}, key=str)


def test_the_same_load_twice_changes_nothing(towns):
    conn, tenant, _ = towns
    batch = arrow(["urn:x:W:1"] * 40 + ["urn:x:W:2"] * 40, list(range(40)) * 2, temperature=[n / 4 for n in range(80)], state=["ok", "falha"] * 40)
    assert service.upsert_arrow(conn, tenant, batch).observations == 160
    events = conn.execute("SELECT count(*) FROM outbox").fetchone()
    assert service.upsert_arrow(conn, tenant, batch) == WriteOutcome(unchanged=2)
    half = batch.take(np.arange(0, 80, 2))
    assert service.upsert_arrow(conn, tenant, half) == WriteOutcome(unchanged=2)
    assert service.upsert_table(conn, tenant, batch.lists()) == WriteOutcome(unchanged=2)
    assert conn.execute("SELECT count(*) FROM outbox").fetchone() == events
    corrected = arrow(["urn:x:W:1"] * 40, range(40), temperature=[n / 4 + (1 if n == 7 else 0) for n in range(40)])
    assert service.upsert_arrow(conn, tenant, corrected) == WriteOutcome(unchanged=1, observations=1)


def test_what_a_thing_is_makes_no_history_of_its_own(towns):
    conn, tenant, _ = towns
    batch = arrow(["urn:x:W:1"] * 8, range(8), temperature=[float(n) for n in range(8)])
    batch.columns.append(Column("address", [{"addressLocality": "Porto"}] * 8, static=True))
    assert service.upsert_arrow(conn, tenant, batch) == WriteOutcome(created=1, observations=9)
    address = service.retrieve(conn, tenant, "urn:x:W:1").attributes["address"]
    assert address == {"type": "Property", "value": {"addressLocality": "Porto"}}
    later = arrow(["urn:x:W:1"] * 8, range(8, 16), temperature=[float(n) for n in range(8)])
    later.columns.append(Column("address", [{"addressLocality": "Porto"}] * 8, static=True))
    assert service.upsert_arrow(conn, tenant, later) == WriteOutcome(updated=1, observations=8)
    assert service.upsert_arrow(conn, tenant, later) == WriteOutcome(unchanged=1)


@pytest.mark.parametrize(
    "column",
    [
        Column("temperature", pa.array([1.0, float("nan")] * 4)),
        Column("text", pa.array(["a", "b\x00"] * 4)),
        Column("place", [{"type": "Point", "coordinates": [-8.6, 41.1]}] * 8, "GeoProperty"),
    ],
)
def test_what_is_not_plain_takes_the_other_road(towns, column):
    conn, tenant, _ = towns
    batch = ArrowTable("T", pa.array(["urn:x:T:1"] * 8), [column], np.arange(8).astype("datetime64[m]").astype("datetime64[us]"), np.arange(8))
    assert not Rows(batch).usable()
    assert service.upsert_arrow(conn, tenant, batch).created == 1


def test_few_values_per_series_stay_rows(towns):
    conn, tenant, _ = towns
    batch = arrow([f"urn:x:W:{n}" for n in range(20)], [0] * 20, temperature=[1.0] * 20)
    assert not Rows(batch).usable()
    assert service.upsert_arrow(conn, tenant, batch) == WriteOutcome(created=20, observations=20)
    empty = batch.take(np.zeros(0, int))
    assert service.upsert_arrow(conn, tenant, empty) == WriteOutcome()
    untimed = ArrowTable("S", pa.array(["urn:x:S:1"]), [Column("places", pa.array([30]))], None, np.array([2]))
    assert service.upsert_arrow(conn, tenant, untimed) == packed.WriteOutcome(created=1, observations=1)
    assert isinstance(untimed.lists(), EntityTable)
