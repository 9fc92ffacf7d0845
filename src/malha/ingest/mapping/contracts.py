"""The answers of the guided page: everything that turns the rows of a table into things with values, places and times.

They are kept as JSON (`to_json`, `from_json`) and offered to the next file with the same header.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from malha.kernel.errors import BadInput
from malha.kernel.text import msg
from malha.sources.tabular.contracts import CellType, Reading


class MappingError(BadInput):
    """The answers do not fit the file or the model."""

    slug = "mapping"


class RowKind(StrEnum):
    """What a row is: an entity of a known data model, of a model made from the columns, or a line of a table."""

    MODEL = "model"
    OWN = "own"
    TABLE = "table"


class PlaceKind(StrEnum):
    """Where the place of a row comes from."""

    COORDINATES = "coordinates"
    GEOMETRY = "geometry"
    WKT = "wkt"
    ADDRESS = "address"
    HAND = "hand"
    NONE = "none"


class Outside(StrEnum):
    """What happens to rows that lie outside the municipality, or nowhere that is known."""

    KEEP = "keep"
    HOLD = "hold"


class Again(StrEnum):
    """When the table comes again: add what is new, update what is there, or replace all of it."""

    ADD = "add"
    UPDATE = "update"
    REPLACE = "replace"


class PersonalKind(StrEnum):
    """What a column tells about a person."""

    NIF = "nif"
    NISS = "niss"
    IBAN = "iban"
    PHONE = "phone"
    EMAIL = "email"
    PLATE = "plate"
    NAME = "name"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ColumnAnswer:
    """What becomes of one column. `attribute` empty: the column stays out. `unit` is a UN/CEFACT code.

    `personal` columns come in only with `reason`, which is audited. `missing` are texts that mean "no value";
    `constant` (with an empty `column`) is the same value on every row.
    """

    column: str
    attribute: str = ""
    type: CellType = CellType.TEXT
    decimal: str = "."
    day_first: bool = True
    unit: str = ""
    missing: tuple[str, ...] = ()
    personal: PersonalKind | None = None
    reason: str = ""
    constant: str = ""
    relationship: bool = False
    label: str = ""

    @property
    def comes_in(self) -> bool:
        """Whether values of this column are kept."""
        return bool(self.attribute) and (self.personal is None or bool(self.reason.strip()))


@dataclass(frozen=True, slots=True)
class PlaceAnswer:
    """Where a row is. For coordinates `x` and `y` name the columns (`x` alone: both in one cell).

    `unplaced` is what happens to rows of which the place is not known: they enter without one, or wait to be pointed at by hand.
    """

    kind: PlaceKind = PlaceKind.NONE
    x: str = ""
    y: str = ""
    crs: str = "EPSG:4326"
    swapped: bool = False
    outside: Outside = Outside.KEEP
    address: tuple[str, ...] = ()
    unplaced: Outside = Outside.KEEP


@dataclass(frozen=True, slots=True)
class TimeAnswer:
    """When a row was observed: the columns (date, or date and hour), and the zone of times without offset. No columns: no time."""

    columns: tuple[str, ...] = ()
    zone: str = "Europe/Lisbon"
    day_first: bool = True


@dataclass(frozen=True, slots=True)
class Answers:
    """All answers about one table. `name` is what people call it; `type` the entity type; `key` the columns that name a row."""

    reading: Reading
    name: str
    kind: RowKind = RowKind.TABLE
    type: str = ""
    key: tuple[str, ...] = ()
    place: PlaceAnswer = field(default_factory=PlaceAnswer)
    time: TimeAnswer = field(default_factory=TimeAnswer)
    columns: tuple[ColumnAnswer, ...] = ()
    again: Again = Again.UPDATE
    live: bool = False

    def column(self, name: str) -> ColumnAnswer | None:
        """The answer about the column called `name`."""
        return next((answer for answer in self.columns if answer.column == name), None)


#: has msgspec look at the class now: several threads that are the first to ask at once would end the process
_LOOKED_AT = msgspec.json.Decoder(Answers)


def to_json(answers: Answers) -> dict[str, Any]:
    """The answers as plain JSON."""
    built: dict[str, Any] = msgspec.to_builtins(answers)
    return built


def from_json(data: object) -> Answers:
    """Answers from JSON. Raises MappingError naming what is wrong."""
    try:
        return msgspec.convert(data, Answers)
    except msgspec.ValidationError as reason:
        raise MappingError(msg("As respostas não servem: {reason}."), reason=reason) from reason


@dataclass(frozen=True, slots=True)
class Placing:
    """How well a reading of coordinates fits: which part of the rows falls in the municipality, in Portugal, or nowhere."""

    crs: str
    swapped: bool
    inside: float
    in_portugal: float
    nowhere: float
