"""What can be exported, in which formats, and what every export says about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from malha.foundation.language import service as language
from malha.kernel.errors import BadInput, MalhaError, NotFound
from malha.kernel.text import msg
from malha.sources.tabular.contracts import OWN_SHEETS

#: one row, in the order of the columns
Row = tuple[object, ...]


class ExportFormat(StrEnum):
    """The formats, by the name that stands in addresses and at the end of file names."""

    CSV = "csv"
    CSV_EXCEL_PT = "excel.csv"
    XLSX = "xlsx"
    JSON = "json"
    GEOJSON = "geojson"
    PARQUET = "parquet"
    GEOPARQUET = "geo.parquet"
    GEOPACKAGE = "gpkg"
    PDF = "pdf"


MEDIA_TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
    ExportFormat.CSV_EXCEL_PT: "text/csv; charset=utf-8; header=present",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ExportFormat.JSON: "application/json; charset=utf-8",
    ExportFormat.GEOJSON: "application/geo+json; charset=utf-8",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
    ExportFormat.GEOPARQUET: "application/vnd.apache.parquet",
    ExportFormat.GEOPACKAGE: "application/geopackage+sqlite3",
    ExportFormat.PDF: "application/pdf",
}


class CellType(StrEnum):
    """What the cells of a column hold."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    GEOMETRY = "geometry"  # GeoJSON dict, EPSG:4326


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """One column. `unit` is the symbol that people read ("°C"); `personal` columns need a right of their own."""

    name: str
    label: str
    type: CellType = CellType.TEXT
    unit: str = ""
    description: str = ""
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """What an export says of itself, inside the file: where it comes from, what was asked, when, in which zone."""

    title: str
    publisher: str
    filter: str
    moment: datetime
    zone: ZoneInfo
    licence: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
    language: str = "pt-pt"

    @property
    def sheets(self) -> tuple[str, str]:
        """The names of a workbook's sheets: what it is, and the rows."""
        return OWN_SHEETS["en" if self.language.startswith("en") else "pt"]

    def lines(self, columns: Sequence[ExportColumn]) -> list[str]:
        """The statement as sentences in the language of whoever asked, one a line."""
        local = self.moment.astimezone(self.zone)
        units = "; ".join(f"{column.name}: {column.unit}" for column in columns if column.unit)
        return [
            f"{self.title} — {self.publisher}",
            self.say(msg("Filtro: {text}"), text=self.filter or self.say(msg("nenhum"))),
            self.say(msg("Extraído em {at} ({zone})"), at=f"{local:%Y-%m-%d %H:%M:%S%z}", zone=self.zone.key),
            self.say(msg("Unidades: {units}"), units=units or self.say(msg("nenhuma"))),
            *([self.say(msg("Licença: {address}"), address=self.licence)] if self.licence else []),
            *([self.say(msg("Fonte: {name}"), name=self.source)] if self.source else []),
            *(self.say(note) for note in self.notes),
        ]

    def say(self, message: str, **params: object) -> str:
        """One Portuguese sentence of the export in the language of whoever asked."""
        return language.translate(message, self.language, **params)


@dataclass(frozen=True, slots=True)
class Export:
    """Something ready to be written: its columns, its statement, and its rows in batches read as they are written.

    `chart` are the points of a line drawn in the PDF: (series name, [(instant, value)]).
    """

    columns: tuple[ExportColumn, ...]
    statement: Statement
    batches: Callable[[], Iterator[list[Row]]]
    chart: tuple[tuple[str, list[tuple[datetime, float]]], ...] = field(default=())
    whole_url: str = ""


class ExportError(MalhaError):
    """An export cannot be made."""

    slug = "export"


class UnknownFormat(ExportError, BadInput):
    """No such format, or not for these rows."""

    slug = "unknown-export-format"


class ExportGone(ExportError, NotFound):
    """The file was made, and its link has expired."""

    slug = "export-gone"
    status = 410
