"""The year of the town: the same bytes again, the promised size, the rhythm of people, every planted event found by its alarm."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from malha.insight.alerts import rules as alarms
from malha.insight.alerts.contracts import Heard, Operator, Rule, RuleKind
from malha.packs.demo_town import devices, events, generator, geography, statics
from malha.packs.demo_town.contracts import KINDS, MARK, YEAR, DeviceKind, EventKind, PlantedEvent
from malha.packs.registry import declaration
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import Severity

END = datetime(2026, 11, 23, 2, tzinfo=UTC)


@cache
def year() -> pa.Table:
    return generator.history(END - YEAR, END, events.planted(END))


@cache
def blocks() -> dict[tuple[str, str], tuple[int, int]]:
    """Where each series lies in the table: (first row, rows)."""
    table = year()
    uris, names = (table[name].combine_chunks() for name in ("uri", "attribute"))
    key = uris.indices.to_numpy().astype(np.int64) * 100 + names.indices.to_numpy()
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    lengths = np.diff(np.append(starts, len(key)))
    return {(uris[int(start)].as_py(), names[int(start)].as_py()): (int(start), int(length)) for start, length in zip(starts, lengths, strict=True)}


def of(uri: str, attribute: str) -> tuple[list[datetime], list[float]]:
    found = year().slice(*blocks()[uri, attribute])
    return found["observed_at"].to_pylist(), found["num"].to_pylist()


def digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def test_it_works() -> None:
    table = year()
    assert table.num_rows >= 5_000_000
    assert len(pc.unique(table["uri"])) == 300
    assert len(pc.unique(table["type"])) == 6
    assert pc.min(table["observed_at"]).as_py() >= END - YEAR
    assert pc.max(table["observed_at"]).as_py() < END


def test_the_same_seed_and_end_give_the_same_bytes() -> None:
    days = [generator.history(END - timedelta(days=3), END, events.planted(END)) for _ in range(2)]
    assert digest(days[0]) == digest(days[1])
    other = generator.history(END - timedelta(days=3), END, events.planted(END, seed=7), seed=7)
    assert digest(other) != digest(days[0])


def test_an_instant_alone_gives_what_the_year_gave() -> None:
    end = END - timedelta(days=100)
    short = generator.history(end - timedelta(days=1), end, events.planted(END))
    table = year()
    long = table.filter(pc.and_(pc.greater_equal(table["observed_at"], end - timedelta(days=1)), pc.less(table["observed_at"], end)))
    assert short.num_rows == long.num_rows
    assert short["num"].to_pylist() == long["num"].to_pylist()


def test_people_have_days_and_weeks() -> None:
    at, values = of(devices.of_kind(DeviceKind.AIR)[0].uri, "no2")
    local = [moment.astimezone(ZoneInfo("Europe/Lisbon")) for moment in at]
    rush = [value for moment, value in zip(local, values, strict=True) if moment.hour == 8 and moment.weekday() < 5]
    night = [value for moment, value in zip(local, values, strict=True) if moment.hour == 3]
    sunday = [value for moment, value in zip(local, values, strict=True) if moment.hour == 8 and moment.weekday() == 6]
    assert np.mean(rush) > 1.5 * np.mean(night)
    assert np.mean(rush) > 1.3 * np.mean(sunday)


def test_there_are_gaps_and_late_values() -> None:
    expected = sum(spec.count * len(spec.measures) * len(generator.grid(spec, END - YEAR, END)) for spec in KINDS)
    assert 0.97 < year().num_rows / expected < 0.999
    batches = [batch for batch in generator.batches(END - timedelta(hours=48), END, events.planted(END)) if batch.type == "NoiseLevelObserved"]
    assert len(batches) == 2
    assert batches[1].observed_at is not None
    assert batches[0].observed_at is not None
    assert min(batches[1].observed_at) < max(batches[0].observed_at)  # type: ignore[type-var]


def rule_for(event: PlantedEvent) -> Rule:
    """The rule of a pack that watches this, else one with the event's own bound for an hour."""
    for pack in declaration.all_packs():
        for rule in pack.rules:
            fits = rule.kind is (RuleKind.SILENCE if event.kind is EventKind.SILENCE else RuleKind.THRESHOLD) and rule.type == event.type
            if fits and (event.kind is EventKind.SILENCE or (rule.attribute == event.attribute and rule.bound == event.bound)):
                return rule
    return Rule(0, 0, event.title, RuleKind.THRESHOLD, event.type, event.attribute, Operator.ABOVE, event.bound, for_seconds=3600)


@pytest.mark.parametrize("event", [event for event in events.planted(END) if event.kind is EventKind.ABOVE], ids=lambda event: event.id)
def test_its_alarm_finds_each_event(event: PlantedEvent) -> None:
    rule = rule_for(event)
    for uri in event.uris:
        firings = alarms.replay(rule, [Heard(uri, at, value) for at, value in zip(*of(uri, event.attribute), strict=True)])
        during = [one for one in firings if event.start <= one.fired_at < event.end]
        assert len(during) == 1, (uri, firings)
        assert during[0].since == event.start
        elsewhere = [one for one in firings if not any(other.start <= one.fired_at <= other.end for other in events.planted(END) if uri in other.uris)]
        assert not elsewhere, (uri, elsewhere)


@pytest.mark.parametrize("event", [event for event in events.planted(END) if event.kind is EventKind.SILENCE], ids=lambda event: event.id)
def test_its_alarm_finds_each_silence(event: PlantedEvent) -> None:
    at, _ = of(event.uris[0], event.attribute)
    found = alarms.silences(rule_for(event), at, END)
    assert any(abs(since - event.start) <= timedelta(hours=1) and (until is None or until >= event.end) for since, until in found)


def test_the_drift_shows_against_the_neighbours() -> None:
    [drift] = [event for event in events.planted(END) if event.kind is EventKind.DRIFT]

    def last_week(uri: str) -> float:
        at, values = of(uri, drift.attribute)
        return float(np.mean([value for moment, value in zip(at, values, strict=True) if moment >= END - timedelta(days=7)]))

    neighbours = [last_week(device.uri) for device in devices.of_kind(DeviceKind.AIR) if device.uri not in drift.uris]
    assert last_week(drift.uris[0]) > max(neighbours) + 8


def test_the_town_says_that_it_is_fictitious() -> None:
    town = geography.town()
    assert all(MARK in one.name for one in (*town.parishes, *town.streets, *devices.all_devices()))
    assert len(town.parishes) >= 4
    assert len(town.buildings) > 1000
    names = next(column for column in statics.incidents(END).columns if column.name == "name").values
    assert all(MARK in str(name) for name in names)


@pytest.mark.parametrize("table", [*statics.all_registrations(), statics.incidents(END), statics.emergencies(END)], ids=lambda table: table.type)
def test_entities_are_what_the_national_models_say(table: Any) -> None:
    model = models.get(table.type)
    measured = {spec.kind.value: spec for spec in KINDS}.get(table.type)
    for i, uri in enumerate(table.uris[:40]):
        entity: dict[str, Any] = {"id": uri, "type": table.type}
        for column in table.columns:
            value = column.values[i]
            if isinstance(value, datetime):
                value = {"@type": "DateTime", "@value": value.isoformat().replace("+00:00", "Z")}
            if value is not None:
                entity[column.name] = {"type": column.kind, "object" if column.kind == "Relationship" else "value": value}
        if measured:
            entity |= first_message(measured.kind, uri)
        errors = [finding for finding in models.validate(entity, model) if finding.severity is Severity.ERROR]
        assert not errors, (uri, errors)


def first_message(kind: DeviceKind, uri: str) -> dict[str, Any]:
    """What the device says next, as normalized attributes."""
    batch = next(generator.batches(END - timedelta(hours=36), END, [], only=frozenset({uri})))
    said: dict[str, Any] = {}
    for column in batch.columns:
        value = next((value for value in column.values if value is not None), None)
        shown = {"@type": "DateTime", "@value": value.isoformat().replace("+00:00", "Z")} if isinstance(value, datetime) else value
        if value is not None:
            said[column.name] = {"type": "Property", "value": shown} | ({"unitCode": column.unit} if column.unit else {})
    assert devices.spec_of(kind).time_property in said
    return said
