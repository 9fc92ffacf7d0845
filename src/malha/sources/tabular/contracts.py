"""What is known about a table in a file before anybody is asked, and the pieces in which it is read.

TableError
├── UnusableFile      it cannot be read as a table at all
└── DangerousFile     it would burst, or writes outside its folder
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from malha.kernel.errors import BadInput
from malha.sources.base.contracts import Refused, SourceError

if TYPE_CHECKING:
    import numpy as np


class TableError(SourceError, BadInput):
    """A file with a table cannot be used."""

    slug = "table"


class UnusableFile(TableError):
    """The file is not a table that we can read."""

    slug = "unusable-file"


class DangerousFile(TableError):
    """The file would fill the machine or reach outside its folder; it was not opened."""

    slug = "dangerous-file"


#: how the workbooks that we write begin, by language: what they are, then the rows
OWN_SHEETS = {"pt": ("Sobre", "Dados"), "en": ("About", "Data")}


#: how our JSON begins
OWN_JSON = b'{"statement":'


class FileKind(StrEnum):
    """How the bytes are read."""

    DELIMITED = "delimited"
    WORKBOOK = "workbook"
    PARQUET = "parquet"
    GEOGRAPHIC = "geographic"
    RECORDS = "records"  # a JSON list of rows, or one row of JSON a line


class CellType(StrEnum):
    """What the cells of a column look like."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything needed to read the same table again: kept with the answers.

    `header_row` is the number of the row with the names as a spreadsheet counts (1 is the first); 0: the file has none.
    `columns` are the names given to the columns, each once. `crs` is what the file itself says ("EPSG:3763") or "".
    """

    kind: FileKind
    columns: tuple[str, ...] = ()
    sheet: str = ""
    header_row: int = 1
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    decimal: str = "."
    geometry: str = ""
    crs: str = ""


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """What a column looks like in the first rows. `decimal` is "," or "."; `day_first` is False for month-first dates."""

    name: str
    type: CellType
    decimal: str = "."
    day_first: bool = True
    filled: float = 1.0
    distinct: int = 0
    unique: bool = False
    missing: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table found in a file. `rows` is exact or an estimate; `sample` holds the first rows, cleaned, by column."""

    reading: Reading
    columns: tuple[ColumnShape, ...]
    sheets: tuple[str, ...] = ()
    rows: int = 0
    sample: tuple[tuple[str | None, ...], ...] = ()
    sample_numbers: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> ColumnShape | None:
        """The column called `name`."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading may go on: at byte `offset` of a delimited file, whose next row is number `row`; else at row `row`."""

    offset: int = 0
    row: int = 0


@dataclass(slots=True)
class TextBatch:
    """Some rows, each column an Arrow array of text (or WKB), cleaned: blanks are null, guards undone.

    `numbers` are row numbers as a spreadsheet counts. `next` is where to go on after this batch.
    `left_out` counts titles, totals and footnotes.
    """

    columns: dict[str, Any]
    numbers: np.ndarray[Any, Any]
    next: Position
    refused: list[Refused] = field(default_factory=list)
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.numbers)
