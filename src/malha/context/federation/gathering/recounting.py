"""Sums of series that several places have values of at the same time (§4.5.19): of the values themselves, each counted once.

A value may lie at two places, and how many different ones two places have together is not to be seen in their sums. So those
places that have sums of the same attribute in the same period are asked for the values; nobody is asked twice for a series
that lies at one place, or of which the places have different periods.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from malha.context.broker import pool
from malha.context.federation.asking.evolutions import Past
from malha.context.federation.gathering import pairs, sums
from malha.context.federation.gathering.pairs import Line, Pair
from malha.context.federation.gathering.sums import Span, Summed
from malha.kernel.errors import MalhaError
from malha.kernel.time import format_instant

#: values that are read for one answer, of all places together; beyond that sums are put together as they are
MOST_VALUES = 100_000
#: requests to one place for one answer
MOST_PAGES = 64
#: entities that are named in one request: an address has an end
TOGETHER = 50
#: methods that a value which lies at two places changes nothing of
_EITHER_WAY = frozenset({"min", "max"})
_RANGE = re.compile(r"(?:date-time\s+)?.+?-(\d{4}-\d{2}-\d{2}T[^/]+?)/", re.IGNORECASE)

#: an entity's id and an attribute's name, in the reader's words
type Series = tuple[str, str]
#: pairs of a dataset and member, of one series
type Told = dict[tuple[str, str], Line]
#: sums of values (attribute as `sums` has it) by entity and attribute, given the pairs and the temporal part of the question
type Summing = Callable[[Mapping[Series, Sequence[Line]], Mapping[str, Any]], dict[Series, dict[str, Any]]]


class Answer(Protocol):
    """What a place says to a question for values."""

    entities: dict[str, dict[str, Any]]
    cut: str
    spoken: bool


#: asks the place of that number for values of these attributes
type Ask = Callable[[int, Past, frozenset[str]], Awaitable[Answer]]


@dataclass(slots=True)
class Recounted:
    """Sums of values by series, each for its span; `doubtful` are places with series whose values could not be had."""

    sums: dict[Series, dict[str, Any]] = field(default_factory=dict)
    spans: dict[Series, Span] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Shared:
    """A series of several places: how many values each has in the span."""

    span: Span
    counts: dict[int, int]


async def recounted(places: Sequence[Mapping[str, Mapping[str, Any]]], past: Past, summed: Summed, ask: Ask, summing: Summing) -> Recounted:
    """Sums of those series that several `places` have values of in one period, each value counted once."""
    out = Recounted()
    shared = _shared(places, summed)
    chosen: dict[Series, _Shared] = {}
    room = MOST_VALUES
    for series, one in shared.items():
        room -= sum(one.counts.values())
        if room < 0:
            out.doubtful |= one.counts.keys()
        else:
            chosen[series] = one
    if not chosen:
        return out
    reading = _Reading(past, _whole_span(chosen.values()), ask, chosen)
    numbers = sorted({place for one in chosen.values() for place in one.counts})
    told = dict(zip(numbers, await asyncio.gather(*(reading.of_place(place) for place in numbers)), strict=True))
    out.sums, missing = await pool.run(lambda: _counted(told, chosen, past, summing))
    out.spans = {series: chosen[series].span for series in out.sums}
    out.doubtful |= {place for series in missing for place in chosen[series].counts}
    return out


def _shared(places: Sequence[Mapping[str, Mapping[str, Any]]], summed: Summed) -> dict[Series, _Shared]:
    """The series that several places have values of at the same time, and for how long."""
    if summed.aligned and _EITHER_WAY.issuperset(summed.methods):
        return {}
    having: dict[Series, dict[int, dict[datetime, dict[str, Any]]]] = {}
    for number, entities in enumerate(places):
        for uri, entity in entities.items():
            for name, attribute in entity.items():
                if sums.are(attribute):
                    having.setdefault((uri, name), {})[number] = sums.buckets(attribute, whole=summed.whole)
    found = {series: _overlap(by_place, summed) for series, by_place in having.items() if len(by_place) > 1}
    return {series: one for series, one in found.items() if one is not None}


def _overlap(by_place: Mapping[int, Mapping[datetime, Mapping[str, Any]]], summed: Summed) -> _Shared | None:
    if summed.whole or not summed.aligned:
        return _Shared(None, {place: sum(map(_count, buckets.values())) for place, buckets in by_place.items()})
    starts = sorted({start for buckets in by_place.values() for start in buckets})
    kept = set(starts[-summed.last :] if summed.last else starts)
    twice = [start for start in kept if sum(start in buckets for buckets in by_place.values()) > 1]
    if not twice:
        return None
    ends = [sums.instant(str(buckets[max(twice)]["end"])) for buckets in by_place.values() if max(twice) in buckets]
    span = min(twice), max(ends)
    inside = {place: [each for start, each in buckets.items() if span[0] <= start < span[1]] for place, buckets in by_place.items()}
    return _Shared(span, {place: sum(map(_count, these)) for place, these in inside.items() if these})


def _count(bucket: Mapping[str, Any]) -> int:
    count = bucket.get("totalCount")
    return int(count) if isinstance(count, int | float) else 0


def _whole_span(shared: Iterable[_Shared]) -> Span:
    spans = [one.span for one in shared]
    known = [span for span in spans if span is not None]
    return None if len(known) < len(spans) else (min(span[0] for span in known), max(span[1] for span in known))


class _Reading:
    """The values that places have of some series, page by page, until there are too many."""

    def __init__(self, past: Past, span: Span, ask: Ask, wanted: Mapping[Series, _Shared]) -> None:
        self.past, self.ask, self.wanted = past, ask, wanted
        temporal = past.temporal
        relation, at = str(temporal.get("timerel") or ""), str(temporal.get("timeAt") or "")
        self.start = format_instant(span[0]) if span else "" if relation in {"", "before"} else at
        self.end = format_instant(span[1]) if span else at if relation == "before" else str(temporal.get("endTimeAt") or "")
        self.room = MOST_VALUES

    async def of_place(self, place: int) -> dict[Series, Told] | None:
        """What one place has, None where not all of it could be read."""
        mine = [series for series, one in self.wanted.items() if place in one.counts]
        uris = list(dict.fromkeys(uri for uri, _ in mine))
        told: dict[Series, Told] = {}
        pages = 0
        for first in range(0, len(uris), TOGETHER):
            some = set(uris[first : first + TOGETHER])
            names = frozenset(name for uri, name in mine if uri in some)
            start = self.start
            while True:
                pages += 1
                after = None if pages > MOST_PAGES else await self._page(place, sorted(some), names, start, told)
                if after is None:
                    return None
                if not after:
                    break
                if start and sums.instant(after) <= sums.instant(start):
                    return None  # more values at one instant than the place gives at once
                start = after
        return told

    async def _page(self, place: int, uris: Sequence[str], names: frozenset[str], start: str, told: dict[Series, Told]) -> str | None:
        """Read one page into `told`: where the next one begins, "" at the end, None where it cannot be read."""
        try:
            answer = await self.ask(place, self.past.among(uris).of_values(sorted(names), start, self.end), names)
        except MalhaError:
            return None  # somebody who may have sums only
        if not answer.spoken:
            return None
        for uri, entity in answer.entities.items():
            for name, attribute in entity.items():
                if (uri, name) in self.wanted:
                    self._keep(told.setdefault((uri, name), {}), attribute)
        if self.room < 0:
            return None
        if not answer.cut:
            return ""
        cut = _RANGE.search(answer.cut)
        return cut.group(1) if cut else None

    def _keep(self, told: Told, attribute: Any) -> None:
        for line in pairs.lines(attribute):
            known = told.get((line.dataset, line.member))
            self.room -= len(line.pairs)
            told[line.dataset, line.member] = line if known is None else Line(known.kind, known.dataset, known.member, _following(known.pairs, line.pairs))


def _following(before: Sequence[Pair], after: Sequence[Pair]) -> list[Pair]:
    """Two pages of one place: the second tells again what was at the instant where the first ended."""
    if not before:
        return list(after)
    last = pairs.instant(before[-1])
    edge = next((n for n, pair in enumerate(after) if pairs.instant(pair) > last), len(after))
    held = next((n for n in range(len(before), 0, -1) if pairs.instant(before[n - 1]) < last), 0)
    return [*before[:held], *pairs.once(before[held:], after[:edge], pairs.key), *after[edge:]]


def _counted(
    told: Mapping[int, dict[Series, Told] | None], wanted: Mapping[Series, _Shared], past: Past, summing: Summing
) -> tuple[dict[Series, dict[str, Any]], set[Series]]:  # fmt: skip
    """The sums of those series whose values were read from all places, and the other series."""
    says = pairs.saying(past.by)
    whole: dict[Series, list[Line]] = {}
    missing: set[Series] = set()
    for series, one in wanted.items():
        parts = [_of_span(told[place], series, one.span) for place in one.counts]
        if any(part is None or _length(part) < count for part, count in zip(parts, one.counts.values(), strict=True)):
            missing.add(series)
            continue
        together: Told = {}
        for part in parts:
            for key, line in (part or {}).items():
                known = together.get(key)
                together[key] = line if known is None else Line(line.kind, line.dataset, line.member, pairs.once(known.pairs, line.pairs, says))
        whole[series] = list(together.values())
    return (summing(whole, past.temporal) if whole else {}), missing


def _of_span(told: dict[Series, Told] | None, series: Series, span: Span) -> Told | None:
    if told is None:
        return None
    found = told.get(series, {})
    if span is None:
        return found
    return {
        key: Line(line.kind, line.dataset, line.member, [pair for pair in line.pairs if span[0] <= pairs.instant(pair) < span[1]]) for key, line in found.items()
    }  # fmt: skip


def _length(told: Told) -> int:
    return sum(len(line.pairs) for line in told.values())
