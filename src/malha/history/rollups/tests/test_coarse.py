"""Months that keep no sums by the hour answer as those that do: every grain, late, corrected, undone, let go."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import answering, coarse
from malha.history.engines import service as engines
from malha.history.engines.specification import Function, Measure, Question, Table
from malha.history.lake import catalogue
from malha.history.lake import service as lake
from malha.history.lake.tests.test_bulk_load import make_entities
from malha.history.lake.tests.test_compact import in_lake
from malha.history.rollups import arriving
from malha.history.rollups import service as rollups
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Grain, SeriesQuery
from malha.vocabulary.models.contracts import Aggregation

URIS = [f"urn:ensaio:{n}" for n in range(3)]
FIRST = datetime(2026, 2, 20, tzinfo=UTC)
LAST = datetime(2026, 4, 12, tzinfo=UTC)  # the Azores change their clocks in between
type Row = tuple[int, datetime, float]


def rows() -> list[Row]:
    chance = random.Random(7)
    minutes = int((LAST - FIRST).total_seconds()) // 60
    found = {(1 + n % 2, FIRST + timedelta(minutes=chance.randrange(minutes))): round(chance.gauss(20, 5), 2) for n in range(900)}
    burst = {(1, FIRST + timedelta(days=3, minutes=minute)): 1.0 * minute for minute in range(45)}  # one hour with quarters of its own
    return [(entity, at, value) for (entity, at), value in (found | burst).items()]


def load(tenant: int, given: list[Row], run: int) -> None:
    table = pa.table({
        "uri": [URIS[entity] for entity, _, _ in given], "type": ["Ensaio"] * len(given), "attribute": ["nivel"] * len(given),
        "observed_at": pa.array([at for _, at, _ in given], pa.timestamp("us", "UTC")), "num": [value for _, _, value in given],
    })  # fmt: skip
    assert lake.bulk_load(tenant, table, run) == len(given)


def write(tenant: int, given: list[Row]) -> None:
    """Through PostgreSQL and the compactor."""
    with database.connect(Role.APP, autocommit=True) as connection, database.tenant_transaction(connection, [tenant]):
        connection.execute("INSERT INTO attribute (name, iri) VALUES ('nivel', 'https://exemplo.pt/nivel') ON CONFLICT DO NOTHING")
        with connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, type_id, attr_id, kind)
                SELECT e.tenant_id, e.id, %s, %s, e.type_id, a.id, 1 FROM entities e, attribute a WHERE e.tenant_id = %s AND e.uri = %s AND a.name = 'nivel'""",
                [(at, value, tenant, URIS[entity]) for entity, at, value in given],
            )


def answers(tenant: int) -> dict[str, list[Any]]:
    """Every series of every grain, and the hours of a typed question."""
    found: dict[str, list[Any]] = {}
    for grain in (Grain.QUARTER, Grain.HOUR, Grain.DAY, Grain.MONTH):
        for aggregation, apart in ((Aggregation.AVERAGE, False), (Aggregation.LAST, True)):
            query = SeriesQuery("Ensaio", "nivel", FIRST, LAST, grain=grain, aggregation=aggregation, group_by_entity=apart, limit=5000)
            found[f"{grain} {aggregation}"] = [point for one in temporal.series(tenant, query) for point in one.points]
        if grain in {Grain.HOUR, Grain.DAY, Grain.MONTH}:
            query = SeriesQuery("Ensaio", "nivel", FIRST, LAST, grain=grain, quantile=0.5, limit=5000)
            found[f"{grain} quantile"] = [point for one in temporal.series(tenant, query) for point in one.points]
    sums = tuple(Measure(Function.SUM, name, name) for name in ("count", "sum", "minimum", "maximum", "first", "last"))
    question = Question(Table.HOUR, by=("bucket",), measures=sums, start=FIRST + timedelta(hours=5, minutes=20), end=LAST - timedelta(minutes=30))
    found["typed"] = [tuple(row.values()) for row in answering.Duck().answer(tenant, question).to_pylist()]
    return found


def alike(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> None:
    assert one.keys() == other.keys()
    for name, points in one.items():
        assert len(points) == len(other[name]), name
        for mine, theirs in zip(points, other[name], strict=True):
            assert list(mine) == [pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for value in theirs], name


@pytest.fixture
def both(new_tenant: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], Any]], int]:
    """Does the same to a tenant whose months keep no hours and to one whose months keep them, and compares every answer."""
    thin, plain = (new_tenant(time_zone="Atlantic/Azores").id for _ in range(2))
    monkeypatch.setattr(arriving, "LEAST_VALUES", 10)
    for tenant in (thin, plain):
        make_entities(tenant, URIS)

    def do(work: Callable[[int], Any]) -> int:
        for tenant, values_a_day in ((thin, 48), (plain, 0)):
            monkeypatch.setattr(arriving, "THIN", values_a_day)
            work(tenant)
        alike(answers(thin), answers(plain))
        return int(thin)

    return do


def marked(tenant: int) -> frozenset[tuple[str, str, int]]:
    with catalogue.writing() as writer:
        return coarse.of_tenant(writer, tenant).months


def test_it_works(both: Callable[[Callable[[int], Any]], int]) -> None:
    given = rows()
    tenant = both(lambda tenant: load(tenant, given, 1))
    assert marked(tenant) == {("Ensaio", "nivel", month) for month in (202602, 202603, 202604)}
    assert in_lake(tenant, "count(*)", "rollup_hour") == in_lake(tenant, "count(*)", "rollup_quarter") == [(0,)]
    assert in_lake(tenant, "sum(count)", "rollup_day") == in_lake(tenant, "sum(count)", "rollup_month") == [(len(given),)]
    with_sketch = "sum(list_sum(map_values(sketch)))"
    assert in_lake(tenant, with_sketch, "rollup_month") == [(len(given),)]  # months keep all
    late = [(1, FIRST + timedelta(days=9, minutes=minute), 50.0 + minute) for minute in range(0, 300, 7)]
    corrected = [(entity, at, value + 100) for entity, at, value in given[:40]]
    both(lambda tenant: write(tenant, late + corrected))  # still hot
    both(lake.compact)
    assert in_lake(tenant, "count(*)", "rollup_hour") == [(0,)]
    both(lambda tenant: load(tenant, [(2, at + timedelta(seconds=30), 3.0) for _, at, _ in given[:60]], 2))  # a load in between
    both(lambda tenant: lake.remove_run(tenant, 2))
    new = [(1, LAST + timedelta(minutes=minute), 9.0) for minute in range(0, 100, 3)]
    both(lambda tenant: (write(tenant, new), lake.compact(tenant)))  # what is measured now comes after
    both(lambda tenant: lake.remove_before(tenant, "Ensaio", datetime(2026, 3, 15, tzinfo=UTC)))
    assert marked(tenant) == {("Ensaio", "nivel", 202604)}
    assert in_lake(tenant, "sum(count)", "rollup_hour")[0][0] > 500  # what was let go keeps its hours
    both(lambda tenant: lake.remove_run(tenant, 1))
    both(lambda tenant: lake.remove_before(tenant, "Ensaio", LAST + timedelta(days=30)))
    assert not marked(tenant)


def test_dense_months_and_the_month_that_runs_keep_their_hours(new_tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "LEAST_VALUES", 10)
    tenant = new_tenant().id
    make_entities(tenant, URIS)
    now = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    load(tenant, [(1, FIRST + timedelta(minutes=10 * n), 1.0) for n in range(600)] + [(1, now + timedelta(hours=n), 1.0) for n in range(20)], 1)
    assert not marked(tenant)
    assert in_lake(tenant, "sum(count)", "rollup_hour") == [(620,)]
    load(tenant, [(2, FIRST + timedelta(hours=3 * n), 1.0) for n in range(12)], 2)  # thin, in a month that has hours
    assert not marked(tenant)
    assert in_lake(tenant, "sum(count)", "rollup_hour") == [(632,)]


def test_sums_made_anew_keep_all_hours(new_tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "LEAST_VALUES", 10)
    tenant = new_tenant(time_zone="Atlantic/Azores").id
    make_entities(tenant, URIS)
    load(tenant, rows(), 1)
    before = answers(tenant)
    with catalogue.writing() as writer:
        thin = coarse.of_tenant(writer, tenant)
        assert thin
        writer.execute("BEGIN")
        rollups.rebuild(writer, engines.tenant_schema(tenant), catalogue.zone_of(tenant))
        coarse.unmark(writer, tenant)
        writer.execute("COMMIT")
    alike(answers(tenant), before)
