"""Sums of one series from several places put together (§4.5.19, §5.7.3, §5.7.4). Pure.

An instance that lies at two places is not to be seen in a sum: where that matters, `recounting` puts sums of the values in the place of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

from malha.kernel.text import msg
from malha.kernel.time import parse_instant

METHODS = frozenset({"totalCount", "distinctCount", "sum", "avg", "min", "max", "stddev", "sumsq"})
#: what has to be known of each place to put these together
_NEEDS = {"avg": ("sum",), "stddev": ("avg", "sum")}
_EVER = datetime.min.replace(tzinfo=UTC)
NOT_COUNTED = msg("os valores das fontes não se puderam ler um a um: um que esteja em duas conta duas vezes, e distinctCount fica de fora; restrinja o período")
NOT_ALIGNED = msg("as somas por período não começam em todas as fontes nos mesmos instantes; peça timerel=after ou between")

type _Bucket = Mapping[str, Any]
#: a stretch of time [from, to); None for the whole period that is asked for
type Span = tuple[datetime, datetime] | None


@dataclass(frozen=True, slots=True)
class Summed:
    """A question for sums: which, of how many buckets at most, whether of the whole period at once, and whether buckets begin at one instant everywhere."""

    methods: tuple[str, ...]
    last: int | None
    whole: bool
    aligned: bool


def of(temporal: Mapping[str, Any]) -> Summed | None:
    """What a question asks for in sums, None for anything else; the broker's own handler refuses what cannot be asked."""
    listed = temporal.get("aggrMethods") or ()
    named = listed.split(",") if isinstance(listed, str) else listed
    by_body = not isinstance(listed, str)
    if not by_body and "aggregatedValues" not in {temporal.get("format"), *str(temporal.get("options", "")).split(",")}:
        return None
    methods = tuple(dict.fromkeys(name.strip() for name in named if isinstance(name, str) and name.strip() in METHODS))
    if not methods:
        return None
    last, duration = str(temporal.get("lastN") or ""), str(temporal.get("aggrPeriodDuration") or "PT0S")
    whole = not any(digit in "123456789" for digit in duration)
    return Summed(methods, int(last) if last.isdigit() else None, whole, whole or temporal.get("timerel") in {"after", "between"})


def needed(methods: Iterable[str]) -> list[str]:
    """The methods to ask each place for: those wanted, what they are put together by, and how many values there are."""
    return list(dict.fromkeys([*(each for method in methods for each in (method, *_NEEDS.get(method, ()))), "totalCount"]))


def are(attribute: Any) -> TypeGuard[dict[str, Any]]:
    """Whether an attribute of a temporal answer has sums."""
    return isinstance(attribute, dict) and any(isinstance(attribute.get(method), list) for method in METHODS)


def joined(one: Mapping[str, Any], other: Mapping[str, Any], summed: Summed) -> dict[str, Any]:
    """Two answers of sums about an entity as one, as if no value lay at both places."""
    out = dict(one)
    for member, value in other.items():
        known = out.get(member)
        if known is None:
            out[member] = value
        elif are(known) and are(value):
            out[member] = together(known, value, whole=summed.whole)
    return out


def together(one: Mapping[str, Any], other: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Sums of one attribute from two places, bucket by bucket; those that cannot be put together are left out.

    `whole` says that there is one bucket, of the whole period: it begins where the first begins, and ends where the last ends.
    """
    first, second = buckets(one, whole=whole), buckets(other, whole=whole)
    out: dict[str, Any] = {name: value for name, value in one.items() if name not in METHODS}
    asked = [method for method in METHODS if method in one or method in other]
    for key in sorted(first.keys() | second.keys()):
        places = [found[key] for found in (first, second) if key in found]
        bounds = [min(str(each["start"]) for each in places), max(str(each["end"]) for each in places)]
        for method in asked:
            value = places[0].get(method) if len(places) == 1 else _JOINED[method](places)
            if value is not None:
                out.setdefault(method, []).append([value, *bounds])
    return out


def within(attribute: Mapping[str, Any], counted: Mapping[str, Any], span: Span) -> dict[str, Any]:
    """The sums of an attribute, those of the span in the place of what was there."""
    if span is None:
        return {**{name: value for name, value in attribute.items() if name not in METHODS}, **counted}
    out = {name: value for name, value in attribute.items() if name not in METHODS}
    for method in METHODS:
        kept = [each for each in _triples(attribute.get(method)) if not span[0] <= instant(each[1]) < span[1]]
        fresh = [each for each in _triples(counted.get(method)) if span[0] <= instant(each[1]) < span[1]]
        if kept or fresh:
            out[method] = sorted(map(list, (*kept, *fresh)), key=lambda each: instant(each[1]))
    return out


def wanted(entity: Mapping[str, Any], summed: Summed) -> dict[str, Any]:
    """The entity with the sums that were asked for, of the last so many buckets."""
    return {member: _only(value, summed) if are(value) else value for member, value in entity.items()}


def _only(attribute: Mapping[str, Any], summed: Summed) -> dict[str, Any]:
    left = METHODS.difference(summed.methods)
    kept = {name: value for name, value in attribute.items() if name not in left}
    return {name: value[-summed.last :] if summed.last and name in METHODS else value for name, value in kept.items()}


def buckets(attribute: Mapping[str, Any], *, whole: bool) -> dict[datetime, dict[str, Any]]:
    """By its beginning, what each bucket has; all under one beginning where there is one of the `whole` period."""
    out: dict[datetime, dict[str, Any]] = {}
    for method in METHODS:
        for value, start, end in _triples(attribute.get(method)):
            found = out.setdefault(_EVER if whole else instant(start), {"start": start, "end": end})
            found[method], found["end"] = value, max(str(found["end"]), end)
    return out


def instant(text: str) -> datetime:
    """An instant that a place told; the beginning of all for what is none."""
    try:
        return parse_instant(text)
    except ValueError:
        return _EVER


def _triples(told: Any) -> Sequence[tuple[Any, str, str]]:
    listed = told if isinstance(told, list) else []
    return [(each[0], str(each[1]), str(each[2])) for each in listed if isinstance(each, list) and len(each) == 3]


def _numbers(places: Sequence[_Bucket], method: str) -> list[float] | None:
    found = [each[method] for each in places if isinstance(each.get(method), int | float) and not isinstance(each.get(method), bool)]
    return found or None


def _added(method: str) -> Callable[[Sequence[_Bucket]], Any]:
    def add(places: Sequence[_Bucket]) -> Any:
        found = _numbers(places, method)
        return None if found is None else sum(found)

    return add


def _picked(method: str, pick: Callable[[Any], Any]) -> Callable[[Sequence[_Bucket]], Any]:
    def choose(places: Sequence[_Bucket]) -> Any:
        found = [each[method] for each in places if each.get(method) is not None]
        alike = all(isinstance(each, str) for each in found) or all(isinstance(each, int | float) for each in found)
        return pick(found) if found and alike else None

    return choose


def _weights(places: Sequence[_Bucket]) -> list[tuple[_Bucket, float]] | None:
    """Those places that have a mean, each with how many numbers it is of; None where one does not tell."""
    found = [each for each in places if _numbers([each], "avg")]
    weighed: list[tuple[_Bucket, float]] = []
    for each in found:
        total = each.get("sum")
        if each["avg"] and isinstance(total, int | float):
            weighed.append((each, float(round(total / each["avg"]))))
        elif isinstance(each.get("totalCount"), int | float):
            weighed.append((each, float(each["totalCount"])))
        else:
            return None
    return weighed or None


def _mean(places: Sequence[_Bucket]) -> float | None:
    weighed = _weights(places)
    count = sum(weight for _, weight in weighed) if weighed else 0
    return sum(each["avg"] * weight for each, weight in weighed) / count if weighed and count else None


def _deviation(places: Sequence[_Bucket]) -> float | None:
    """That of the population, out of those of its parts."""
    weighed, mean = _weights(places), _mean(places)
    if weighed is None or mean is None or any(not _numbers([each], "stddev") for each, _ in weighed):
        return None
    spread = sum(weight * (each["stddev"] ** 2 + (each["avg"] - mean) ** 2) for each, weight in weighed)
    return math.sqrt(spread / sum(weight for _, weight in weighed))


def _apart(_places: Sequence[_Bucket]) -> None:
    """How many different values two places have together cannot be known from how many each has."""
    return


_JOINED: dict[str, Callable[[Sequence[_Bucket]], Any]] = {
    "totalCount": _added("totalCount"), "sum": _added("sum"), "sumsq": _added("sumsq"), "min": _picked("min", min), "max": _picked("max", max),
    "avg": _mean, "stddev": _deviation, "distinctCount": _apart,
}  # fmt: skip
