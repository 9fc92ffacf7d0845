"""What a verification reports: steps, each with the two values of every comparison that it made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from malha.foundation.language.service import say
from malha.kernel.text import msg


@dataclass(frozen=True, slots=True)
class Comparison:
    """What should be and what was found; both are shown, whether they agree or not."""

    what: str
    expected: object
    found: object
    holds: bool


@dataclass(slots=True)
class Step:
    """One step of the road. It holds when it compared something and every comparison holds."""

    name: str
    title: str
    input: str = ""
    seconds: float = 0.0
    comparisons: list[Comparison] = field(default_factory=list)
    error: str = ""

    @property
    def holds(self) -> bool:
        """Whether the step did what it says."""
        return not self.error and bool(self.comparisons) and all(c.holds for c in self.comparisons)

    def equal(self, what: str, expected: object, found: object) -> None:
        """Compare two values."""
        self.comparisons.append(Comparison(what, expected, found, expected == found))

    def close(self, what: str, expected: float, found: float | None, *, within: float = 1e-6) -> None:
        """Compare two figures within `within`."""
        self.comparisons.append(Comparison(what, expected, found, found is not None and abs(expected - found) <= within))

    def at_least(self, what: str, expected: float, found: float) -> None:
        """Compare a figure with the least that it should be."""
        self.comparisons.append(Comparison(say(msg("{what} (pelo menos)"), what=what), expected, found, found >= expected))


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files that a verification takes in. `origin` is the folder's name, or "escritos pelo projeto"."""

    origin: str
    models: Path
    places: Path
    table: Path
    weather: Path
