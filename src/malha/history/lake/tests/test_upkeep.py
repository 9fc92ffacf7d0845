"""The lake is tidied, and what a power cut took is compacted again from hot rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from malha.history.engines import service as engines
from malha.history.engines import storage
from malha.history.lake import catalogue, files, integrity, jobs, upkeep
from malha.history.lake import service as lake

from .test_compact import START, in_lake, write_hot

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
pytestmark = pytest.mark.whole_lake


def paths(tenant: int, *, old: bool = False) -> list[str]:
    schema = engines.tenant_schema(tenant)
    return [f.path for f in files.catalogued(LONG_AGO, old=old) if f.schema == schema and f.table == "observation" and not f.deletes]


def on_disk(tenant: int) -> set[str]:
    place = storage.folder()
    assert place
    return {str(path.relative_to(place)) for path in (place / engines.tenant_schema(tenant)).rglob("*.parquet")}


def test_it_works(new_tenant: Any) -> None:
    """Small files become one; what nobody reads goes once its time is over; so do orphans."""
    tenant = new_tenant().id
    for hour in range(4):
        write_hot(tenant, [(1, START + timedelta(hours=hour, minutes=minute), 1.0) for minute in range(5)])
        lake.compact(tenant)
    before = in_lake(tenant)
    assert len(paths(tenant)) == 4
    orphan = Path(str(storage.folder()), engines.tenant_schema(tenant), "observation", "ducklake-orphan.parquet")
    orphan.write_bytes(b"cut off")
    with catalogue.writing() as writer:
        upkeep.tidy(writer, datetime.now(UTC))
        assert upkeep.last_tidied(writer)
    assert len(paths(tenant)) == 1
    assert in_lake(tenant) == before
    assert orphan.exists()  # young files may belong to a writer
    with catalogue.writing() as writer:
        upkeep.tidy(writer, datetime.now(UTC), keep_snapshots=-timedelta(hours=1), keep_files=-timedelta(hours=1))
    engines.forget_readers()
    assert in_lake(tenant) == before
    assert {name for name in on_disk(tenant) if "/observation/" in name} == set(paths(tenant))


def test_sums_that_rows_were_taken_out_of_are_written_anew(new_tenant: Any) -> None:
    tenant = new_tenant().id
    schema = engines.tenant_schema(tenant)
    write_hot(tenant, [(2, START, 1.0)])
    for hour in range(3):  # each takes the day of the one before out and writes it again
        write_hot(tenant, [(1, START + timedelta(hours=hour, minutes=minute), 1.0) for minute in range(5)])
        lake.compact(tenant)

    def days() -> tuple[list[Any], list[bool]]:
        sums = engines.run([tenant], lambda reader: reader.execute(f"SELECT bucket, count, sum FROM lake.{schema}.rollup_day ORDER BY count").fetchall())
        return sums, [f.deletes for f in files.catalogued(LONG_AGO) if f.schema == schema and f.table == "rollup_day" and f.current]

    before, torn = days()
    assert any(torn)
    assert [row[1] for row in before] == [1, 15]
    upkeep.settle_sums(tenant)
    assert days() == (before, [False])


def test_no_file_goes_while_a_copy_is_made(new_tenant: Any) -> None:
    tenant = new_tenant().id
    for hour in range(2):
        write_hot(tenant, [(1, START + timedelta(hours=hour), 1.0)])
        lake.compact(tenant)
    with upkeep.copying(), catalogue.writing() as writer:
        upkeep.tidy(writer, datetime.now(UTC), keep_snapshots=-timedelta(hours=1), keep_files=-timedelta(hours=1))
        assert len([name for name in on_disk(tenant) if "/observation/" in name]) == 3
    with catalogue.writing() as writer:
        assert upkeep.remove_unread(writer, datetime.now(UTC) + timedelta(hours=1))
    assert len([name for name in on_disk(tenant) if "/observation/" in name]) == 1


@pytest.mark.parametrize("harm", ["missing", "size", "unreadable"])
def test_what_a_power_cut_took_comes_back_from_hot_rows(new_tenant: Any, harm: str) -> None:
    tenant = new_tenant().id
    rows = [(entity, START + timedelta(minutes=minute), float(minute)) for entity in (1, 2) for minute in range(50)]
    write_hot(tenant, rows)
    lake.compact(tenant)
    write_hot(tenant, [(1, START + timedelta(minutes=3), 77.0)])
    lake.compact(tenant)
    expected = in_lake(tenant)
    place = storage.folder()
    assert place
    for path in paths(tenant)[:1]:
        whole = (place / path).read_bytes()
        if harm == "missing":
            (place / path).unlink()
        else:
            (place / path).write_bytes(whole[: len(whole) // 2] if harm == "size" else whole[:-20] + b"\0" * 20)
    assert [b.reason for b in integrity.look(LONG_AGO)] == [harm]
    engines.forget_readers()
    schedule = jobs.Schedule()
    schedule.compact_due()  # the first look checks, and the tenant is due again
    assert integrity.look(LONG_AGO) == []
    lake.compact(tenant)
    assert in_lake(tenant) == expected
    assert sum(row[0] for row in in_lake(tenant, "count", "rollup_hour")) == 100
    assert sum(row[0] for row in in_lake(tenant, "sum", "rollup_hour")) == sum(row[2] for row in expected)


@pytest.mark.parametrize("table", ["rollup_hour", "rollup_day", "rollup_month"])
def test_sums_that_a_power_cut_took_are_made_again_of_the_values(new_tenant: Any, table: str) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(entity, START + timedelta(minutes=minute), float(minute)) for entity in (1, 2) for minute in range(50)])
    lake.compact(tenant)
    sums = "entity_id, bucket, count, sum, minimum, maximum, first, last, sketch"
    expected = {name: in_lake(tenant, sums, name) for name in ("rollup_hour", "rollup_day", "rollup_month")}
    place, schema = storage.folder(), engines.tenant_schema(tenant)
    assert place
    for known in files.catalogued(LONG_AGO):
        if known.schema == schema and known.table == table:
            (place / known.path).write_bytes(b"torn")
    engines.forget_readers()
    assert {one.file.table for one in integrity.start_check(datetime.now(UTC))} == {table}
    lake.compact(tenant)
    assert {name: in_lake(tenant, sums, name) for name in expected} == expected


def test_a_table_of_an_older_version_gets_the_new_columns(new_tenant: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(1, START, 1.0)])
    lake.compact(tenant)
    with catalogue.writing() as writer:
        writer.execute(f"ALTER TABLE lake.{engines.tenant_schema(tenant)}.observation DROP COLUMN quality")
    write_hot(tenant, [(1, START + timedelta(hours=1), 2.0)])
    lake.compact(tenant)
    assert in_lake(tenant, "num, quality") == [(1.0, None), (2.0, None)]


def test_the_night_comes_once(monkeypatch: Any) -> None:
    schedule, night = jobs.Schedule(), datetime(2026, 3, 1, 3, 5, tzinfo=UTC)
    due = schedule._night_is_due
    assert due(night)
    monkeypatch.setattr(schedule, "_tidied", night)
    assert not due(night + timedelta(minutes=30))
    assert not due(night + timedelta(hours=13))
    assert due(night + timedelta(days=1))
    assert due(night + timedelta(days=1, hours=9))
    assert not due(night - timedelta(days=3))  # a clock that was set back
