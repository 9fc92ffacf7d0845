"""Who is due for compaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from malha.history.lake import jobs

from .test_compact import START, in_lake, write_hot

MANY = 3000  # more than the other tenants of the tests' database have waiting, so that only this one is due


def test_it_works(new_tenant: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(1, START, 1.0)])
    schedule = jobs.Schedule()
    assert tenant not in schedule.due()
    assert tenant in schedule.due(datetime.now(UTC) + timedelta(hours=1, minutes=1))


def test_a_child_compacts_and_then_nothing_is_due(new_tenant: Any, monkeypatch: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(1, START + timedelta(seconds=n), float(n)) for n in range(MANY)])
    monkeypatch.setattr(jobs, "DUE_ROWS", MANY)
    schedule = jobs.Schedule()
    assert tenant in schedule.compact_due()
    assert len(in_lake(tenant)) == MANY
    assert tenant not in schedule.compact_due()
    schedule.turn_partitions()
    schedule.maintain()
    assert len(in_lake(tenant)) == MANY
