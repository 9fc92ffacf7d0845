"""Rules of retention as instants, what would go by them, and the night's job that lets it go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.jobs import service as jobs
from malha.history.lake import service as lake
from malha.history.lake.tests.test_bulk_load import make_entities
from malha.history.lake.tests.test_compact import in_lake, write_hot
from malha.history.retention import rules, service
from malha.history.retention.contracts import Rule, UnusablePeriod

LISBON = ZoneInfo("Europe/Lisbon")
LEAP = datetime(2028, 2, 29, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("keep", "day"),
    [("P90D", "2027-12-01"), ("P1Y", "2027-02-28"), ("P4Y", "2024-02-29"), ("P18M", "2026-08-29"), ("P7D", "2028-02-22")],
)
def test_a_period_ends_where_a_local_day_begins(keep: str, day: str) -> None:
    assert rules.cutoff(keep, LEAP, LISBON) == datetime.fromisoformat(day).replace(tzinfo=LISBON)


def test_a_local_day_is_not_the_universal_one() -> None:
    late = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)  # the 2nd in Lisbon
    found = rules.cutoff("P30D", late, LISBON)
    assert found is not None
    assert found.astimezone(UTC) == datetime(2026, 6, 1, 23, tzinfo=UTC)


@pytest.mark.parametrize("keep", ["P6D", "P0D", "90", "P1W", "P-1D", "P99999D", "p90d"])
def test_what_is_no_period(keep: str) -> None:
    with pytest.raises(UnusablePeriod):
        rules.cutoff(keep, LEAP, LISBON)


def test_it_works(new_tenant: Any) -> None:
    """The preview says what goes, the job takes just that, notes it, and leaves a neighbour and what is on hold alone."""
    tenant, neighbour, moment = new_tenant(), new_tenant(), datetime.now(UTC)
    for one in (tenant, neighbour):
        make_entities(one.id, ["urn:ensaio:0"])
        with database.connect(Role.OWNER) as conn:
            row = conn.execute("SELECT id FROM entity WHERE tenant_id = %s", [one.id]).fetchone()
        assert row
        write_hot(one.id, [(row[0], moment - timedelta(days=days), float(days)) for days in (1, 100, 200)])
        lake.compact(one.id)
    rule = Rule("Ensaio", "P90D", "", own=True, on_hold=True, hold_reason="Processo 12/2026", changed_by="person:1")
    save(tenant.id, rule, moment)
    assert service.going(tenant.id, [rule], moment, LISBON) == []
    jobs.run_now("retention.let_go", tenant_id=tenant.id)
    assert len(in_lake(tenant.id)) == 3
    rule = Rule("Ensaio", "P90D", "", own=True, changed_by="person:1")
    save(tenant.id, rule, moment)
    (preview,) = service.going(tenant.id, [rule], moment, LISBON)
    assert (preview.type, preview.rows, preview.oldest) == ("Ensaio", 2, moment - timedelta(days=200))
    jobs.run_now("retention.let_go", tenant_id=tenant.id)
    assert [row[2] for row in in_lake(tenant.id)] == [1.0]
    assert sum(row[0] for row in in_lake(tenant.id, "count", "rollup_day")) == 3
    assert len(in_lake(neighbour.id)) == 3
    with database.connect(Role.APP, autocommit=True) as conn, database.tenant_transaction(conn, [tenant.id]):
        assert [(name, count) for name, _, count, _ in service.history(conn, tenant.id)] == [("Ensaio", 2)]
        assert conn.execute("SELECT count(*) FROM audit_entry WHERE tenant_id = %s AND action = 'retention.let_go'", [tenant.id]).fetchone() == (1,)
    jobs.run_now("retention.let_go", tenant_id=tenant.id)
    assert [row[2] for row in in_lake(tenant.id)] == [1.0]


def save(tenant: int, rule: Rule, moment: datetime) -> None:
    with database.connect(Role.APP, autocommit=True) as conn, database.tenant_transaction(conn, [tenant]):
        service.save(conn, tenant, rule, moment, LISBON)
