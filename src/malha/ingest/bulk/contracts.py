"""Words of the bulk road."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from malha.kernel.errors import BadInput, MalhaError
from malha.sources.base.contracts import Refused


class BulkError(MalhaError):
    """The bulk road refuses."""

    slug = "bulk"


class UnreadableHistory(BulkError, BadInput):
    """The file is not one from which history can be read."""

    slug = "unreadable-history"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a source; `first_row` is the number of the first of them, from 1, titles not counted."""

    number: int
    first_row: int
    table: pa.Table


@dataclass(frozen=True, slots=True)
class Shape:
    """Which columns say what. Long: `attribute` and `value`; wide: each of `attributes` is a column of that name."""

    entity: str
    instant: str
    type: str = ""
    attribute: str = ""
    value: str = ""
    unit: str = ""
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a piece: `good` has the columns of the lake's bulk road, with the number of the entity."""

    good: pa.Table
    refused: tuple[Refused, ...]
