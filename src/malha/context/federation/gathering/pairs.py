"""Instances of one attribute from two places, each once (§4.5.5.3, §4.5.7, §4.5.9): what lies at both is told by one of them. Pure.

By observedAt an instance is told apart by its dataset and its instant, so of two that differ one is told. By createdAt or modifiedAt
many may have one instant, as they were written together; there two are the same that say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from malha.kernel.time import parse_instant

#: members of the simplified form (§4.5.9) that hold pairs of a value and an instant
MEMBERS = ("values", "objects", "languageMaps", "vocabs", "jsons", "valueLists", "objectLists")
_WRITTEN = frozenset({"createdAt", "modifiedAt"})
NEVER = datetime.min.replace(tzinfo=UTC)

type Pair = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Line:
    """The pairs of one dataset of an attribute, as one place tells them."""

    kind: str
    dataset: str
    member: str
    pairs: Sequence[Pair]


def lines(attribute: Any) -> Iterator[Line]:
    """The lines of an attribute in the simplified form; nothing for what is not in that form."""
    for each in attribute if isinstance(attribute, list) else [attribute]:
        if isinstance(each, dict):
            for member in MEMBERS:
                if isinstance(told := each.get(member), list) and all(isinstance(pair, list) and len(pair) == 2 for pair in told):
                    yield Line(str(each.get("type", "")), str(each.get("datasetId", "")), member, told)


def are(attribute: Any) -> bool:
    """Whether an attribute is in the simplified form."""
    return next(lines(attribute), None) is not None


def instant(pair: Pair) -> datetime:
    """When the value of a pair was, by the temporal property that was asked for."""
    return moment(pair[1])


def moment(told: Any) -> datetime:
    """An instant that a place told, in UTC; the beginning of all for what is none."""
    try:
        return parse_instant(str(told))
    except ValueError:
        return NEVER


def key(pair: Pair) -> tuple[bytes, datetime]:
    """What a pair says, however its number and its instant are written."""
    value = pair[0]
    return msgspec.json.encode(float(value) if type(value) is int else value), instant(pair)


def saying(by: str) -> Callable[[Pair], Any]:
    """What tells pairs of one dataset apart, by the temporal property that was asked for."""
    return key if by in _WRITTEN else instant


def once[T](one: Sequence[T], other: Sequence[T], says: Callable[[T], Any]) -> list[T]:
    """All of one place, and of the other what the first does not have; a place that says a thing twice means two."""
    known = Counter(map(says, one))
    out = list(one)
    for each in other:
        said = says(each)
        if known[said]:
            known[said] -= 1
        else:
            out.append(each)
    return out


def union(one: Any, other: Any, by: str) -> Any:
    """An attribute in the simplified form from two places, in order of time."""
    found: dict[tuple[str, str], Line] = {}
    for line in (*lines(one), *lines(other)):
        known = found.get((line.dataset, line.member))
        found[line.dataset, line.member] = line if known is None else Line(known.kind, known.dataset, known.member, once(known.pairs, line.pairs, saying(by)))
    out = [_written(line) for line in found.values()]
    return out[0] if len(out) == 1 else out


def last(attribute: Any, most: int) -> Any:
    """An attribute in the simplified form with its newest pairs, so many of all datasets together."""
    found = list(lines(attribute))
    kept = sorted((instant(pair) for line in found for pair in line.pairs), reverse=True)[:most]
    if not kept:
        return attribute
    out = [_written(replace(line, pairs=left)) for line in found if (left := [pair for pair in line.pairs if instant(pair) >= kept[-1]])]
    return out[0] if len(out) == 1 else out


def _written(line: Line) -> Mapping[str, Any]:
    named = {"datasetId": line.dataset} if line.dataset else {}
    return {"type": line.kind, **named, line.member: sorted(line.pairs, key=instant)}
