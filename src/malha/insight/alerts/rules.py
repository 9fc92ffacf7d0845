"""When an alarm starts and ends: pure, in event time, the same for live values, history and tests.

Only values move a threshold rule: a duration has passed when a value at or after its end still holds. A gap
longer than `MAX_GAP` breaks a duration, because nobody knows what happened in between.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from shapely.geometry import Point, shape
from shapely.geometry.base import BaseGeometry
from shapely.prepared import PreparedGeometry, prep

from malha.insight.alerts.contracts import Change, Firing, Heard, Operator, Phase, Rule, RuleKind, State, UnusableRule
from malha.kernel.text import msg

if TYPE_CHECKING:
    import cel

MAX_GAP = timedelta(hours=1)
_OPPOSITE = {Operator.ABOVE: "<=", Operator.AT_LEAST: "<", Operator.BELOW: ">=", Operator.AT_MOST: ">", Operator.EQUALS: "!="}
_UPWARD = frozenset({Operator.ABOVE, Operator.AT_LEAST})


def check(rule: Rule) -> None:
    """Raise UnusableRule where the rule could never ring or never stop."""
    if not rule.type:
        raise UnusableRule(msg("Escolha o tipo de coisa que o alarme vigia."))
    if rule.kind is RuleKind.SILENCE:
        if rule.silence_seconds < 60:
            raise UnusableRule(msg("O silêncio tem de durar pelo menos um minuto."))
        return
    if not rule.attribute:
        raise UnusableRule(msg("Escolha a medida que o alarme vigia."))
    if rule.operator is Operator.EQUALS:
        if rule.bound is None and not rule.bound_text:
            raise UnusableRule(msg("Diga com que valor se compara."))
        return
    if rule.bound is None:
        raise UnusableRule(msg("Diga o limite a partir do qual o alarme toca."))
    end = rule.bound if rule.end_bound is None else rule.end_bound
    if (end > rule.bound) if rule.operator in _UPWARD else (end < rule.bound):
        raise UnusableRule(msg("O limite de fim tem de ficar do lado calmo do limite de início; senão o alarme tocava e parava sem cessar."))
    if rule.for_seconds < 0 or rule.end_for_seconds < 0:
        raise UnusableRule(msg("Uma duração não pode ser negativa."))


def start_expression(rule: Rule) -> str:
    """The condition that starts the alarm, in CEL over `value`."""
    return f"value {rule.operator} {_literal(rule, rule.bound)}"


def end_expression(rule: Rule) -> str:
    """The condition that ends it, in CEL over `value`."""
    return f"value {_OPPOSITE[rule.operator]} {_literal(rule, rule.bound if rule.end_bound is None else rule.end_bound)}"


def _literal(rule: Rule, bound: float | None) -> str:
    if bound is None:
        escaped = rule.bound_text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(float(bound))


@lru_cache(maxsize=4096)
def _program(expression: str) -> cel.Program:
    import cel  # noqa: PLC0415 -- it brings a terminal with it: only whoever weighs a value pays for that

    return cel.compile(expression)


def holds(expression: str, value: float | str) -> bool:
    """Whether `value` meets a CEL condition; a text never meets a condition on numbers, nor the reverse."""
    given = value if isinstance(value, str) else float(value)
    try:
        return _program(expression).execute({"value": given}) is True
    except (TypeError, ValueError):  # text against number
        return False


def step(rule: Rule, state: State, at: datetime, value: float | str) -> tuple[State, Change | None]:
    """The state after one more value, and what it changed. `at` must be later than `state.last_at`."""
    gap = state.last_at is not None and at - state.last_at > max(MAX_GAP, timedelta(seconds=2 * rule.for_seconds))
    heard = replace(state, last_at=at, last_value=value)
    if state.phase in (Phase.QUIET, Phase.PENDING):
        return _rise(rule, heard, at, value, broken=gap)
    return _fall(rule, heard, at, value)


def _rise(rule: Rule, state: State, at: datetime, value: float | str, *, broken: bool) -> tuple[State, Change | None]:
    if not holds(start_expression(rule), value):
        return replace(state, phase=Phase.QUIET, since=None, quiet_since=None), None
    since = state.since if state.phase is Phase.PENDING and state.since and not broken else at
    if at - since >= timedelta(seconds=rule.for_seconds):
        return replace(state, phase=Phase.FIRING, since=since, quiet_since=None), Change.FIRED
    return replace(state, phase=Phase.PENDING, since=since, quiet_since=None), None


def _fall(rule: Rule, state: State, at: datetime, value: float | str) -> tuple[State, Change | None]:
    if not holds(end_expression(rule), value):
        return replace(state, phase=Phase.FIRING, quiet_since=None), None
    quiet_since = state.quiet_since or at
    if at - quiet_since >= timedelta(seconds=rule.end_for_seconds):
        return replace(state, phase=Phase.QUIET, since=None, quiet_since=None), Change.ENDED
    return replace(state, phase=Phase.ENDING, quiet_since=quiet_since), None


def replay(rule: Rule, values: Iterable[Heard]) -> list[Firing]:
    """Every alarm that these values would have made, in order of time. For history, trials and tests."""
    states: dict[str, State] = {}
    running: dict[str, Firing] = {}
    found: list[Firing] = []
    for heard in sorted(values, key=lambda one: one.at):
        state, change = step(rule, states.get(heard.uri, State()), heard.at, heard.value)
        states[heard.uri] = state
        if change is Change.FIRED:
            running[heard.uri] = Firing(heard.uri, state.since or heard.at, heard.at, heard.value, heard.value)
        elif change is Change.ENDED and heard.uri in running:
            found.append(replace(running.pop(heard.uri), ended_at=heard.at))
        elif heard.uri in running:
            running[heard.uri] = replace(running[heard.uri], peak=worse(rule, running[heard.uri].peak, heard.value))
    return sorted([*found, *running.values()], key=lambda one: one.fired_at)


def worse(rule: Rule, one: float | str, other: float | str) -> float | str:
    """Whichever of two values lies further beyond the bound."""
    if isinstance(one, str) or isinstance(other, str):
        return one
    return max(one, other) if rule.operator in _UPWARD else min(one, other)


def silent(rule: Rule, last_heard: datetime, now: datetime) -> bool:
    """Whether a thing last heard at `last_heard` has been silent for too long at `now`."""
    return now - last_heard >= timedelta(seconds=rule.silence_seconds)


def silences(rule: Rule, heard_at: Iterable[datetime], until: datetime) -> list[tuple[datetime, datetime | None]]:
    """The silences in a series of instants: (last heard, heard again or None)."""
    found: list[tuple[datetime, datetime | None]] = []
    before: datetime | None = None
    for at in sorted(heard_at):
        if before is not None and silent(rule, before, at):
            found.append((before, at))
        before = at
    if before is not None and silent(rule, before, until):
        found.append((before, None))
    return found


def is_live(rule: Rule, at: datetime, now: datetime, *, live: bool) -> bool:
    """Whether a value may ring: it came by a live road, and not too late."""
    return live and now - at <= timedelta(seconds=rule.late_seconds)


@lru_cache(maxsize=256)
def _prepared(area: str) -> PreparedGeometry:
    geometry: BaseGeometry = shape(json.loads(area))
    return prep(geometry)


def in_scope(rule: Rule, uri: str, location: Mapping[str, object] | None) -> bool:
    """Whether a rule watches this thing; `location` is GeoJSON, of which a point on the surface counts."""
    if rule.uris and uri not in rule.uris:
        return False
    if rule.area is None:
        return True
    if not location:
        return False
    return bool(_prepared(json.dumps(rule.area, sort_keys=True)).intersects(Point(point_of(location))))


def point_of(location: Mapping[str, object]) -> tuple[float, float]:
    """A point (longitude, latitude) on a GeoJSON geometry."""
    place = shape(location)
    point = place if isinstance(place, Point) else place.representative_point()
    return point.x, point.y
