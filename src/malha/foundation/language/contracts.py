"""The languages of the platform."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PORTUGUESE = "pt-pt"
ENGLISH = "en"
DEFAULT = PORTUGUESE


class GapKind(StrEnum):
    """What can be wrong with one sentence of the English catalogue."""

    MISSING = "missing"
    FUZZY = "fuzzy"
    UNUSED = "unused"
    PARAMETERS = "parameters"


@dataclass(frozen=True, slots=True)
class Gap:
    """One sentence that is not as it should be, and where it stands."""

    kind: GapKind
    sentence: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind.value}: {self.sentence!r}"
