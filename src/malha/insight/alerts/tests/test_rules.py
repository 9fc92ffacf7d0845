from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.insight.alerts import rules
from malha.insight.alerts.contracts import Change, Heard, Operator, Phase, Rule, RuleKind, State, UnusableRule

START = datetime(2026, 3, 1, 2, 45, tzinfo=UTC)
RIVER = Rule(1, 1, "Ribeira", RuleKind.THRESHOLD, "FloodMonitoring", "currentLevel", Operator.ABOVE, 2.0, end_bound=1.8, for_seconds=300)
URI = "urn:x:FloodMonitoring:1"


def heard(*values, minutes=3, uri=URI):
    return [Heard(uri, START + timedelta(minutes=minutes * i), v) for i, v in enumerate(values)]


def test_it_works():
    (firing,) = rules.replay(RIVER, heard(1.9, 1.95, 2.1, 2.2, 2.31, 1.9, 1.7))
    assert firing.since == START + timedelta(minutes=6)
    assert firing.fired_at == START + timedelta(minutes=12)  # 2.1 at 6, 2.31 at 12: six minutes hold, five asked
    assert firing.peak == 2.31
    assert firing.ended_at == START + timedelta(minutes=18)  # 1.9 lies between the bounds: still ringing


def test_a_short_peak_does_not_ring():
    assert rules.replay(RIVER, heard(1.0, 2.5, 1.0, 2.5, 1.0)) == []


def test_a_gap_breaks_a_duration():
    values = [Heard(URI, START, 2.5), Heard(URI, START + timedelta(hours=5), 2.5)]
    assert rules.replay(RIVER, values) == []


def test_once_until_it_ends():
    firings = rules.replay(replace(RIVER, for_seconds=0), heard(2.1, 1.9, 2.1, 1.9, 2.1, 1.8, 2.1))
    assert [f.ended_at for f in firings] == [START + timedelta(minutes=15), None]


def test_end_needs_its_own_duration():
    rule = replace(RIVER, for_seconds=0, end_for_seconds=360)
    (firing,) = rules.replay(rule, heard(2.1, 1.7, 1.9, 1.7, 1.7, 1.7))
    assert firing.ended_at == START + timedelta(minutes=15)


def test_downwards_and_texts():
    cold = Rule(1, 1, "Geada", RuleKind.THRESHOLD, "WeatherObserved", "temperature", Operator.AT_MOST, 0.0, end_bound=1.5)
    assert len(rules.replay(cold, heard(3.0, 0.0, 1.0, 1.6))) == 1
    status = Rule(1, 1, "Cheia", RuleKind.THRESHOLD, "FloodMonitoring", "floodLevelStatus", Operator.EQUALS, None, 'um"a')
    assert len(rules.replay(status, heard('um"a', "b"))) == 1
    assert rules.replay(status, heard(1.0)) == []
    assert rules.replay(cold, heard("quente")) == []


def test_silence():
    rule = Rule(1, 1, "Calado", RuleKind.SILENCE, "WeatherObserved", silence_seconds=1800)
    assert not rules.silent(rule, START, START + timedelta(minutes=29))
    assert rules.silent(rule, START, START + timedelta(minutes=30))
    found = rules.silences(rule, [START, START + timedelta(minutes=10), START + timedelta(hours=1)], START + timedelta(hours=3))
    assert found == [(START + timedelta(minutes=10), START + timedelta(hours=1)), (START + timedelta(hours=1), None)]


def test_late_or_loaded_values_do_not_ring():
    assert rules.is_live(RIVER, START, START + timedelta(minutes=5), live=True)
    assert not rules.is_live(RIVER, START, START + timedelta(hours=3), live=True)
    assert not rules.is_live(RIVER, START, START, live=False)


def test_area_and_names_bound_the_scope():
    square = {"type": "Polygon", "coordinates": [[[-9, 38], [-8, 38], [-8, 39], [-9, 39], [-9, 38]]]}
    rule = replace(RIVER, area=square)
    assert rules.in_scope(rule, URI, {"type": "Point", "coordinates": [-8.5, 38.5]})
    assert rules.in_scope(rule, URI, {"type": "LineString", "coordinates": [[-8.5, 38.5], [-8.4, 38.5]]})
    assert not rules.in_scope(rule, URI, {"type": "Point", "coordinates": [-7.5, 38.5]})
    assert not rules.in_scope(rule, URI, None)
    assert not rules.in_scope(replace(RIVER, uris=("urn:other",)), URI, None)


@pytest.mark.parametrize(
    "broken",
    [
        replace(RIVER, type=""),
        replace(RIVER, attribute=""),
        replace(RIVER, bound=None),
        replace(RIVER, end_bound=2.5),
        replace(RIVER, operator=Operator.BELOW, end_bound=1.0),
        replace(RIVER, for_seconds=-1),
        replace(RIVER, operator=Operator.EQUALS, bound=None),
        replace(RIVER, kind=RuleKind.SILENCE, silence_seconds=10),
    ],
)
def test_a_rule_that_cannot_work_is_refused(broken):
    with pytest.raises(UnusableRule):
        rules.check(broken)


@given(st.lists(st.floats(-50, 50), max_size=60), st.integers(0, 1800), st.floats(0, 5))
def test_properties(values, for_seconds, margin):
    rule = replace(RIVER, bound=10.0, end_bound=10.0 - margin, for_seconds=for_seconds)
    rules.check(rule)
    state, running, fired_at = State(), False, None
    for one in heard(*values):
        state, change = rules.step(rule, state, one.at, one.value)
        if change is Change.FIRED:
            assert not running  # never twice
            assert one.value > 10.0
            assert one.at - state.since >= timedelta(seconds=for_seconds)
            running, fired_at = True, one.at
        if change is Change.ENDED:
            assert running
            assert one.value <= 10.0 - margin
            assert one.at >= fired_at
            running = False
        assert running == (state.phase in (Phase.FIRING, Phase.ENDING))
        assert state.last_at == one.at
    firings = rules.replay(rule, heard(*values))
    assert sum(f.ended_at is None for f in firings) == int(running)
