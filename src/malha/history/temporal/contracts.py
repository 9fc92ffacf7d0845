"""What is asked of history, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

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

    Buckets that touch the period are given whole. `limit` keeps the newest points.
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


@dataclass(frozen=True, slots=True)
class Instance:
    """One value of an attribute of an entity, as history keeps it. `kind` is an `ObservationKind`."""

    attribute: str
    at: datetime
    kind: int
    number: float | None
    text: str | None
    unit: str
    dataset_id: int
    seq: int


class HistoryError(MalhaError):
    """History refuses."""

    slug = "history"


class UnusablePeriod(HistoryError, BadInput):
    """The period that was asked for does not make sense."""

    slug = "unusable-period"
