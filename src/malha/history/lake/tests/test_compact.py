"""Hot rows go to the lake once and only once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import service as engines
from malha.history.lake import service as lake

START = datetime(2026, 3, 1, tzinfo=UTC)


def names(connection: psycopg.Connection) -> tuple[int, int]:
    connection.execute("INSERT INTO entity_type (name, iri) VALUES ('Ensaio', 'https://exemplo.pt/Ensaio') ON CONFLICT DO NOTHING")
    connection.execute("INSERT INTO attribute (name, iri) VALUES ('nivel', 'https://exemplo.pt/nivel') ON CONFLICT DO NOTHING")
    type_id = connection.execute("SELECT id FROM entity_type WHERE name = 'Ensaio'").fetchone()
    attr_id = connection.execute("SELECT id FROM attribute WHERE name = 'nivel'").fetchone()
    assert type_id
    assert attr_id
    return type_id[0], attr_id[0]


def write_hot(tenant_id: int, rows: list[tuple[int, datetime, float]], run_id: int | None = None, connection: psycopg.Connection | None = None) -> None:
    """Rows of (entity id, observed_at, num), as the store writes them."""
    own = connection or database.connect(Role.APP, autocommit=True)
    with database.tenant_transaction(own, [tenant_id]):
        type_id, attr_id = names(own)
        for entity_id, observed_at, num in rows:
            own.execute(
                "INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, run_id, type_id, attr_id, kind) VALUES (%s, %s, %s, %s, %s, %s, %s, 1)",
                [tenant_id, entity_id, observed_at, num, run_id, type_id, attr_id],
            )
    if connection is None:
        own.close()


def in_lake(tenant_id: int, columns: str = "entity_id, observed_at, num", table: str = "observation") -> list[Any]:
    query = f"SELECT {columns} FROM lake.{engines.tenant_schema(tenant_id)}.{table} ORDER BY ALL"
    return engines.run([tenant_id], lambda reader: reader.execute(query).fetchall())


def test_it_works(new_tenant: Any) -> None:
    tenant = new_tenant().id
    rows = [(entity, START + timedelta(minutes=minute), float(entity * minute)) for entity in (1, 2) for minute in range(0, 180, 10)]
    write_hot(tenant, rows)
    moved = lake.compact(tenant)
    assert moved.rows == 36
    assert in_lake(tenant) == sorted(rows)
    assert lake.compact(tenant).rows == 0
    assert in_lake(tenant) == sorted(rows)
    hours = in_lake(tenant, "entity_id, bucket, count, sum, minimum, maximum, first, last", "rollup_hour")
    assert hours[1] == (1, START + timedelta(hours=1), 6, 60.0 + 70 + 80 + 90 + 100 + 110, 60.0, 110.0, 60.0, 110.0)
    assert len(hours) == 6


def test_a_transaction_held_open_is_not_passed_over(new_tenant: Any) -> None:
    tenant = new_tenant().id
    with database.connect(Role.APP, autocommit=True) as early, early.transaction():
        early.execute("SELECT set_config('malha.tenants', %s, true)", [f"{{{tenant}}}"])
        type_id, attr_id = names(early)
        early.execute(
            "INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, type_id, attr_id, kind) VALUES (%s, 1, %s, 1, %s, %s, 1)",
            [tenant, START, type_id, attr_id],
        )
        with database.connect(Role.APP, autocommit=True) as later:  # commits before the early one, with a higher number
            later.execute("SELECT set_config('malha.tenants', %s, false)", [f"{{{tenant}}}"])
            later.execute(
                "INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, type_id, attr_id, kind) VALUES (%s, 2, %s, 2, %s, %s, 1)",
                [tenant, START, type_id, attr_id],
            )
        assert lake.compact(tenant).rows == 0
    assert lake.compact(tenant).rows == 2
    assert in_lake(tenant, "entity_id, num") == [(1, 1.0), (2, 2.0)]


def test_late_and_corrected_rows_leave_one_row_per_key(new_tenant: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(1, START + timedelta(hours=hour), 1.0) for hour in range(30)])
    assert lake.compact(tenant).corrected == 0
    write_hot(tenant, [(1, START + timedelta(hours=2), 50.0), (1, START + timedelta(hours=2, minutes=30), 7.0)])
    write_hot(tenant, [(1, START + timedelta(hours=2), 9.0)])
    moved = lake.compact(tenant)
    assert (moved.rows, moved.corrected) == (3, 1)
    observed = {at: num for _, at, num in in_lake(tenant)}
    assert len(in_lake(tenant)) == 31
    assert observed[START + timedelta(hours=2)] == 9.0
    hours = {bucket: (count, total) for bucket, count, total in in_lake(tenant, "bucket, count, sum", "rollup_hour")}
    assert hours[START + timedelta(hours=2)] == (2, 16.0)
    assert hours[START + timedelta(hours=3)] == (1, 1.0)
    days = in_lake(tenant, "bucket, count, sum", "rollup_day")
    assert days == [(START, 25, 24 - 1 + 16.0), (START + timedelta(days=1), 6, 6.0)]


def test_another_tenant_sees_nothing(new_tenant: Any) -> None:
    one, other = new_tenant().id, new_tenant().id
    write_hot(one, [(1, START, 1.0)])
    write_hot(other, [(2, START, 2.0)])
    lake.compact(one)
    assert in_lake(one) == [(1, START, 1.0)]
    lake.compact(other)
    assert in_lake(other) == [(2, START, 2.0)]
