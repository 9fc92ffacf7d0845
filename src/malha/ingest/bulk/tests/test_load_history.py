"""Years into history without the broker: checked, held back with reasons, gone on with, undone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pyarrow import parquet

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.history.engines import service as engines
from malha.history.lake import service as lake
from malha.history.retention import service as retention
from malha.history.retention.contracts import Rule
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Grain, SeriesQuery
from malha.ingest.bulk import reading, service
from malha.ingest.bulk.contracts import UnreadableHistory
from malha.ingest.quality import service as quality
from malha.ingest.runs import service as runs
from malha.vocabulary.models.contracts import Aggregation

START = datetime(2025, 3, 30, 20, tzinfo=UTC)
URIS = [f"urn:ensaio:WeatherObserved:{n}" for n in range(2)]


@pytest.fixture
def tenant(new_tenant: Any) -> int:
    made = new_tenant().id
    with database.connect() as connection, database.tenant_transaction(connection, [made]):
        store.upsert_table(connection, made, EntityTable("WeatherObserved", URIS, [Column("name", ["A", "B"])]))
    return int(made)


def line(row: int) -> tuple[str, str, str, str]:
    return URIS[row % 2], "temperature", (START + timedelta(minutes=10 * row)).isoformat(), f"{row % 30}.5"


def write(path: Path, rows: list[tuple[str, ...]], head: str = "entity,attribute,observedAt,value") -> Path:
    path.write_text("\n".join([head, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def total(tenant: int, table: str, column: str = "num") -> tuple[int, float]:
    query = f"SELECT count({column}), coalesce(round(sum({column}), 2), 0) FROM lake.{engines.tenant_schema(tenant)}.{table}"
    return engines.run([tenant], lambda reader: reader.execute(query).fetchone())


@pytest.mark.parametrize("part_rows", [1, 1_000_000])
def test_it_works(tenant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_rows: int) -> None:
    monkeypatch.setattr(service, "PART_ROWS", part_rows)
    rows = [line(row) for row in range(600)]
    bad = [
        (URIS[0], "temperature", "2025-04-01T10:00:00", "1"),
        (URIS[0], "temperature", "2025-04-01T10:00:00Z", "quente"),
        (URIS[0], "temperature", "2190-04-01T10:00:00Z", "1"),
        ("urn:ensaio:WeatherObserved:9", "temperature", "2025-04-01T10:00:00Z", "1"),
        (URIS[0], "relativeHumidity", "2025-04-01T10:00:00Z", "70"),
    ]
    seen: list[int] = []
    result = service.load_history(tenant, write(tmp_path / "anos.csv", rows + bad), on_progress=lambda counts, _: seen.append(counts.read))
    assert (result.counts.read, result.counts.held, result.counts.observations) == (605, 5, 600)
    assert seen[-1] == 605
    assert {(group.code, group.count) for group in result.groups} == {("instant", 1), ("number", 1), ("instant-far", 1), ("entity", 1), ("range", 1)}
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        held = {row.code: row for row in quality.rows(connection, tenant, result.run_id)}
    assert held["number"].row_number == 602
    assert held["number"].cells["value"] == "quente"
    expected = (600, sum(row % 30 + 0.5 for row in range(600)))
    assert total(tenant, "observation") == expected
    for table in ("rollup_hour", "rollup_day", "rollup_month"):  # two months, loaded one after the other, meet in one local day
        assert total(tenant, table, "sum")[1] == expected[1]
        assert total(tenant, table, "count")[1] == 600
    query = SeriesQuery("WeatherObserved", "temperature", START, START + timedelta(days=9), grain=Grain.MONTH, aggregation=Aggregation.COUNT)
    assert sum(count for one in temporal.series(tenant, query) for _, _, count in one.points) == 600


@pytest.mark.parametrize("form", ["parquet", "wide", "arrow"])
def test_other_forms_say_the_same(tenant: int, tmp_path: Path, form: str) -> None:
    rows = [line(row) for row in range(50)]
    times = pa.array([datetime.fromisoformat(row[2]) for row in rows], pa.timestamp("us", "UTC"))
    table = pa.table({"id": [row[0] for row in rows], "type": ["WeatherObserved"] * 50, "observedAt": times, "temperature": [float(row[3]) for row in rows]})
    source: Any = table
    if form == "parquet":
        source = tmp_path / "anos.parquet"
        parquet.write_table(table, source)
    elif form == "wide":
        source = write(tmp_path / "largo.csv", [(row[0], row[2], row[3], "") for row in rows], "id;observedAt;temperature;precipitation".replace(";", ","))
    result = service.load_history(tenant, source)
    assert (result.counts.observations, result.counts.held) == (50, 0)
    assert total(tenant, "observation") == (50, sum(row % 30 + 0.5 for row in range(50)))


def test_a_load_cut_short_goes_on(tenant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 8_000)
    monkeypatch.setattr(service, "PIECE_ROWS", 250)
    monkeypatch.setattr(service, "PART_ROWS", 1)
    path = write(tmp_path / "anos.csv", [line(row) for row in range(600)])
    real, calls = lake.bulk_load_files, []

    def dies(*given: Any) -> int:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(lake, "bulk_load_files", dies)
    with pytest.raises(KeyboardInterrupt):
        service.load_history(tenant, path)
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        run = runs.latest(connection, tenant)[0]
    assert 0 < total(tenant, "observation")[0] < 600  # the first month
    result = service.load_history(tenant, path, run_id=run.id)
    assert result.counts.observations == 600
    assert total(tenant, "observation") == (600, sum(row % 30 + 0.5 for row in range(600)))
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        runs.undo(connection, tenant, run.id, "ensaio")
    lake.compact(tenant)
    assert total(tenant, "observation")[0] == total(tenant, "rollup_month", "count")[0] == 0


def test_the_same_file_twice_changes_nothing(tenant: int, tmp_path: Path) -> None:
    path = write(tmp_path / "anos.csv", [line(row) for row in range(100)])
    service.load_history(tenant, path)
    before = total(tenant, "observation"), total(tenant, "rollup_day", "sum")
    service.load_history(tenant, path)
    assert (total(tenant, "observation"), total(tenant, "rollup_day", "sum")) == before


@pytest.mark.parametrize("head", ["a,b,c,d", "entity,observedAt", "entity,attribute,observedAt,quanto"])
def test_a_file_without_its_columns_is_refused(tenant: int, tmp_path: Path, head: str) -> None:
    with pytest.raises(UnreadableHistory):
        service.load_history(tenant, write(tmp_path / "outro.csv", [], head))


def test_the_same_file_again_says_that_all_of_it_was_there(tenant: int, tmp_path: Path) -> None:
    path = write(tmp_path / "anos.csv", [line(row) for row in range(100)])
    service.load_history(tenant, path)
    again = service.load_history(tenant, path)
    assert (again.counts.observations, again.counts.repeated, again.counts.changes, again.notes) == (0, 100, 0, ())
    assert total(tenant, "superseded") == (0, 0)


def test_one_that_overlaps_says_what_was_there_and_what_it_replaced(tenant: int, tmp_path: Path) -> None:
    """A key has one value: that of the last line of the last file; undone, the older come back."""
    service.load_history(tenant, write(tmp_path / "a.csv", [line(row) for row in range(100)]))
    changed = [(*line(row)[:3], "37") for row in range(90, 95)]
    twice = [(*line(99)[:3], "1"), line(99)]  # the last of them says what is there
    found = service.load_history(
        tenant, write(tmp_path / "b.csv", [*(line(row) for row in range(50, 90)), *changed, *twice, *(line(row) for row in range(100, 120))])
    )
    assert (found.counts.observations, found.counts.repeated) == (25, 42)
    assert [note.partition("\x1e")[0] for note in found.notes] == [
        "{count} valores tomaram o lugar de outros que diziam outra coisa; se desfizer a carga, esses voltam."
    ]
    assert '"count": "5"}' in found.notes[0]
    before = sum(row % 30 + 0.5 for row in range(120))
    after = before + sum(37 - row % 30 - 0.5 for row in range(90, 95))
    assert total(tenant, "observation") == (120, after)
    assert total(tenant, "rollup_month", "sum")[1] == after
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        runs.undo(connection, tenant, found.run_id, "ensaio")
    again = service.load_history(tenant, tmp_path / "b.csv")  # before the lake has let go of what was undone
    assert (again.counts.observations, again.counts.repeated) == (25, 42)
    assert total(tenant, "observation") == (120, after)
    lake.compact(tenant)
    assert total(tenant, "observation") == (120, after)


def test_values_older_than_they_are_kept_are_said(tenant: int, tmp_path: Path) -> None:
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        retention.save(connection, tenant, Rule("WeatherObserved", "P90D", "", own=True, changed_by="ensaio"), datetime.now(UTC), ZoneInfo("Europe/Lisbon"))
    fresh = (URIS[0], "temperature", (datetime.now(UTC) - timedelta(days=1)).isoformat(), "1")
    found = service.load_history(tenant, write(tmp_path / "a.csv", [*(line(row) for row in range(10)), fresh]))
    assert found.counts.observations == 11
    assert [note for note in found.notes if '"count": "10", "type": "WeatherObserved"' in note]
