"""Words of the audit trail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

#: the chain of the platform itself: what concerns no tenant, or outlives one
PLATFORM = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did. `personal` marks a reading of data about people."""

    tenant_id: int
    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, object] = field(default_factory=dict)
    personal: bool = False


class Fault(StrEnum):
    """What is wrong with a chain at one place."""

    ALTERED = "altered"  # the entry is there and says something else than when it was chained
    MISSING = "missing"  # the entry was chained and is gone
    UNLINKED = "unlinked"  # the chain has a hole, or its end was cut off
    REWRITTEN = "rewritten"  # the chain does not lead to the head that was anchored


@dataclass(frozen=True, slots=True)
class Verdict:
    """What walking one chain showed. `seq` and `entry_id` name the first place that is wrong."""

    tenant_id: int
    links: int
    waiting: int
    fault: Fault | None = None
    seq: int | None = None
    entry_id: int | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing was altered or taken away."""
        return self.fault is None
