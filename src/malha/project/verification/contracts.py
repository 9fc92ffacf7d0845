"""What a verification reports: steps, each with the two values of every comparison that it made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from malha.foundation.language.service import say
from malha.kernel.text import msg

OWN = msg("escritos pelo projeto")


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
    """The files that a verification takes in. `folder` is where real ones come from; what it lacks the project wrote."""

    folder: Path | None
    models: Path
    places: Path
    table: Path
    weather: Path

    def origin_of(self, path: Path) -> str:
        """The folder's name for a file of it, else "escritos pelo projeto"."""
        return self.folder.name if self.folder is not None and path.is_relative_to(self.folder) else say(OWN)

    @property
    def origin(self) -> str:
        """Where the files come from, all together: the folder first."""
        origins = {self.origin_of(path) for path in (self.models, self.places, self.table, self.weather)}
        return ", ".join(sorted(origins, key=lambda name: name == say(OWN)))
