"""Putting values together: pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from malha.history.temporal.contracts import Point, Series
from malha.insight.metrics.contracts import Direction, Metric, Threshold, UnusableMetric, Window
from malha.kernel.text import msg
from malha.vocabulary.models.contracts import Aggregation, Label

HOUR = timedelta(hours=1)
COMPARE: dict[str, Callable[[float, float], bool]] = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


def floor_hour(at: datetime) -> datetime:
    """The clock hour (UTC) that `at` lies in."""
    return at.replace(minute=0, second=0, microsecond=0)


def combine(points: Sequence[Point], aggregation: Aggregation) -> tuple[float | None, int]:
    """One value from buckets (start, value, how many observations), weighted where it is an average; and how many."""
    known = [(float(value), count) for _, value, count in points if isinstance(value, (int, float))]
    total = sum(count for _, count in known)
    if not known:
        return (0.0, 0) if aggregation is Aggregation.COUNT else (None, 0)
    values = [value for value, _ in known]
    if aggregation is Aggregation.AVERAGE:
        return sum(value * count for value, count in known) / total, total
    if aggregation in {Aggregation.SUM, Aggregation.COUNT}:
        return sum(values), total
    return {Aggregation.MINIMUM: min(values), Aggregation.MAXIMUM: max(values), Aggregation.LAST: values[-1]}[aggregation], total


def joined(whole: Sequence[Series], begun: Sequence[Series], aggregation: Aggregation, *, by_thing: bool) -> list[Series]:
    """Series followed by the bucket that is not over: of each thing, or of all of them put together."""
    if by_thing:
        more = {one.uri: one.points for one in begun}
        known = {one.uri for one in whole}
        return [Series(one.uri, one.points + more.get(one.uri, [])) for one in whole] + [one for one in begun if one.uri not in known]
    points = [point for one in begun for point in one.points]
    if not points:
        return list(whole)
    last: Point = (points[0][0], *combine(points, aggregation))
    return [Series("", [*(point for one in whole for point in one.points), last])]


def gather(values: Iterable[float], metric: Metric) -> tuple[float | None, int]:
    """One value from the newest values of many things."""
    known = list(values)
    if metric.count_if is not None:
        compare, bound = COMPARE[metric.count_if[0]], metric.count_if[1]
        return (float(sum(compare(value, bound) for value in known)), len(known)) if known else (None, 0)
    return combine([(datetime.min, value, 1) for value in known], metric.aggregation)  # noqa: DTZ901 -- no time is read


def held(found: Sequence[Series], hours: Sequence[datetime], age: timedelta = timedelta.max) -> list[list[float]]:
    """For each clock hour, the newest value until then of every thing that spoke less than `age` before: values hold until the next."""
    columns: list[list[float]] = [[] for _ in hours]
    for one in found:
        points = [(at, float(value)) for at, value, _ in one.points if isinstance(value, (int, float))]
        position, last = 0, None
        for index, hour in enumerate(hours):
            while position < len(points) and points[position][0] <= hour:
                last = points[position]
                position += 1
            if last is not None and hour - last[0] < age:
                columns[index].append(last[1])
    return columns


def hours_between(start: datetime, end: datetime) -> list[datetime]:
    """Clock hours from `start` up to and with that of `end`."""
    count = int((floor_hour(end) - start) / HOUR) + 1
    return [start + HOUR * index for index in range(count)]


def to_definition(metric: Metric) -> dict[str, Any]:
    """A metric as it is kept in a row."""
    return {name: value for name, value in asdict(metric).items() if name not in {"key", "pack", "on_home", "position"}}


def label_of(given: object) -> Label:
    """A label from `{pt, en}` or from one text. Raises UnusableMetric."""
    if isinstance(given, str):
        return Label(given)
    if isinstance(given, Mapping) and isinstance(given.get("pt"), str):
        return Label(given["pt"], str(given.get("en", "")))
    raise UnusableMetric(msg("Falta o nome em português em {given}."), given=str(given)[:80])


def from_definition(key: str, given: Mapping[str, Any], *, pack: str = "", on_home: bool = True, position: int = 0) -> Metric:
    """A metric from a row or from a pack. Raises UnusableMetric naming what cannot be read."""
    try:
        condition = given.get("count_if")
        if condition and condition[0] not in COMPARE:
            raise UnusableMetric(msg("O indicador {key} compara com {operator}, que não existe."), key=key, operator=condition[0])
        return Metric(
            key=key, label=label_of(given["label"]), type=given["type"], attribute=given["attribute"], aggregation=Aggregation(given.get("aggregation", "average")),
            window=Window(given.get("window", "24h")), unit=given.get("unit", ""), decimals=int(given.get("decimals", 1)),
            direction=Direction(given.get("direction", "none")), description=label_of(given.get("description", "")),
            thresholds=tuple(Threshold(float(one["start"]), one["severity"], label_of(one["label"])) for one in given.get("thresholds", ())),
            count_if=(str(condition[0]), float(condition[1])) if condition else None, scale=float(given.get("scale", 1)), pack=pack, on_home=on_home, position=position,
        )  # fmt: skip
    except (KeyError, ValueError, TypeError, IndexError) as reason:
        raise UnusableMetric(msg("O indicador {key} não se consegue ler: {reason}."), key=key, reason=str(reason)) from reason
