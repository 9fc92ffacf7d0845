"""Sums of one series from several places put together (§4.5.19, §5.7.3, §5.7.4): what can be, exactly; what cannot is left out and said. Pure.

Places are taken to hold different instances: one that lies at two of them counts twice, as nobody can see it in a sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from malha.kernel.text import msg

METHODS = frozenset({"totalCount", "distinctCount", "sum", "avg", "min", "max", "stddev", "sumsq"})
#: what has to be known of each place to put these together
_NEEDS = {"avg": ("avg", "sum", "totalCount"), "stddev": ("stddev", "avg", "sum", "totalCount")}
NOT_TOGETHER = msg("há somas que não se juntam com as das outras fontes, como distinctCount; ficaram de fora")
NOT_ALIGNED = msg("as somas por período não começam em todas as fontes nos mesmos instantes; peça timerel=after ou between")

type _Bucket = Mapping[str, Any]


def needed(methods: Iterable[str]) -> list[str]:
    """The methods to ask each place for, so that those wanted can be put together."""
    return list(dict.fromkeys(each for method in methods for each in (method, *_NEEDS.get(method, ()))))


def are(attribute: Any) -> TypeGuard[dict[str, Any]]:
    """Whether an attribute of a temporal answer has sums."""
    return isinstance(attribute, dict) and any(isinstance(attribute.get(method), list) for method in METHODS)


def together(one: Mapping[str, Any], other: Mapping[str, Any], *, whole: bool) -> tuple[dict[str, Any], bool]:
    """Sums of one attribute from two places, bucket by bucket; whether some had to be left out.

    `whole` says that there is one bucket, of the whole period: it begins where the first begins, and ends where the last ends.
    """
    first, second = _buckets(one, whole=whole), _buckets(other, whole=whole)
    lost = False
    out: dict[str, Any] = {name: value for name, value in one.items() if name not in METHODS}
    asked = [method for method in METHODS if method in one or method in other]
    for start in sorted(first.keys() | second.keys()):
        places = [found[start] for found in (first, second) if start in found]
        bounds = [min(str(each["start"]) for each in places), max(str(each["end"]) for each in places)]
        for method in asked:
            value = places[0].get(method) if len(places) == 1 else _JOINED[method](places)
            if value is None:
                lost |= any(method in each for each in places)
            else:
                out.setdefault(method, []).append([value, *bounds])
    return out, lost


def only(attribute: Mapping[str, Any], methods: Iterable[str], last: int | None) -> dict[str, Any]:
    """The sums that were asked for, of the last so many buckets."""
    left = METHODS.difference(methods)
    kept = {name: value for name, value in attribute.items() if name not in left}
    return {name: value[-last:] if last and name in METHODS else value for name, value in kept.items()}


def _buckets(attribute: Mapping[str, Any], *, whole: bool) -> dict[str, dict[str, Any]]:
    """By its beginning, what each bucket has."""
    out: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        for value, start, end in _triples(attribute.get(method)):
            found = out.setdefault("" if whole else start, {"start": start, "end": end})
            found[method], found["end"] = value, max(str(found["end"]), end)
    return out


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
