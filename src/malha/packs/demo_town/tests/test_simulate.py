"""The town goes on living."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from malha.context.store import service as store
from malha.foundation.database import service as database
from malha.packs.demo_town import devices, simulator, statics
from malha.packs.demo_town.contracts import DeviceKind

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


def test_it_works(new_tenant: Any) -> None:
    tenant = new_tenant().id
    river = devices.of_kind(DeviceKind.RIVER)[simulator.PONTE_VELHA]
    with database.connect(autocommit=True) as connection:
        with database.tenant_transaction(connection, [tenant]):
            store.upsert_table(connection, tenant, statics.registrations(devices.spec_of(DeviceKind.RIVER)))
        calm = simulator.floods(NOW, NOW + timedelta(minutes=1))
        rising = simulator.floods(NOW, NOW + timedelta(minutes=5))
        levels = []
        for minutes, happened in ((1, calm), (5, rising)):
            assert simulator.speak(connection, tenant, [river], NOW + timedelta(minutes=minutes), happened) > 0
            with database.tenant_transaction(connection, [tenant]):
                levels.append(store.retrieve(connection, tenant, river.uri).value("currentLevel"))
    assert levels[0] < devices.ALERT_LEVEL_M < devices.DANGER_LEVEL_M < levels[1]


def test_every_device_has_its_turn_but_the_mute_one() -> None:
    rounds = simulator.turns(2)
    assert len({device.uri for turn in rounds for device in turn}) == 299
    assert max(len(turn) for turn in rounds) == 2


def test_the_stream_rises_and_falls() -> None:
    assert simulator.floods(NOW, NOW + timedelta(minutes=3)) == []
    [flood] = simulator.floods(NOW, NOW + timedelta(hours=7))
    assert flood.start == NOW + simulator.FLOOD_STARTS_AFTER + simulator.FLOOD_EVERY
