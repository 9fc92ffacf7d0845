"""An instant at which somebody wants to see things, and by which knowledge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Knowledge(StrEnum):
    """As it was known then; or as known today, because that was asked for, is all that is kept, or nothing was known then."""

    THEN = "then"
    ASKED = "asked"
    NO_LONGER = "no-longer"
    NOTHING_YET = "nothing-yet"


@dataclass(frozen=True, slots=True)
class Moment:
    """An aware instant of the past."""

    at: datetime
    knowledge: Knowledge = Knowledge.THEN

    @property
    def known_at(self) -> datetime | None:
        """The instant of what is known; None for today."""
        return self.at if self.knowledge is Knowledge.THEN else None
