import time
from datetime import UTC, datetime

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable, WriteOptions
from malha.foundation.database import service as database
from malha.foundation.events import queries as outbox
from malha.insight.alerts import events

SETTLE_SECONDS = 30


@pytest.fixture
def conn():
    with database.connect() as connection:
        yield connection


@pytest.fixture
def hear(conn):
    """Write values of one attribute and let the room hear of them: `hear(tenant, [(uri, instant, value), …])`."""
    positions = {}

    def write(tenant, rows, *, now=None, live=True, type_="FloodMonitoring", attribute="currentLevel", place=(-9.1, 38.7)):
        columns = [
            Column(attribute, [row[2] for row in rows]),
            Column("name", ["Ponte Velha"] * len(rows)),
            Column("location", [{"type": "Point", "coordinates": list(place)}] * len(rows), kind="GeoProperty"),
        ]
        table = EntityTable(type_, [row[0] for row in rows], columns, observed_at=[row[1] for row in rows])
        with database.tenant_transaction(conn, [tenant.id]):
            store.upsert_table(conn, tenant.id, table, WriteOptions(live=live))
        conn.commit()
        changed, found, deadline = [], [], time.monotonic() + SETTLE_SECONDS
        while not found and time.monotonic() < deadline:  # a transaction of another test may hold the horizon back
            with database.tenant_transaction(conn, [tenant.id]):
                found = outbox.settled_of_tenant(conn, tenant.id, positions.get(tenant.id, (0, 0)), ["entities.changed"], 100)
                for event in found:
                    positions[tenant.id] = event.position
                    changed += events.on_entities_changed(conn, event, now=now or max(row[1] for row in rows))
            conn.commit()
            time.sleep(0 if found else 0.05)
        assert found, "no event was published"
        return changed

    return write


@pytest.fixture
def at():
    return lambda hour, minute=0, day=1: datetime(2026, 3, day, hour, minute, tzinfo=UTC)
