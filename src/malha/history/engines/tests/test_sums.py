"""Totals of whole days are told from sums, and only where the lake has every value that was summed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from malha.history.engines import answering, layout, sums
from malha.history.engines import service as engines
from malha.history.engines.specification import Comparison, Filter, Function, Measure, Question, Table, Width
from malha.history.lake import catalogue
from malha.history.lake import service as lake
from malha.history.lake.tests.test_compact import write_hot

LISBON = ZoneInfo("Europe/Lisbon")
#: five local days, of which one has 23 hours
FIRST = datetime(2026, 3, 27, tzinfo=LISBON).astimezone(UTC)
ROWS = [(entity, FIRST + timedelta(minutes=minute), float(minute % 97 + entity)) for entity in (1, 2) for minute in range(0, 5 * 1440 - 60, 20)]
MEASURES = tuple(Measure(each, "num", each.value) for each in (Function.COUNT, Function.SUM, Function.AVERAGE, Function.MINIMUM, Function.MAXIMUM))


def midnight(day: int) -> datetime:
    return datetime(2026, 3, day, tzinfo=LISBON).astimezone(UTC)


def by_hand(question: Question, rows: list[tuple[int, datetime, float]]) -> list[Any]:
    values = [
        value
        for entity, at, value in rows
        if (question.start is None or at >= question.start) and (question.end is None or at < question.end) and entity in (question.entities or (1, 2))
    ]
    return [len(values), *([sum(values), sum(values) / len(values), min(values), max(values)] if values else [None] * 4)]


def told_by(tenant: int, question: Question) -> Table | None:
    """The table of sums that answers instead; None where values do."""
    files = layout.now(engines.tenant_schema(tenant))
    assert files is not None
    found = engines.run([tenant], lambda reader: sums.instead(question, files, reader, tenant))
    return found and found.table


@pytest.mark.parametrize(
    ("period", "by"),
    [
        ((None, None), Table.MONTH),
        ((FIRST, FIRST + timedelta(days=30)), Table.MONTH),
        ((midnight(28), midnight(30)), Table.DAY),
        ((midnight(28), None), Table.DAY),
        ((midnight(10), midnight(12)), Table.DAY),  # nothing there
        ((midnight(28) + timedelta(hours=1), midnight(30)), None),
        ((midnight(28), midnight(30) - timedelta(seconds=1)), None),
    ],
)
def test_it_works(new_tenant: Any, period: tuple[datetime | None, datetime | None], by: Table | None) -> None:
    tenant = new_tenant(time_zone="Europe/Lisbon").id
    write_hot(tenant, ROWS)
    lake.compact(tenant)
    for entities in (None, (2,), (3,)):
        question = Question(Table.OBSERVATION, measures=MEASURES, start=period[0], end=period[1], entities=entities)
        assert told_by(tenant, question) == by
        (answer,) = answering.Duck().answer(tenant, question).to_pylist()
        rows = [row for row in ROWS if entities is None or row[0] in entities]
        assert list(answer.values()) == pytest.approx(by_hand(question, rows)), entities


def test_what_sums_do_not_tell(new_tenant: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, ROWS[:50])
    lake.compact(tenant)
    whole = Question(Table.OBSERVATION, measures=MEASURES)
    assert told_by(tenant, whole) is Table.MONTH
    for other in (
        {"measures": (*MEASURES, Measure(Function.DEVIATION, "num"))},
        {"measures": (Measure(Function.COUNT),)},
        {"measures": (Measure(Function.SUM, "num", where=(Filter("num", Comparison.MORE, (3.0,)),)),)},
        {"filters": (Filter("num", Comparison.MORE, (3.0,)),)},
        {"by": ("entity_id",)},
        {"bucket": Width.DAY},
        {"without_runs": (7,)},
    ):
        asked = Question(Table.OBSERVATION, **({"measures": MEASURES} | other))  # type: ignore[arg-type] -- each case names fields of its own
        assert told_by(tenant, asked) is None, other


def test_values_that_were_let_go_are_not_counted(new_tenant: Any) -> None:
    """Their sums stay: from then on values say what values are, also once files are written anew."""
    tenant = new_tenant(time_zone="Europe/Lisbon").id
    write_hot(tenant, ROWS)
    lake.compact(tenant)
    lake.remove_before(tenant, "Ensaio", midnight(29))
    question, left = Question(Table.OBSERVATION, measures=MEASURES), [row for row in ROWS if row[1] >= midnight(29)]
    for anew in (False, True):
        if anew:
            with catalogue.writing() as writer:
                writer.execute("CALL ducklake_rewrite_data_files('lake', 'observation', schema => ?, delete_threshold => 0)", [engines.tenant_schema(tenant)])
        assert told_by(tenant, question) is None
        (answer,) = answering.Duck().answer(tenant, question).to_pylist()
        assert list(answer.values()) == pytest.approx(by_hand(question, left))
