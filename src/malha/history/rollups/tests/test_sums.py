"""Sums of every grain are those that plain Python makes of the same rows: late, corrected, over both changes of the clock."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.history.engines import service as engines
from malha.history.lake import catalogue, moving
from malha.history.lake import service as lake_service
from malha.history.lake.tests.test_compact import in_lake, write_hot
from malha.history.rollups import service as rollups
from malha.history.rollups import sketch, tables

type Row = tuple[int, datetime, float]


def start_of(at: datetime, table: str, zone: ZoneInfo) -> datetime:
    if table == "rollup_quarter":
        return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    if table == "rollup_hour":
        return at.replace(minute=0, second=0, microsecond=0)
    day = at.astimezone(zone).date().replace(**({"day": 1} if table == "rollup_month" else {}))  # type: ignore[arg-type]
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def by_hand(rows: dict[tuple[int, datetime], float], table: str, zone: ZoneInfo) -> dict[tuple[int, datetime], list[Any]]:
    groups: dict[tuple[int, datetime], list[tuple[datetime, float]]] = defaultdict(list)
    hours: dict[tuple[int, datetime], int] = defaultdict(int)
    for (entity, at), value in rows.items():
        groups[entity, start_of(at, table, zone)].append((at, value))
        hours[entity, start_of(at, "rollup_hour", zone)] += 1
    if table == "rollup_quarter":
        groups = {key: found for key, found in groups.items() if hours[key[0], start_of(key[1], "rollup_hour", zone)] >= rollups.DENSE}  # type: ignore[assignment]
    return {
        key: [len(found), pytest.approx(sum(v for _, v in found)), min(v for _, v in found), max(v for _, v in found), min(found)[1], max(found)[1]]
        for key, found in groups.items()
    }


def put(lake: Any, schema: str, zone: ZoneInfo, rows: list[Row]) -> None:
    """As the compactor does: what is corrected goes, what is new comes, the touched sums are made again."""
    lake.execute("CREATE OR REPLACE TEMP TABLE given(entity_id BIGINT, observed_at TIMESTAMPTZ, num DOUBLE)")
    lake.executemany("INSERT INTO given VALUES (?, ?, ?)", rows)
    lake.execute("CREATE OR REPLACE TEMP TABLE touched AS SELECT *, 'nivel' AS attribute, 0 AS dataset_id FROM given")
    lake.execute("BEGIN")
    lake.execute(
        f"DELETE FROM lake.{schema}.observation AS o WHERE EXISTS (SELECT 1 FROM touched AS t WHERE t.entity_id = o.entity_id AND t.observed_at = o.observed_at)"
    )
    lake.execute(
        f"""INSERT INTO lake.{schema}.observation (tenant_id, type, attribute, entity_id, dataset_id, observed_at, num, op, month)
            SELECT 1, 'Ensaio', attribute, entity_id, dataset_id, observed_at, num, 0, {rollups.month_of("observed_at")} FROM touched"""
    )
    rollups.refresh(lake, schema, zone, "touched")
    lake.execute("COMMIT")


def check(lake: Any, schema: str, zone: ZoneInfo, rows: dict[tuple[int, datetime], float]) -> None:
    for table in tables.TABLES:
        found = lake.execute(f"SELECT entity_id, bucket, count, sum, minimum, maximum, first, last, sketch FROM lake.{schema}.{table}").fetchall()
        hand = by_hand(rows, table, zone)
        assert {(row[0], row[1]): list(row[2:8]) for row in found} == hand, table
        assert len(found) == len(hand)  # one row a bucket
        # sketches count what sums count; one or two values are their own, and quarters have none while their values are there
        assert all((table == "rollup_quarter" or row[2] <= sketch.PLAIN) if row[8] is None else sum(row[8].values()) == row[2] for row in found)


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Europe/Lisbon", datetime(2026, 3, 28, tzinfo=UTC)),  # the 29th has 23 hours
        ("Atlantic/Azores", datetime(2026, 10, 24, tzinfo=UTC)),  # the 25th has 25, and two midnights
    ],
)
def test_it_works(new_tenant: Any, zone: str, first: datetime) -> None:
    chance, where = random.Random(first.month), ZoneInfo(zone)
    tenant = new_tenant(time_zone=zone).id
    minutes = chance.sample(range(3 * 1440), 150)
    rows = [(1 + minute % 2, first + timedelta(minutes=minute), round(chance.gauss(0, 20), 2)) for minute in minutes]
    rows += [(1, first + timedelta(hours=30, minutes=minute), 1.0 * minute) for minute in range(60)]  # a dense hour
    known: dict[tuple[int, datetime], float] = {}
    with catalogue.writing() as lake:
        schema = catalogue.ensure_tenant(lake, tenant)
        late = [(1, first - timedelta(days=730), 5.0)]  # two years late
        corrections = [(entity, at, value + 100) for entity, at, value in chance.sample(rows, 20)]
        for batch in (rows[:100], rows[100:], late, corrections):
            last_wins = {(entity, at): value for entity, at, value in batch}
            put(lake, schema, where, [(entity, at, value) for (entity, at), value in last_wins.items()])
            known |= last_wins
        check(lake, schema, where, known)
        lake.execute("BEGIN")
        rollups.rebuild(lake, schema, where)
        lake.execute("COMMIT")
        check(lake, schema, where, known)  # the other road to the same sums


@pytest.mark.parametrize("at_once", [7, moving.BATCH_ROWS])
def test_the_compactor_sums_what_is_new_as_it_comes_and_the_rest_again(new_tenant: Any, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Batches that lie before, across and after what the lake holds, each hot row through the compactor itself, whole or a few at a time in one commit."""
    monkeypatch.setattr(moving, "BATCH_ROWS", at_once)
    zone, first = ZoneInfo("Atlantic/Azores"), datetime(2026, 3, 30, 21, 40, tzinfo=UTC)
    chance = random.Random(5)
    tenant = new_tenant(time_zone=zone.key).id
    known: dict[tuple[int, datetime], float] = {}
    #: minutes after the first: new lake, then the rest of its last hour and the hours after, then late and new, then nothing but late,
    #: then an hour that has enough values for its quarters only with the second batch, then the last instant of all again by others
    batches = (
        *(range(0, 150, 3), range(140, 400, 7), [*range(-90, 30, 11), *range(405, 520, 2)], range(1, 160, 9), [3000, 3001, 44_000]),
        *(range(50_000, 50_040), range(50_040, 50_080), [50_079, 50_079.5]),
    )
    for number, minutes in enumerate(batches):
        rows = [
            (1 + int(minute) % 2 + 2 * (number == len(batches) - 1), first + timedelta(minutes=minute), round(chance.gauss(0, 20), 2)) for minute in minutes
        ]
        write_hot(tenant, rows)
        assert lake_service.compact(tenant).rows == len(rows)
        known |= {(entity, at): value for entity, at, value in rows}
        assert {(row[0], row[1]): row[2] for row in in_lake(tenant)} == known
        with catalogue.writing() as lake:
            check(lake, engines.tenant_schema(tenant), zone, known)


def test_a_lake_of_an_older_version_gets_the_sums_of_today(new_tenant: Any) -> None:
    tenant, zone, at = new_tenant().id, ZoneInfo("Europe/Lisbon"), datetime(2026, 5, 1, tzinfo=UTC)
    with catalogue.writing() as lake:
        schema = catalogue.ensure_tenant(lake, tenant)
        put(lake, schema, zone, [(1, at, 2.0), (1, at + timedelta(hours=1), 4.0)])
        for name in ("rollup_quarter", "rollup_month"):
            lake.execute(f"DROP TABLE lake.{schema}.{name}")
        lake.execute(f"ALTER TABLE lake.{schema}.rollup_day DROP COLUMN sketch")
        assert not rollups.is_current(lake, schema)
    catalogue.prepare()
    engines.forget_readers()
    found = engines.run([tenant], lambda reader: reader.execute(f"SELECT count, sum, sketch FROM lake.{schema}.rollup_month").fetchall())
    assert found == [(2, 6.0, None)]


@given(st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=1, max_size=60), st.integers(1, 5), st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]))
@settings(max_examples=60, deadline=None)
def test_a_quantile_of_merged_sketches_is_near_the_value_of_its_rank(values: list[float], parts: int, wanted: float) -> None:
    values = [0.0 if abs(value) < 1e-100 else value for value in values]
    with duckdb.connect() as plain:
        plain.execute("CREATE TABLE v(part BIGINT, num DOUBLE)")
        plain.executemany("INSERT INTO v VALUES (?, ?)", [(at % parts, value) for at, value in enumerate(values)])
        plain.execute(f"CREATE TABLE s AS SELECT 1 AS one, part, {sketch.of_values('num')} AS sketch FROM v GROUP BY part")
        [(_, found, count)] = plain.execute(sketch.quantile("s", "one", wanted)).fetchall()
    exact = sorted(values)[math.floor(wanted * (len(values) - 1))]
    assert count == len(values)
    assert abs(found - exact) <= sketch.RELATIVE_ERROR * abs(exact) + 1e-300
