"""Words of the bulk road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
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
    """What came of a block: `good` has the columns of the lake's bulk road, with the number of the entity."""

    good: pa.Table
    refused: tuple[Refused, ...]
