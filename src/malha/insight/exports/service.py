"""Write an export in any format: as a stream where the format allows, else into a file first."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from malha.insight.exports.contracts import Export, ExportFormat
from malha.insight.exports.writers import delimited, document, parquet, sheet, structured

_STREAMS: dict[ExportFormat, Callable[[Export], Iterator[bytes]]] = {
    ExportFormat.CSV: delimited.canonical_csv,
    ExportFormat.CSV_EXCEL_PT: delimited.excel_csv,
    ExportFormat.JSON: structured.json_rows,
    ExportFormat.GEOJSON: structured.geojson,
}
_FILES: dict[ExportFormat, Callable[[Export, BinaryIO], None]] = {
    ExportFormat.XLSX: sheet.xlsx,
    ExportFormat.PARQUET: parquet.parquet,
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
