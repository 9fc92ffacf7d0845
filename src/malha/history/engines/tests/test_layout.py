"""Files read by a kept list say what DuckLake says, and never what it no longer says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from malha.history.engines import layout
from malha.history.engines import service as engines
from malha.history.lake import catalogue

START = datetime(2025, 3, 1, tzinfo=UTC)


def write(schema: str, *statements: str) -> None:
    with catalogue.writing() as lake:
        for statement in statements:
            lake.execute(statement.format(table=f"lake.{schema}.observation"))


def insert(tenant: int, entity: int, day: int) -> str:
    return f"""INSERT INTO {{table}} (tenant_id, type, attribute, entity_id, dataset_id, observed_at, num, op, month)
        SELECT {tenant}, 'Ensaio', 'nível d''água', {entity}, 0, '{START.isoformat()}'::TIMESTAMPTZ + to_days({day}) + to_minutes(n::INTEGER), n, 0, 202503
        FROM range(50) AS r(n)"""


def test_it_works(new_tenant: Any) -> None:
    tenant = new_tenant().id
    schema = engines.tenant_schema(tenant)
    with catalogue.writing() as lake:
        catalogue.ensure_tenant(lake, tenant)
    write(schema, insert(tenant, 1, 0), insert(tenant, 2, 9), "DELETE FROM {table} WHERE entity_id = 1 AND num >= 40")

    def both() -> tuple[list[Any], list[Any], str]:
        found = layout.now(schema)
        assert found is not None
        relation = found.relation("observation")
        asked = "SELECT tenant_id, type, attribute, entity_id, observed_at, num, op, txt FROM {} ORDER BY ALL"
        one, other = (
            engines.run([tenant], lambda reader, of=of: reader.execute(asked.format(of)).fetchall()) for of in (relation, f"lake.{schema}.observation")
        )
        return one, other, relation

    files, stored, relation = both()
    assert files == stored
    assert len(files) == 90
    found = layout.now(schema)
    assert found is not None
    some = "SELECT entity_id, sum(num) FROM {} WHERE op = 0 AND type = 'Ensaio' GROUP BY 1 ORDER BY 1"
    narrow = found.relation("observation", named=some)
    assert "*" not in narrow
    assert "observed_at" not in narrow
    sums = [engines.run([tenant], lambda reader, of=of: reader.execute(some.format(of)).fetchall()) for of in (narrow, f"lake.{schema}.observation")]
    assert sums[0] == sums[1]
    assert relation.count("read_parquet") == 3  # the one whole, the one that rows were taken out of, and which
    assert layout.kept(schema) is not None
    write(schema, "DELETE FROM {table} WHERE entity_id = 2")
    assert layout.kept(schema) is None
    files, stored, _ = both()
    assert files == stored
    assert len(files) == 40
    write(schema, "ALTER TABLE {table} ADD COLUMN colour VARCHAR")
    files, stored, relation = both()
    assert relation == f"lake.{schema}.observation"  # files from before do not know the column
    assert files == stored


def test_only_files_that_may_hold_what_is_asked(new_tenant: Any) -> None:
    tenant = new_tenant().id
    schema = engines.tenant_schema(tenant)
    with catalogue.writing() as lake:
        catalogue.ensure_tenant(lake, tenant)
    write(schema, insert(tenant, 1, 0), insert(tenant, 2, 9))
    found = layout.now(schema)
    assert found is not None
    every = found.relation("observation").count(".parquet")
    assert every == 2
    assert found.relation("observation", START + timedelta(days=5)).count(".parquet") == 1
    assert found.relation("observation", ids=[1]).count(".parquet") == 1
    assert found.relation("observation", START, START + timedelta(days=1), [2]).count(".parquet") == 1  # none: one is read all the same
    said = found.within(f"SELECT 'lake.{schema}.observation' FROM lake.{schema}.observation AS x", START, START + timedelta(days=1), [1])
    assert said.startswith(f"SELECT 'lake.{schema}.observation' FROM (SELECT * REPLACE")
    said = found.within(f"SELECT x.num, x.op FROM lake.{schema}.observation AS x", START, START + timedelta(days=1), [1])
    assert "FROM (SELECT num, '0'::SMALLINT AS op FROM read_parquet(" in said


def test_every_question_knows_what_the_ends_of_files_say(new_tenant: Any) -> None:
    """A question has a cursor of its own: what was set for one connection alone would not be set for it."""
    tenant = new_tenant().id
    with catalogue.writing() as lake:
        catalogue.ensure_tenant(lake, tenant)
    asked = "SELECT current_setting('parquet_metadata_cache'), current_setting('TimeZone')"
    assert engines.run([tenant], lambda reader: reader.execute(asked).fetchall()) == [(True, "UTC")]
