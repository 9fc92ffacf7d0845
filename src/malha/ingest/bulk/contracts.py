"""Words of the bulk road.

BulkError
├── UnreadableHistory   the file is not one from which history can be read
├── UnknownDraft        no such file is on its way
├── PieceOutOfPlace     a piece does not go on where the last one ended
└── LoaderEnded         the process of a load was killed, or met what nobody foresaw
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from malha.ingest.quality.contracts import Group
from malha.kernel.errors import BadInput, Conflict, MalhaError, NotFound
from malha.kernel.text import msg
from malha.sources.base.contracts import Refused


class BulkError(MalhaError):
    """The bulk road refuses."""

    slug = "bulk"


class UnreadableHistory(BulkError, BadInput):
    """The file is not one from which history can be read."""

    slug = "unreadable-history"


class UnknownDraft(BulkError, NotFound):
    """No such file is on its way into history."""

    slug = "unknown-draft"


class PieceOutOfPlace(BulkError, Conflict):
    """A piece of a file does not go on where the last one ended; `offset` is where to go on."""

    slug = "piece-out-of-place"

    def __init__(self, offset: int) -> None:
        super().__init__(msg("O ficheiro continua no byte {offset}."), offset=offset)
        self.offset = offset


class LoaderEnded(BulkError):
    """The process of a load ended before the load did; it is tried again."""

    slug = "loader-ended"


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a source that are looked at together; `first_row` is the number of the first of them, from 1, titles not counted.

    `numbers` are those of all of them where some between were left out: those are `refused`. `lost` counts rows that nobody could read,
    said once. `comma`: decimals may be written after a comma.
    """

    first_row: int
    table: pa.Table
    numbers: npt.NDArray[np.int64] | None = None
    refused: tuple[Refused, ...] = ()
    lost: int = 0
    comma: bool = False

    @property
    def rows(self) -> int:
        """How many rows of the source these are, with those left out."""
        return int(self.table.num_rows) + (self.lost or len(self.refused))


class Clock(StrEnum):
    """How instants are written: with their zone, or without one, and then year or day first and in the hour of the municipality."""

    ZONED = "zoned"
    YEAR_FIRST = "year-first"
    DAY_FIRST = "day-first"


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of values of a wide file: the attribute that it is of, and its unit (UN/CEFACT; empty: none said)."""

    column: str
    attribute: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which columns say what. Long: `attribute` and `value`; wide: each of `attributes` is a column of values.

    `prefix` stands before each identifier to make it that of an entity. `clock` says how instants are written, `zone` whose hour those
    without a zone are in (IANA).
    """

    entity: str
    instant: str
    type: str = ""
    attribute: str = ""
    value: str = ""
    unit: str = ""
    attributes: tuple[Measure, ...] = ()
    prefix: str = ""
    clock: Clock = Clock.ZONED
    zone: str = ""

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        named = (self.entity, self.instant, self.type, self.attribute, self.value, self.unit, *(one.column for one in self.attributes))
        return list(dict.fromkeys(name for name in named if name))

    def as_json(self) -> dict[str, Any]:
        """What can be kept as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Shape:
        """What `as_json` gave."""
        return cls(**{**kept, "attributes": tuple(Measure(**one) for one in kept["attributes"]), "clock": Clock(kept["clock"])})


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a block: `good` has the columns of the lake's bulk road, with the number of the entity."""

    good: pa.Table
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A column of a file as it looks: what its cells are (`number`, `instant`, `boolean`, `text`), and some of them."""

    name: str
    kind: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What would come of the first rows of a file. `whole`: those are all of it. `series`: (type, attribute, unit, values); `groups`: what would wait, and why."""

    read: int
    held: int
    whole: bool
    first: datetime | None
    last: datetime | None
    series: tuple[tuple[str, str, str, int], ...]
    groups: tuple[Group, ...]

    @property
    def entering(self) -> int:
        """Rows that would go in."""
        return self.read - self.held
