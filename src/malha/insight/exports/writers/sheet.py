"""XLSX in constant memory: a sheet that explains, then the rows, going on in a further sheet where Excel's limit ends one."""

from __future__ import annotations

import itertools
import math
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from malha.insight.exports.contracts import CellType, Export, ExportColumn, Statement
from malha.insight.exports.writers.cells import naive_local
from malha.kernel.text import msg

if TYPE_CHECKING:
    import xlsxwriter
    from xlsxwriter.worksheet import Worksheet

#: rows that one sheet holds, the header among them
SHEET_ROWS = 1_048_576
CELL_CHARACTERS = 32_767
#: what a cell says whose text was cut: nothing is cut in silence
CUT = msg("… [texto cortado pelo limite do Excel; completo em JSON ou CSV]")
#: the headings of the sheet that explains the columns
EXPLAINED = (msg("Coluna"), msg("Nome"), msg("Unidade"), msg("Descrição"))


def xlsx(export: Export, out: BinaryIO, *, sheet_rows: int = SHEET_ROWS) -> None:
    """Write `export` to `out`. Instants are wall clock of the municipality's zone, as the first sheet says."""
    import xlsxwriter  # noqa: PLC0415 -- slow to read, and few processes write workbooks

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "nan_inf_to_errors": True}
    with xlsxwriter.Workbook(out, options) as book:
        bold = book.add_format({"bold": True, "bg_color": "#e5eeff"})
        instant = book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss"})
        about = book.add_worksheet(export.statement.sheets[0])
        about.set_column(0, 0, 28)
        about.set_column(1, 4, 36)
        for number, line in enumerate(export.statement.lines(export.columns)):
            about.write_string(number, 0, line)
        start = len(export.statement.lines(export.columns)) + 1
        for offset, heading in enumerate(map(export.statement.say, EXPLAINED)):
            about.write_string(start, offset, heading, bold)
        for number, column in enumerate(export.columns, start + 1):
            for offset, text in enumerate((column.name, column.label, column.unit, column.description)):
                about.write_string(number, offset, text)
        _rows(book, export, bold, instant, sheet_rows)


def _rows(book: xlsxwriter.Workbook, export: Export, bold: object, instant: object, sheet_rows: int) -> None:
    sheets = itertools.count(1)
    sheet = _begin_sheet(book, next(sheets), export, bold)
    line = 1
    for batch in export.batches():
        for row in batch:
            if line == sheet_rows:
                sheet, line = _begin_sheet(book, next(sheets), export, bold), 1
            for index, value in enumerate(row):
                _cell(sheet, line, index, value, export.statement, instant)
            line += 1


def _begin_sheet(book: xlsxwriter.Workbook, number: int, export: Export, bold: object) -> Worksheet:
    name = export.statement.sheets[1]
    sheet = book.add_worksheet(name if number == 1 else f"{name} {number}")
    sheet.freeze_panes(1, 1)
    sheet.set_column(0, len(export.columns) - 1, 18)
    for index, column in enumerate(export.columns):
        sheet.write_string(0, index, _heading(column), bold)
    return sheet


def _cell(sheet: Worksheet, line: int, index: int, value: object, statement: Statement, instant: object) -> None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return
    if isinstance(value, bool):
        sheet.write_boolean(line, index, value)
    elif isinstance(value, int | float):
        sheet.write_number(line, index, value)
    elif isinstance(value, datetime):
        sheet.write_datetime(line, index, naive_local(value, statement.zone), instant)
    else:
        sheet.write_string(line, index, _fitting(value if isinstance(value, str) else msgspec.json.encode(value).decode(), statement))


def _heading(column: ExportColumn) -> str:
    return f"{column.name} ({column.unit})" if column.unit and column.type is not CellType.INSTANT else column.name


def _fitting(text: str, statement: Statement) -> str:
    """`text`, or what fits in a cell with a word that says so: nothing is cut in silence."""
    if len(text) <= CELL_CHARACTERS:
        return text
    mark = statement.say(CUT)
    return text[: CELL_CHARACTERS - len(mark)] + mark
