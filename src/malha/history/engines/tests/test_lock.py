"""The second wall: a reader of one tenant cannot open another's files, whatever the query says."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from malha.history.engines import service as engines
from malha.history.engines import storage
from malha.history.engines.contracts import ReadOnly, TooSlow
from malha.history.lake import catalogue


def two_tenants(new_tenant: Any) -> tuple[int, int]:
    one, other = new_tenant().id, new_tenant().id
    with catalogue.writing() as lake:
        for tenant in (one, other):
            schema = catalogue.ensure_tenant(lake, tenant)
            lake.execute(f"INSERT INTO lake.{schema}.observation (tenant_id, type, observed_at, num) VALUES ({tenant}, 'Ensaio', now(), 1)")
            lake.execute(f"INSERT INTO lake.{schema}.observation (tenant_id, type, observed_at, num) VALUES ({tenant}, 'Ensaio', now(), 2)")
            lake.execute(f"DELETE FROM lake.{schema}.observation WHERE num = 2")
    return one, other


def test_it_works(new_tenant: Any) -> None:
    one, other = two_tenants(new_tenant)
    assert engines.run([one], lambda reader: reader.execute(f"SELECT tenant_id, num FROM lake.t{one}.observation").fetchall()) == [(one, 1.0)]
    assert engines.run([one, other], lambda reader: reader.execute(f"SELECT num FROM lake.t{other}.observation").fetchall()) == [(1.0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT num FROM lake.t{other}.observation",
        "SELECT * FROM read_parquet('{lake}/t{other}/observation/*/*/*.parquet')",
        "SELECT * FROM read_parquet('{lake}/t{one}/../t{other}/observation/*/*/*.parquet')",
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY (SELECT 1) TO '{lake}/../stolen.csv'",
        "ATTACH '{lake}/../stolen.db'",
        "INSERT INTO lake.t{one}.observation (num) VALUES (1)",
        "SET lock_configuration = false",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "COPY (SELECT 1 AS x) TO '{lake}/t{one}/observation/stolen.parquet'",
        "CREATE TABLE lake.t{one}.other AS SELECT 1 AS x",
        "CREATE TEMP TABLE other AS SELECT 1 AS x",
        "SELECT 1; COPY (SELECT 1 AS x) TO '{lake}/t{one}/stolen.csv'",
        "EXPORT DATABASE '{lake}/t{one}/stolen'",
        "CALL ducklake_expire_snapshots('lake', older_than => now())",
        "SELECT * FROM postgres_query('__ducklake_metadata_lake', 'SELECT 1')",
        "PRAGMA database_list",
        "INSTALL httpfs",
        "LOAD httpfs",
    ],
)
def test_the_lock_holds(new_tenant: Any, statement: str) -> None:
    one, other = two_tenants(new_tenant)
    with pytest.raises((duckdb.Error, ReadOnly)):
        engines.run([one], lambda reader: reader.execute(statement.format(one=one, other=other, lake=storage.folder())).fetchall())


def test_a_question_that_takes_too_long_is_interrupted(new_tenant: Any) -> None:
    one, _ = two_tenants(new_tenant)
    with pytest.raises(TooSlow):
        engines.run(
            [one],
            lambda reader: reader.execute("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = -1").fetchall(),
            timeout_seconds=0.3,
        )
