"""An indicator, declared once: what cards, charts, dashboards and questions read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from malha.kernel.errors import BadInput, MalhaError, NotFound
from malha.vocabulary.models.contracts import Aggregation, Label


class Window(StrEnum):
    """How far back an indicator looks: the newest value of each thing, or all values of the last clock hours."""

    NOW = "now"
    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"


#: clock hours of each window; NOW compares with a day before
HOURS = {Window.NOW: 24, Window.HOUR: 1, Window.DAY: 24, Window.WEEK: 168, Window.MONTH: 720}


class Direction(StrEnum):
    """Which way is better."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Threshold:
    """From this value on (up to the next threshold) the indicator stands so; `severity` as in the design system."""

    start: float
    severity: str
    label: Label


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured, over which things, how far back, in which unit.

    `aggregation` puts the values of all things in the window together. With `count_if` (operator, bound) the
    indicator counts the things whose newest value meets it (window NOW). `scale` turns the stored unit into the
    shown one (0.85 → 85 %).
    """

    key: str
    label: Label
    type: str
    attribute: str
    aggregation: Aggregation = Aggregation.AVERAGE
    window: Window = Window.DAY
    unit: str = ""
    decimals: int = 1
    direction: Direction = Direction.NONE
    description: Label = field(default_factory=lambda: Label(""))
    thresholds: tuple[Threshold, ...] = ()
    count_if: tuple[str, float] | None = None
    scale: float = 1.0
    pack: str = ""
    on_home: bool = True
    position: int = 0


@dataclass(frozen=True, slots=True)
class MetricValue:
    """An indicator at a moment. Values are in the metric's unit; None where nothing was heard in the window.

    `previous` is the value of the window before (for NOW: a day before); `trend` one value per clock hour or day,
    None in gaps; `count` how many observations (NOW: things) it stands for; `freshest` the newest observation.
    """

    metric: Metric
    value: float | None
    at: datetime
    count: int
    previous: float | None = None
    trend: tuple[tuple[datetime, float | None], ...] = ()
    freshest: datetime | None = None
    start: datetime | None = None

    @property
    def threshold(self) -> Threshold | None:
        """The last threshold that the value reaches."""
        if self.value is None:
            return None
        reached = [one for one in self.metric.thresholds if self.value >= one.start]
        return max(reached, key=lambda one: one.start, default=None)


class MetricError(MalhaError):
    """Something about indicators does not hold."""

    slug = "metrics"


class UnknownMetric(MetricError, NotFound):
    """No indicator has that key here."""

    slug = "unknown-metric"


class UnusableMetric(MetricError, BadInput):
    """A declaration that cannot be read."""

    slug = "unusable-metric"
