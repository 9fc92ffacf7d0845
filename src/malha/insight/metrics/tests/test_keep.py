"""Boards are worked out behind those who look at them, and nothing old is shown as new."""

from __future__ import annotations

from datetime import timedelta

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.insight.metrics import cards, keeper, service
from malha.kernel import time
from malha.packs.registry import service as packs


@pytest.fixture
def town(new_tenant):
    tenant = new_tenant()
    speak(tenant, 1.0)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        packs.switch_on(conn, tenant.id, "civil_protection")
    return tenant


def speak(tenant, level):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        table = EntityTable("FloodMonitoring", ["urn:x:ponte"], [Column("currentLevel", [level])], observed_at=[time.now() - timedelta(seconds=1)])
        store.upsert_table(conn, tenant.id, table)


def on_home(tenant):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        return service.all_metrics(conn, tenant.id, home_only=True)


def level_in_memory(tenant):
    values, points = cards.in_memory(tenant, on_home(tenant), charted=on_home(tenant)[0])
    return values["nivel-maximo"].value if values else None, points


def test_it_works(town):
    assert level_in_memory(town) == (None, None), "nobody has looked yet: nothing is known, nothing is shown"
    keeper.keep(town, 15)
    level, points = level_in_memory(town)
    assert level == 1.0
    assert points is not None


def test_old_values_are_asked_for_again(town, monkeypatch):
    keeper.keep(town, 15)
    speak(town, 2.5)
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        (flood,) = [one for one in service.all_metrics(conn, town.id) if one.key == "nivel-maximo"]
        assert cards.values(conn, town, [flood])[0].value == 1.0
        assert cards.values(conn, town, [flood], older_than=0)[0].value == 2.5
        assert cards.values(conn, town, [flood])[0].value == 2.5
    later = cards.time.time() + cards.OLDEST_SECONDS + 1
    monkeypatch.setattr(cards.time, "time", lambda: later)
    assert level_in_memory(town) == (None, None), "a value too old to be shown is not shown"


def test_only_boards_that_somebody_looked_at_are_followed(town, monkeypatch):
    assert town.id not in cards.followed()
    cards.saw(town)
    assert town.id in cards.followed()
    later = cards.time.time() + cards.FOLLOWED_SECONDS + 1
    monkeypatch.setattr(cards.time, "time", lambda: later)
    assert town.id not in cards.followed()


def test_an_indicator_that_somebody_adapted_is_another(town):
    keeper.keep(town, 15)
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        conn.execute("UPDATE metric SET definition = definition || '{\"decimals\": 0}' WHERE tenant_id = %s AND key = 'nivel-maximo'", [town.id])
    values, _ = cards.in_memory(town, on_home(town))
    assert "nivel-maximo" not in values
