"""What is asked of history, and how it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg

from malha.kernel.errors import BadInput, MalhaError
from malha.vocabulary.models.contracts import Aggregation


class Grain(StrEnum):
    """How fine: every value, or one per quarter of an hour, hour (UTC), day or month (the tenant's zone)."""

    RAW = "raw"
    QUARTER = "15min"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """One attribute of one type over [start, end), aware instants. No `uris`: all entities of the type.

    Buckets that touch the period are given whole. `limit` keeps the newest points. `quantile` (0 to 1) takes the place of
    `aggregation`, within 1 % of the value of that rank (`history.rollups.sketch`).
    With `known_at`, as it was known then (transaction time, at most seven days ago): values that came or were corrected later
    answer as before.
    """

    type: str
    attribute: str
    start: datetime
    end: datetime
    uris: tuple[str, ...] = ()
    grain: Grain = Grain.HOUR
    aggregation: Aggregation = Aggregation.AVERAGE
    group_by_entity: bool = False
    limit: int = 50_000
    quantile: float | None = None
    known_at: datetime | None = None


#: (start of the bucket or instant of the value in UTC, value, how many observations it stands for)
type Point = tuple[datetime, float | str | None, int]


@dataclass(frozen=True, slots=True)
class Series:
    """Points in order of time. `uri` is empty when the entities were put together."""

    uri: str
    points: list[Point] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LastValue:
    """The newest observation of one entity."""

    uri: str
    at: datetime
    value: float | str | None
    unit: str = ""


class TimeProperty(StrEnum):
    """The temporal properties of GS CIM 009 §4.8. History knows when a value was true and when it was received."""

    OBSERVED = "observedAt"
    CREATED = "createdAt"
    MODIFIED = "modifiedAt"
    DELETED = "deletedAt"


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time: in months, or in microseconds; zero in both stands for the whole period (§4.5.19)."""

    months: int = 0
    microseconds: int = 0


#: given entities and names of attributes (none: all), rows of the columns of `evolution` in their order
type Held = Callable[[Sequence[int], Sequence[str]], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class EvolutionQuery:
    """Instances of some entities over [start, end), told by `by`. No `attributes`: all of them but `without`.

    `datasets` are numbers of datasetIds (0 the default instance), None for all. `last_n` keeps the newest of each
    attribute of each entity; else at most `most` of each, the oldest first. With `known_at`, as it was known then.
    `within` are stretches (entity, from, to) outside of which nothing is told; None for no such bounds. A `type` that all the
    entities are of spares reading that of others. `ended` tells too where an attribute ended, by observedAt as far as that was given.
    `held` finds the rows elsewhere than in the tenant's history.
    """

    entity_ids: tuple[int, ...]
    start: datetime
    end: datetime
    by: TimeProperty = TimeProperty.OBSERVED
    attributes: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    datasets: tuple[int, ...] | None = None
    last_n: int | None = None
    most: int = 10_000
    known_at: datetime | None = None
    within: tuple[tuple[int, datetime, datetime], ...] | None = None
    type: str = ""
    ended: bool = False
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """One value of an attribute of an entity, as history keeps it. `kind` is an `ObservationKind`, `operation` an `Operation`.

    `at` is the instant that the value was true; where it is `received_at` itself, the sender gave none. The `text` of one that ended
    the attribute says whether its sender gave `at` as that of the observation (`store.contracts.ENDED_AS_OBSERVED`).
    """

    entity_id: int
    attribute: str
    at: datetime
    received_at: datetime
    kind: int
    number: float | None
    text: str | None
    unit: str
    dataset_id: int
    operation: int = 0


@dataclass(frozen=True, slots=True)
class Evolution:
    """Instances by entity and attribute, oldest first. `cut_at` is where they had to end (no longer whole) when there were too many."""

    by_entity: dict[int, dict[str, list[Instance]]]
    cut_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """Aggregates of one attribute over [start, end); a method that the values do not have is absent."""

    start: datetime
    end: datetime
    results: dict[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Correction:
    """A value that a later one replaced: what it was, when it was replaced, and by which run (None: through the API, by `actor` as far as that is known, who said `why` or did not)."""

    attribute: str
    at: datetime
    kind: int
    number: float | None
    text: str | None
    unit: str
    replaced_at: datetime
    by_run: int | None
    uri: str = ""
    actor: str = ""
    why: str = ""

    def told(self, loads: Mapping[int, tuple[str, str]]) -> tuple[str, str]:
        """Who corrected it and why, given what a `Teller` says of loads; empty where nobody knows."""
        return (self.actor, self.why) if self.by_run is None else loads.get(self.by_run, ("", ""))

    @property
    def value(self) -> float | str | None:
        """The value that was replaced, as series have it."""
        return self.number if self.number is not None else self.text


#: who brought what runs brought, and why (the title of the load), by the number of the run, of a tenant
type Teller = Callable[[psycopg.Connection[Any], int, Sequence[int]], Mapping[int, tuple[str, str]]]


class HistoryError(MalhaError):
    """History refuses."""

    slug = "history"


class UnusablePeriod(HistoryError, BadInput):
    """The period that was asked for does not make sense."""

    slug = "unusable-period"


class NoLongerKnown(HistoryError):
    """What was known at that instant is not kept any more."""

    slug, status = "no-longer-known", 410
