"""Words of retention: how long values are kept, and what would go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from malha.kernel.errors import BadInput, MalhaError


@dataclass(frozen=True, slots=True)
class Rule:
    """How long each value of a type is kept: the tenant's word (`own`) or the model's. Empty `keep`: for good."""

    type: str
    keep: str
    declared: str
    own: bool = False
    on_hold: bool = False
    hold_reason: str = ""
    changed_by: str = ""
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Going:
    """What would go of a type: values observed before an instant; sums by hour and longer stay."""

    type: str
    before: datetime
    rows: int
    oldest: datetime | None


class RetentionError(MalhaError):
    """A rule of retention cannot be kept as asked."""

    slug = "retention"


class UnusablePeriod(RetentionError, BadInput):
    """The period is not one that data can be kept for."""

    slug = "unusable-retention"
