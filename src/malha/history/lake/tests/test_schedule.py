"""Who is due for compaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from malha.history.lake import jobs

from .test_compact import START, in_lake, write_hot

pytestmark = pytest.mark.whole_lake


def test_it_works(new_tenant: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(1, START, 1.0)])
    schedule = jobs.Schedule()
    assert tenant not in schedule.due()
    assert tenant in schedule.due(datetime.now(UTC) + timedelta(hours=1, minutes=1))


def test_a_child_compacts_and_then_nothing_is_due(new_tenant: Any, monkeypatch: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(1, START, 1.0), (1, START + timedelta(minutes=1), 2.0)])
    monkeypatch.setattr(jobs, "DUE_ROWS", 2)
    monkeypatch.setattr(jobs, "_tenants", lambda: [tenant])  # other tests leave tenants whose rows wait too
    schedule = jobs.Schedule()
    assert tenant in schedule.compact_due()
    assert len(in_lake(tenant)) == 2
    assert tenant not in schedule.compact_due()
    schedule.turn_partitions()
    schedule.maintain()
    assert len(in_lake(tenant)) == 2
