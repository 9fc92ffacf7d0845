"""Hot and lake are one: the same answer before, between and after compactions, equal to sums made in plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.lake import service as lake
from malha.history.temporal import newest, service
from malha.history.temporal.contracts import Grain, SeriesQuery, UnusablePeriod
from malha.vocabulary.models.contracts import Aggregation

TYPE, ATTRIBUTE = "Ensaio", "nivel"
type Row = tuple[str, datetime, float]


def entities(connection: psycopg.Connection, tenant: int, uris: list[str]) -> dict[str, int]:
    connection.execute("INSERT INTO entity_type (name, iri) VALUES (%s, 'https://exemplo.pt/Ensaio') ON CONFLICT DO NOTHING", [TYPE])
    connection.execute("INSERT INTO attribute (name, iri) VALUES (%s, 'https://exemplo.pt/nivel') ON CONFLICT DO NOTHING", [ATTRIBUTE])
    connection.execute(
        """INSERT INTO entities (tenant_id, uri, type_id, types, doc)
        SELECT %s, u, t.id, ARRAY[t.id], '{}' FROM unnest(%s::text[]) AS u, entity_type AS t WHERE t.name = %s ON CONFLICT DO NOTHING""",
        [tenant, uris, TYPE],
    )
    return dict(connection.execute("SELECT uri, id FROM entities WHERE tenant_id = %s", [tenant]).fetchall())


def observe(tenant: int, rows: list[Row], run_id: int | None = None) -> None:
    """Write as the store does."""
    with database.connect(Role.APP, autocommit=True) as connection, database.tenant_transaction(connection, [tenant]):
        ids = entities(connection, tenant, sorted({row[0] for row in rows}))
        with connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, run_id, type_id, attr_id, kind)
                SELECT %s, %s, %s, %s, %s, t.id, a.id, 0 FROM entity_type t, attribute a WHERE t.name = %s AND a.name = %s""",
                [[tenant, ids[uri], at, num, run_id, TYPE, ATTRIBUTE] for uri, at, num in rows],
            )


def start_of(at: datetime, grain: Grain, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    if grain is Grain.QUARTER:
        return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    if grain is Grain.HOUR:
        return at.replace(minute=0, second=0, microsecond=0)
    day = local.date() if grain is Grain.DAY else local.date().replace(day=1)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def by_hand(rows: list[Row], grain: Grain, aggregation: Aggregation, zone: ZoneInfo, *, per_entity: bool) -> dict[str, list[tuple[datetime, float, int]]]:
    latest = {(uri, at): num for uri, at, num in rows}  # the newest of each key
    groups: dict[tuple[str, datetime], list[tuple[datetime, float]]] = defaultdict(list)
    for (uri, at), num in latest.items():
        groups[uri if per_entity else "", start_of(at, grain, zone)].append((at, num))
    formula = {
        Aggregation.AVERAGE: lambda v: sum(n for _, n in v) / len(v),
        Aggregation.SUM: lambda v: sum(n for _, n in v),
        Aggregation.MINIMUM: lambda v: min(n for _, n in v),
        Aggregation.MAXIMUM: lambda v: max(n for _, n in v),
        Aggregation.COUNT: len,
        Aggregation.LAST: lambda v: max(v)[1],
    }[aggregation]
    answer: dict[str, list[tuple[datetime, float, int]]] = defaultdict(list)
    for (uri, bucket), values in sorted(groups.items()):
        answer[uri].append((bucket, pytest.approx(formula(values)), len(values)))  # type: ignore[arg-type]
    return answer


def check(tenant: int, rows: list[Row], zone: ZoneInfo, *, thorough: bool = False) -> None:
    first, last = min(row[1] for row in rows), max(row[1] for row in rows) + timedelta(seconds=1)
    for grain in (Grain.QUARTER, Grain.HOUR, Grain.DAY, Grain.MONTH):
        for aggregation in Aggregation if thorough else (Aggregation.SUM,):
            for per_entity in (False, True) if thorough else (True,):
                if aggregation is Aggregation.LAST and not per_entity:
                    continue  # the last of several things at one instant is not defined
                query = SeriesQuery(TYPE, ATTRIBUTE, first, last, grain=grain, aggregation=aggregation, group_by_entity=per_entity)
                found = {one.uri: one.points for one in service.series(tenant, query)}
                assert found == by_hand(rows, grain, aggregation, zone, per_entity=per_entity), (grain, aggregation, per_entity)
    raw = service.series(tenant, SeriesQuery(TYPE, ATTRIBUTE, first, last, grain=Grain.RAW))
    assert sorted((s.uri, at, value) for s in raw for at, value, _ in s.points) == sorted((u, a, n) for (u, a), n in {(u, a): n for u, a, n in rows}.items())


def days_of(seed: int, first: datetime, days: int, minutes: int = 20) -> list[Row]:
    chance = random.Random(seed)
    return [
        (f"urn:ensaio:{thing}", first + timedelta(minutes=minute + thing), round(chance.gauss(20, 5), 2))
        for thing in range(3)
        for minute in range(0, days * 1440, minutes)
        if chance.random() > 0.1
    ]


@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Europe/Lisbon", datetime(2026, 3, 27, 0, 0, tzinfo=UTC)),  # 23 hours on the 29th
        ("Europe/Lisbon", datetime(2026, 10, 23, 0, 0, tzinfo=UTC)),  # 25 hours on the 25th
        ("Atlantic/Azores", datetime(2026, 3, 27, 0, 0, tzinfo=UTC)),  # the 29th has no midnight
        ("Atlantic/Azores", datetime(2026, 10, 23, 0, 0, tzinfo=UTC)),  # the 25th has two
    ],
)
def test_it_works(new_tenant: Any, zone: str, first: datetime) -> None:
    tenant = new_tenant(time_zone=zone).id
    where = ZoneInfo(zone)
    rows = days_of(1, first, 5)
    observe(tenant, rows)
    check(tenant, rows, where)  # all hot
    lake.compact(tenant)
    check(tenant, rows, where)  # all in the lake
    chance = random.Random(2)
    more = [(uri, at, value + 100) for uri, at, value in chance.sample(rows, 40)]  # corrections
    more += [(uri, at + timedelta(minutes=3), value) for uri, at, value in chance.sample(rows, 40)]  # late
    more += days_of(3, first + timedelta(days=5), 1)
    observe(tenant, more)
    check(tenant, rows + more, where, thorough=first.month == 10)  # both
    lake.compact(tenant)
    check(tenant, rows + more, where)  # all in the lake again


def test_days_have_their_own_length(new_tenant: Any) -> None:
    tenant = new_tenant().id
    rows = [("urn:ensaio:1", datetime(2026, 3, 28, tzinfo=UTC) + timedelta(hours=hour), 1.0) for hour in range(72)]
    observe(tenant, rows)
    lake.compact(tenant)
    query = SeriesQuery(TYPE, ATTRIBUTE, rows[0][1], rows[-1][1] + timedelta(seconds=1), grain=Grain.DAY, aggregation=Aggregation.COUNT)
    [found] = service.series(tenant, query)
    assert [count for _, _, count in found.points] == [24, 23, 24, 1]


def test_only_these_entities_and_only_this_tenant(new_tenant: Any) -> None:
    one, other = new_tenant().id, new_tenant().id
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    observe(one, [("urn:ensaio:1", at, 1.0), ("urn:ensaio:2", at, 2.0)])
    observe(other, [("urn:ensaio:1", at, 9.0)])
    query = SeriesQuery(TYPE, ATTRIBUTE, at, at + timedelta(hours=1), uris=("urn:ensaio:1",))
    for _ in range(2):
        assert [s.points[0][1] for s in service.series(one, query)] == [1.0]
        assert [s.points[0][1] for s in service.series(other, query)] == [9.0]
        assert [(v.uri, v.value) for v in service.last_values(one, TYPE, ATTRIBUTE, at=at + timedelta(days=1))] == [
            ("urn:ensaio:1", 1.0),
            ("urn:ensaio:2", 2.0),
        ]
        lake.compact(one)
        lake.compact(other)


def test_newest_values_that_are_kept_are_the_same(new_tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many entities what the lake says is kept: late, corrected and new values show, hot and compacted, and at instants before."""
    monkeypatch.setattr(service, "_MANY", 0)
    tenant, at = new_tenant().id, datetime(2026, 5, 1, 12, tzinfo=UTC)
    uris, rows = [f"urn:ensaio:{n}" for n in range(4)], dict[tuple[str, datetime], float]()

    def write(*given: Row) -> None:
        observe(tenant, list(given))
        rows.update({(uri, when): value for uri, when, value in given})

    def seen(until: datetime) -> list[tuple[str, datetime, float]]:
        return [(one.uri, one.at, one.value) for one in service.last_values(tenant, TYPE, ATTRIBUTE, at=until)]

    def right(until: datetime) -> list[tuple[str, datetime, float]]:
        of = {uri: max((when for each, when in rows if each == uri and until - service.LOOK_BACK <= when < until), default=None) for uri in uris}
        return [(uri, when, rows[uri, when]) for uri, when in of.items() if when]

    write(*((uri, at + timedelta(minutes=n), float(n)) for n, uri in enumerate(uris)))
    end = at + timedelta(days=1)
    for step in (
        lambda: lake.compact(tenant),
        lambda: write((uris[1], at + timedelta(hours=1), 7.0)),
        lambda: write((uris[2], at + timedelta(minutes=2), 8.0), (uris[3], at - timedelta(hours=1), 9.0)),
        lambda: lake.compact(tenant),
        lambda: write((uris[0], end + timedelta(hours=1), 10.0)),
        lambda: lake.compact(tenant),
    ):
        step()
        for until in (end, end + timedelta(days=1), at + timedelta(minutes=2), at + timedelta(days=31), end):
            assert seen(until) == right(until)
    assert newest._kept


def test_a_load_is_undone(new_tenant: Any) -> None:
    tenant = new_tenant().id
    first = datetime(2026, 6, 1, tzinfo=UTC)
    rows = days_of(4, first, 2)
    observe(tenant, rows)
    lake.compact(tenant)
    observe(tenant, [(uri, at, value + 50) for uri, at, value in rows[:30]], run_id=7)
    lake.compact(tenant)
    with database.connect(Role.APP, autocommit=True) as connection, database.tenant_transaction(connection, [tenant]):
        connection.execute("INSERT INTO undone_run (tenant_id, run_id) VALUES (%s, 7)", [tenant])
    query = SeriesQuery(TYPE, ATTRIBUTE, first, first + timedelta(days=3), grain=Grain.DAY, aggregation=Aggregation.COUNT)
    assert sum(count for s in service.series(tenant, query) for _, _, count in s.points) == len(rows) - 30  # hidden at once
    lake.compact(tenant)
    check(tenant, rows, ZoneInfo("Europe/Lisbon"))  # and what it had replaced is back


def test_a_period_that_ends_before_it_starts_is_refused(new_tenant: Any) -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    with pytest.raises(UnusablePeriod):
        service.series(new_tenant().id, SeriesQuery(TYPE, ATTRIBUTE, at, at))


def test_quantiles_of_quarters_are_told_from_values_and_from_sketches_once_those_went(new_tenant: Any) -> None:
    tenant, first = new_tenant().id, datetime(2025, 6, 2, 10, tzinfo=UTC)
    chance = random.Random(3)
    rows = [(uri, first + timedelta(minutes=minute), round(chance.uniform(5, 50), 2)) for uri in ("urn:x:1", "urn:x:2") for minute in range(120)]
    observe(tenant, rows)
    lake.compact(tenant)
    query = SeriesQuery(TYPE, ATTRIBUTE, first, first + timedelta(hours=2), uris=("urn:x:1",), grain=Grain.QUARTER, quantile=0.5)
    expected = [
        sorted(value for uri, at, value in rows if uri == "urn:x:1" and first + timedelta(minutes=15) * n <= at < first + timedelta(minutes=15) * (n + 1))[7]
        for n in range(8)
    ]
    for going in (None, first + timedelta(minutes=70), first + timedelta(days=1)):
        if going:
            lake.remove_before(tenant, TYPE, going)
        (found,) = service.series(tenant, query)
        assert [point[0] for point in found.points] == [first + timedelta(minutes=15) * n for n in range(8)]
        assert [point[1] for point in found.points] == pytest.approx(expected, rel=0.0101)
