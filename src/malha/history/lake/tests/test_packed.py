"""What a load brought in arrays goes to the lake like any other value: exactly once, and readers see it on both sides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from malha.context.store import service as store
from malha.context.store.contracts import ArrowTable, Column, EntityTable, WriteOptions
from malha.foundation.database import service as database
from malha.history.engines import service as engines
from malha.history.lake import jobs, moving
from malha.history.lake import service as lake
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Grain, SeriesQuery

START = datetime(2026, 3, 1, tzinfo=UTC)
STEPS = 30


def load(tenant: int, begin: int = 0, shift: float = 0.0, run_id: int = 1) -> None:
    minutes = np.arange(begin, begin + STEPS)
    when = np.datetime64("2026-03-01T00:00", "us") + np.concatenate([minutes, minutes]).astype("timedelta64[m]")
    uris = pa.array(["urn:x:P:1"] * STEPS + ["urn:x:P:2"] * STEPS)
    values = pa.array(np.concatenate([minutes, -minutes]) + shift)
    texts = pa.array(["ok"] * STEPS * 2)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        columns = [Column("nivel", values, unit="MTR"), Column("estado", texts)]
        store.upsert_arrow(conn, tenant, ArrowTable("Ensaio", uris, columns, when, np.arange(STEPS * 2)), WriteOptions(run_id=run_id, live=False))


def write_single(tenant: int, minute: int) -> None:
    table = EntityTable("Ensaio", ["urn:x:P:9"], [Column("chuva", [1.5])], [START + timedelta(days=2, minutes=minute)])
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        store.upsert_table(conn, tenant, table, WriteOptions())


def in_lake(tenant: int) -> list[Any]:
    query = f"SELECT attribute, entity_id, observed_at, num, txt, unit, run_id, row_no FROM lake.{engines.tenant_schema(tenant)}.observation ORDER BY ALL"
    return engines.run([tenant], lambda reader: reader.execute(query).fetchall())


def seen(tenant: int) -> list[float]:
    query = SeriesQuery("Ensaio", "nivel", START, START + timedelta(days=1), uris=("urn:x:P:1",), grain=Grain.RAW)
    return [point[1] for point in temporal.series(tenant, query)[0].points]


@pytest.mark.parametrize("limit", [7, 50, 500_000])
def test_it_works(new_tenant: Any, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Also where a lake commit ends in the middle of a row of arrays."""
    monkeypatch.setattr(moving, "BATCH_ROWS", limit)
    tenant = new_tenant().id
    load(tenant)
    assert seen(tenant) == [float(n) for n in range(STEPS)]
    assert lake.compact(tenant).rows == STEPS * 4
    assert lake.compact(tenant).rows == 0
    rows = in_lake(tenant)
    assert len(rows) == STEPS * 4
    assert {row[0] for row in rows} == {"nivel", "estado"}
    assert seen(tenant) == [float(n) for n in range(STEPS)]
    load(tenant, STEPS - 2, 0.5, run_id=2)  # corrects two values, brings the rest new
    expected = [float(n) for n in range(STEPS - 2)] + [n + 0.5 for n in range(STEPS - 2, STEPS * 2 - 2)]
    assert seen(tenant) == expected
    lake.compact(tenant)
    assert seen(tenant) == expected
    assert len(in_lake(tenant)) == (STEPS * 2 - 2) * 4


@pytest.mark.parametrize("limit", [30, 100])
def test_arrays_and_single_rows_go_in_turns(new_tenant: Any, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Of one transaction and of many, whatever fits a lake commit: no value is left behind and none goes twice."""
    monkeypatch.setattr(moving, "BATCH_ROWS", limit)
    tenant = new_tenant().id
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        for hour in range(3):
            moment = START + timedelta(hours=hour)
            ids = [f"urn:x:P:{n}" for n in range(20)]
            store.upsert_table(conn, tenant, EntityTable("Ensaio", ids, [Column("chuva", [float(n + hour) for n in range(20)])], [moment] * 20), WriteOptions())
    for begin in (0, STEPS):
        load(tenant, begin)
        write_single(tenant, begin)
    write_single(tenant, STEPS * 2)
    moved = 0
    while rows := lake.compact(tenant).rows:
        moved += rows
    assert moved == 3 * 20 + 2 * STEPS * 4 + 3
    assert len(in_lake(tenant)) == moved
    assert seen(tenant) == [float(n) for n in range(STEPS * 2)]


def test_it_counts_as_waiting(new_tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = new_tenant().id
    load(tenant)
    schedule = jobs.Schedule()
    schedule._watermarks = {}
    monkeypatch.setattr(jobs, "DUE_ROWS", STEPS * 4)
    assert tenant in schedule.due()
    monkeypatch.setattr(jobs, "DUE_ROWS", STEPS * 4 + 1)
    assert tenant not in schedule.due()
