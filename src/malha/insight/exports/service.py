"""Write an export in any format: as a stream where the format allows, else into a file first."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import BinaryIO

from malha.insight.exports.contracts import Export, ExportFormat, Row
from malha.insight.exports.writers import delimited, document, geographic, parquet, rapid, sheet, structured

#: rows up to which a workbook is designed (widths, wrapped texts); beyond it is written by column, much faster
DESIGNED_ROWS = 50_000


def _xlsx(export: Export, out: BinaryIO) -> None:
    """A designed workbook for few rows, a plain one of the same sheets for many."""
    first: list[list[Row]] = []
    rest = export.batches()
    while sum(map(len, first)) <= DESIGNED_ROWS:
        batch = next(rest, None)
        if batch is None:
            sheet.xlsx(replace(export, batches=lambda: iter(first)), out)
            return
        first.append(batch)
    rapid.xlsx(export, out, chain(first, rest))


_STREAMS: dict[ExportFormat, Callable[[Export], Iterator[bytes]]] = {
    ExportFormat.CSV: delimited.canonical_csv,
    ExportFormat.CSV_EXCEL_PT: delimited.excel_csv,
    ExportFormat.JSON: structured.json_rows,
    ExportFormat.GEOJSON: structured.geojson,
}
_FILES: dict[ExportFormat, Callable[[Export, BinaryIO], None]] = {
    ExportFormat.XLSX: _xlsx,
    ExportFormat.PARQUET: parquet.parquet,
    ExportFormat.GEOPARQUET: geographic.geoparquet,
    ExportFormat.GEOPACKAGE: geographic.geopackage,
    ExportFormat.PDF: document.pdf,
}
PIECE_BYTES = 256 * 1024


def stream(export: Export, wanted: ExportFormat) -> Iterator[bytes]:
    """The bytes of `export` in the format `wanted`, in constant memory.

    The iterator opens the rows itself when it is first read, so whoever streams it need hold no transaction.
    """
    if wanted in _STREAMS:
        yield from _STREAMS[wanted](export)
        return
    with tempfile.TemporaryFile() as file:
        _FILES[wanted](export, file)
        file.seek(0)
        while piece := file.read(PIECE_BYTES):
            yield piece


def write(export: Export, wanted: ExportFormat, out: BinaryIO) -> None:
    """Write the whole of `export` to `out` (a file open for writing bytes)."""
    if wanted in _FILES:
        with tempfile.TemporaryFile() as file:
            _FILES[wanted](export, file)
            file.seek(0)
            shutil.copyfileobj(file, out)
        return
    out.writelines(_STREAMS[wanted](export))
