"""The bulk road: straight to the lake, once per run, undone whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import layout, storage
from malha.history.engines import service as engines
from malha.history.lake import catalogue, compaction
from malha.history.lake import service as lake
from malha.history.lake.contracts import UnknownEntities

START = datetime(2025, 11, 30, tzinfo=UTC)


def make_entities(tenant: int, uris: list[str]) -> None:
    with database.connect(Role.APP, autocommit=True) as connection, database.tenant_transaction(connection, [tenant]):
        connection.execute("INSERT INTO entity_type (name, iri) VALUES ('Ensaio', 'https://exemplo.pt/Ensaio') ON CONFLICT DO NOTHING")
        connection.execute(
            """INSERT INTO entities (tenant_id, uri, type_id, types, doc)
            SELECT %s, u, t.id, ARRAY[t.id], '{}' FROM unnest(%s::text[]) AS u, entity_type AS t WHERE t.name = 'Ensaio'""",
            [tenant, uris],
        )


def table(count: int, offset: float = 0.0) -> pa.Table:
    return pa.table(
        {
            "uri": pa.array([f"urn:ensaio:{i % 2}" for i in range(count)]).dictionary_encode(),
            "type": pa.array(["Ensaio"] * count).dictionary_encode(),
            "attribute": ["nivel"] * count,
            "observed_at": pa.array([START + timedelta(minutes=i) for i in range(count)], pa.timestamp("us", "UTC")),
            "num": [i + offset for i in range(count)],
        }
    )


def total(tenant: int, name: str = "observation", column: str = "num") -> tuple[int, float]:
    query = f"SELECT count(*), coalesce(sum({column}), 0) FROM lake.{engines.tenant_schema(tenant)}.{name}"
    return engines.run([tenant], lambda reader: reader.execute(query).fetchone())


def test_it_works(new_tenant: Any) -> None:
    tenant = new_tenant().id
    make_entities(tenant, ["urn:ensaio:0", "urn:ensaio:1"])
    assert lake.bulk_load(tenant, table(2880), run_id=1) == 2880
    assert lake.bulk_load(tenant, table(2880), run_id=1) == 0  # the same run again
    assert total(tenant) == (2880, sum(range(2880)))
    assert total(tenant, "rollup_hour", "sum") == (2 * 48, sum(range(2880)))
    assert total(tenant, "rollup_day", "sum") == (2 * 2, sum(range(2880)))  # two days in Lisbon, winter


def test_a_later_load_replaces_and_its_undoing_brings_back(new_tenant: Any) -> None:
    tenant = new_tenant().id
    make_entities(tenant, ["urn:ensaio:0", "urn:ensaio:1"])
    lake.bulk_load(tenant, table(100), run_id=1)
    assert lake.bulk_load(tenant, table(50, offset=1000), run_id=2) == 50
    assert total(tenant) == (100, sum(range(100)) + 50_000)
    assert total(tenant, "rollup_hour", "sum")[1] == sum(range(100)) + 50_000
    assert lake.remove_run(tenant, 2) == 50
    assert total(tenant) == (100, sum(range(100)))
    assert total(tenant, "rollup_hour", "sum")[1] == sum(range(100))
    assert lake.remove_run(tenant, 2) == 0


def test_entities_that_do_not_exist_are_refused_and_nothing_is_kept(new_tenant: Any) -> None:
    tenant = new_tenant().id
    make_entities(tenant, ["urn:ensaio:0"])
    with pytest.raises(UnknownEntities, match="urn:ensaio:1"):
        lake.bulk_load(tenant, table(10), run_id=1)
    assert total(tenant) == (0, 0)


def test_a_load_over_hours_that_were_let_go_is_summed_once(new_tenant: Any) -> None:
    """Retention takes values and leaves their sums: the same values loaded again are not added to those."""
    tenant = new_tenant().id
    make_entities(tenant, ["urn:ensaio:0", "urn:ensaio:1"])
    lake.bulk_load(tenant, table(2880), run_id=1)
    before = {name: total(tenant, name, "count") for name in ("rollup_quarter", "rollup_hour", "rollup_day", "rollup_month")}
    assert lake.remove_before(tenant, "Ensaio", START + timedelta(days=1)) == 1440  # the later day stays
    assert lake.bulk_load(tenant, table(1440), run_id=2) == 1440
    assert {name: total(tenant, name, "count") for name in before} == before
    assert total(tenant, "rollup_hour", "sum")[1] == sum(range(2880))
    assert lake.remove_before(tenant, "Ensaio", START + timedelta(days=30)) == 2880  # nothing is left but sums
    assert lake.bulk_load(tenant, table(2880), run_id=3) == 2880
    assert {name: total(tenant, name, "count") for name in before} == before
    assert lake.bulk_load(tenant, table(2880 + 60).slice(2880), run_id=4) == 60  # an hour that nothing is known of
    assert total(tenant, "rollup_hour", "count") == (before["rollup_hour"][0] + 2, 2940)


@pytest.mark.parametrize("part", [slice(0, 10), slice(5, 25)])
def test_a_part_of_an_hour_that_was_let_go_is_added_to_its_sums(new_tenant: Any, part: slice) -> None:
    """What was let go stays summed: values that come late are added, said again they count once, and undone they leave no trace."""
    tenant = new_tenant().id
    make_entities(tenant, ["urn:ensaio:0", "urn:ensaio:1"])
    lake.bulk_load(tenant, table(2880), run_id=1)
    before = sums(tenant)
    lake.remove_before(tenant, "Ensaio", START + timedelta(days=30))
    late = table(40, offset=-500.0)
    moved = pc.add(late.column("observed_at"), pa.scalar(timedelta(seconds=30)))
    late = late.set_column(late.column_names.index("observed_at"), "observed_at", moved)[part.start : part.stop]
    for run in (2, 3):
        assert lake.bulk_load(tenant, late, run) == late.num_rows
        for name in before:
            count, total_, _, _ = figures(tenant, name)
            assert (count, total_) == (2880 + late.num_rows, sum(range(2880)) + sum(late.column("num").to_pylist()))
    for run in (3, 2):
        lake.remove_run(tenant, run)
    after = sums(tenant)
    assert after.keys() == before.keys()
    for name, rows in before.items():
        for mine, theirs in zip(after[name], rows, strict=True):
            assert mine == pytest.approx(theirs, rel=0.011), name  # the least of what was let go is known within 1 % where the least of all went
    assert lake.bulk_load(tenant, table(2880), run_id=4) == 2880
    assert sums(tenant) == before


def sums(tenant: int) -> dict[str, list[tuple[Any, ...]]]:
    shown = "epoch(bucket), entity_id, count, sum, minimum, maximum, first, last"
    query = "SELECT {shown} FROM lake.{schema}.{name} ORDER BY 1, 2"
    names = ("rollup_quarter", "rollup_hour", "rollup_day", "rollup_month")
    schema = engines.tenant_schema(tenant)
    return {
        name: engines.run([tenant], lambda reader, name=name: reader.execute(query.format(shown=shown, schema=schema, name=name)).fetchall()) for name in names
    }


def figures(tenant: int, name: str) -> tuple[Any, ...]:
    query = f"SELECT sum(count)::INTEGER, sum(sum), min(minimum), max(maximum) FROM lake.{engines.tenant_schema(tenant)}.{name}"
    return engines.run([tenant], lambda reader: reader.execute(query).fetchone())


def test_months_written_whole_are_read_corrected_merged_and_undone(new_tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written before the lake had them say the same as those that it wrote, and are read without asking it for each."""
    monkeypatch.setattr(compaction, "MANY_ROWS", 1)
    tenant = new_tenant().id
    make_entities(tenant, ["urn:ensaio:0", "urn:ensaio:1"])
    given = table(2880).append_column("unit", pa.array(["d'água"] * 2880)).append_column("row_no", pa.array(range(2880)))
    assert lake.bulk_load(tenant, given, run_id=1) == 2880
    schema = engines.tenant_schema(tenant)
    known = layout.now(schema)
    assert known is not None
    assert [file.plain for file in known.files["observation"]] == [True, True]  # November and December
    assert all(storage.OURS in file.place for file in known.files["observation"])
    assert known.relation("observation").startswith("(SELECT * REPLACE")
    assert lake.bulk_load(tenant, table(50, offset=1000), run_id=2) == 50
    said = "SELECT count(*), sum(num), min(unit), max(row_no), min(month), max(month), min(txt) FROM lake.{}.observation"
    assert engines.run([tenant], lambda reader: reader.execute(said.format(schema)).fetchone()) == (
        2880,
        sum(range(2880)) + 50_000,
        "d'água",
        2879,
        202511,
        202512,
        None,
    )
    with catalogue.writing() as writer:
        for call in (
            "ducklake_rewrite_data_files('lake', 'observation', schema => ?, delete_threshold => 0)",
            "ducklake_merge_adjacent_files('lake', 'observation', schema => ?)",
        ):
            writer.execute(f"CALL {call}", [schema])
    assert total(tenant) == (2880, sum(range(2880)) + 50_000)
    assert lake.remove_run(tenant, 2) == 50
    assert total(tenant) == (2880, sum(range(2880)))
    assert total(tenant, "rollup_hour", "sum") == (96, sum(range(2880)))
