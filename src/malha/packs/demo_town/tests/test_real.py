"""A tenant of real recordings, where the samples are."""

from __future__ import annotations

from pathlib import Path

import pytest

from malha.context.store import service as store
from malha.foundation.database import service as database
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
    assert real.create(samples, lambda *_: None) is None


def test_nothing_to_make_without_files(tmp_path: Path) -> None:
    assert real.create(tmp_path, lambda *_: None) is None
