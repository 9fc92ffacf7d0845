"""Rows come from the server by their shape, and arrive as they were written: of one shape, of several, of more than are told apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import service as engines
from malha.history.lake import moving, shapes
from malha.history.lake import service as lake
from malha.history.lake.shapes import Shapes

START = datetime(2026, 3, 1, tzinfo=UTC)
_INSERT = """INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, txt, run_id, row_no, dataset_id, type_id, attr_id, kind)
    SELECT %s, %s, %s, %s, %s, %s, %s, %s, t.id, a.id, %s FROM entity_type t, attribute a WHERE t.name = 'Ensaio' AND a.name = %s"""
#: attribute, number, text, load, line, data set, kind
type Said = tuple[str, float | None, str | None, int | None, int | None, int, int]
USUAL: Said = ("forma0", 1.5, None, None, None, 0, 1)


def write(tenant: int, said: list[Said]) -> list[tuple[Any, ...]]:
    with database.connect(Role.APP, autocommit=True) as conn, database.tenant_transaction(conn, [tenant]):
        conn.execute("INSERT INTO entity_type (name, iri) VALUES ('Ensaio', 'https://exemplo.pt/Ensaio') ON CONFLICT DO NOTHING")
        for attribute in sorted({one[0] for one in said}):
            conn.execute("INSERT INTO attribute (name, iri) VALUES (%s, %s) ON CONFLICT DO NOTHING", [attribute, f"https://exemplo.pt/{attribute}"])
        with conn.cursor() as cursor:
            rows = [
                (tenant, at % 7, START + timedelta(minutes=at), num, txt, run, line, dataset, kind, name)
                for at, (name, num, txt, run, line, dataset, kind) in enumerate(said)
            ]
            cursor.executemany(_INSERT, rows)
    return [(row[9], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8]) for row in rows]


@pytest.mark.parametrize(
    ("others", "apart"),
    [
        ([], True),
        (
            [("forma1", None, "aberto", None, None, 0, 5), ("forma0", 2.5, None, 9, None, 0, 1), ("forma2", 4.0, None, None, None, 3, 1)],
            True,
        ),  # seldom, and late
        ([("forma0", 2.5, None, 4, 17, 0, 1), ("forma1", None, "fechado", 4, 18, 0, 5)] * 40, True),  # among the first
        ([(f"forma{n}", float(n), None, None, None, 0, 1) for n in range(40)] * 20, False),  # too many
    ],
)
@pytest.mark.parametrize("limit", [50, 100_000])
def test_it_works(new_tenant: Any, monkeypatch: pytest.MonkeyPatch, others: list[Said], apart: bool, limit: int) -> None:
    told: list[Shapes | None] = []
    real = Shapes.of
    monkeypatch.setattr(moving, "BATCH_ROWS", limit)
    monkeypatch.setattr(shapes, "LOOKED_AT", 120)
    monkeypatch.setattr(Shapes, "of", lambda text: told.append(real(text)) or told[-1])
    tenant = new_tenant().id
    usual = [USUAL] * 130
    said = [*usual, *others] if len(others) < 10 else [*others, *usual[:30]]
    expected = write(tenant, said)
    assert lake.compact(tenant).rows == len(said)
    assert lake.compact(tenant).rows == 0
    shown = "attribute, entity_id, observed_at, num, txt, run_id, row_no, dataset_id, kind"
    query = f"SELECT {shown} FROM lake.{engines.tenant_schema(tenant)}.observation"
    found = engines.run([tenant], lambda reader: reader.execute(query).fetchall())
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert (told[0] is not None) is apart
