"""A tenant of real recordings, where the samples are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from malha.context.store import service as store
from malha.foundation.database import service as database
from malha.foundation.tenancy import service as tenancy
from malha.insight.metrics import service as metrics
from malha.insight.today import service as today
from malha.packs.demo_town import real


@pytest.mark.samples
def test_it_works(samples: Path) -> None:
    tenant = real.create(samples, lambda *_: None)
    assert tenant is not None
    assert real.exists()
    assert tenant.theme["ribbon"] == real.RIBBON
    with database.connect() as connection, database.tenant_transaction(connection, [tenant.id]):
        found = {name: count for name, count, _ in store.types(connection, tenant.id)}
    assert found["WeatherObserved"] > 100
    assert (found["Museum"], found["HealthCentre"]) == (245, 214)
    assert found["School"] > 2000
    assert tenant.clock == datetime(2022, 7, 28, 23, tzinfo=UTC), "the pages show that day, not today"
    with database.connect() as connection, database.tenant_transaction(connection, [tenant.id]):
        latest = today.latest(connection, tenant, "pt-pt")
        asked = next(one for one in metrics.all_metrics(connection, tenant.id) if one.attribute == "temperature")
        degrees = metrics.evaluate(connection, tenant, asked)
    assert {one.at for one in latest} == {tenant.clock}
    assert {one.type for one in latest} == {"WeatherObserved"}
    assert degrees.value is not None
    assert real.create(samples, lambda *_: None) is None
    with tenancy.scope(tenant.id):
        tenancy.set_clock(tenant.id, None)
    assert tenancy.by_slug(real.SLUG).clock is None
    assert real.create(samples, lambda *_: None) is None
    assert tenancy.by_slug(real.SLUG).clock == tenant.clock, "a recording of an older version gets its clock"


def test_nothing_to_make_without_files(tmp_path: Path) -> None:
    assert real.create(tmp_path, lambda *_: None) is None
