"""XLSX of many rows: the same workbook as `sheet` makes, its rows put together by column instead of cell by cell.

A fifth of the processor time, in constant memory; no widths, no styles but those of header and instants. Cells are
numbers, booleans or inline texts, never formulas, so nothing in them runs.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import BinaryIO
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import msgspec

from malha.insight.exports.contracts import CellType, Export, ExportColumn, Row
from malha.insight.exports.writers.sheet import CELL_CHARACTERS, CUT, EXPLAINED, SHEET_ROWS

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
_STYLES = (
    f'{_HEAD}<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="dd/mm/yyyy hh:mm:ss"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="3"><xf/><xf fontId="1" applyFont="1"/><xf numFmtId="164" applyNumberFormat="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


def xlsx(export: Export, out: BinaryIO, batches: Iterable[list[Row]] | None = None, *, sheet_rows: int = SHEET_ROWS) -> None:
    """Write `export` to `out`; `batches` stands in for its own where some were read already."""
    names: list[str] = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:

        def sheet(name: str, lines: Iterator[str], *, frozen: bool = True) -> None:
            names.append(name)
            with book.open(f"xl/worksheets/sheet{len(names)}.xml", "w", force_zip64=True) as file:
                pane = (
                    '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
                    if frozen
                    else ""
                )
                file.write(f'{_HEAD}<worksheet xmlns="{_MAIN}">{pane}<sheetData>'.encode())
                for text in lines:
                    file.write(text.encode())
                file.write(b"</sheetData></worksheet>")

        sheet(export.statement.sheets[0], _about(export), frozen=False)
        rows = _Rows(iter(batches) if batches is not None else export.batches())
        rows_name, number = export.statement.sheets[1], 1
        while number == 1 or not rows.ended:
            sheet(rows_name if number == 1 else f"{rows_name} {number}", _lines(export, rows, sheet_rows - 1))
            number += 1
        _bind(book, names)


def _bind(book: zipfile.ZipFile, names: Sequence[str]) -> None:
    """The parts that make a workbook of the sheets (ECMA-376 part 2)."""
    numbered = list(enumerate(names, 1))
    sheets = "".join(f'<sheet name="{escape(name)}" sheetId="{n}" r:id="rId{n}"/>' for n, name in numbered)
    book.writestr("xl/workbook.xml", f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>')
    links = "".join(f'<Relationship Id="rId{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n, _ in numbered)
    styles = f'<Relationship Id="rId{len(names) + 1}" Type="{_OFFICE}/styles" Target="styles.xml"/>'
    book.writestr("xl/_rels/workbook.xml.rels", f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{links}{styles}</Relationships>')
    root = f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    book.writestr("_rels/.rels", f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{root}</Relationships>')
    book.writestr("xl/styles.xml", _STYLES)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = "".join(f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{kind}.worksheet+xml"/>' for n, _ in numbered)
    parts += f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>'
    defaults = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
    book.writestr("[Content_Types].xml", f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types">{defaults}{parts}</Types>')


class _Rows:
    """Rows handed out by the thousand, never more than are asked for."""

    def __init__(self, batches: Iterator[list[Row]]) -> None:
        self._batches = batches
        self._left: list[Row] = []
        self.ended = False
        self._fill()

    def _fill(self) -> None:
        while not self._left and not self.ended:
            found = next(self._batches, None)
            if found is None:
                self.ended = True
            else:
                self._left = found

    def take(self, most: int) -> list[Row]:
        """Up to `most` rows; none after the last."""
        taken, self._left = self._left[:most], self._left[most:]
        self._fill()
        return taken


def _about(export: Export) -> Iterator[str]:
    """What the first sheet says: the statement, then the dictionary of the columns."""
    for line in export.statement.lines(export.columns):
        yield f"<row>{_text(line)}</row>"
    yield f"<row></row><row>{''.join(_text(word, style=1) for word in map(export.statement.say, EXPLAINED))}</row>"
    for column in export.columns:
        yield f"<row>{''.join(_text(word) for word in (column.name, column.label, column.unit, column.description))}</row>"


def _lines(export: Export, rows: _Rows, most: int) -> Iterator[str]:
    headings = (f"{c.name} ({c.unit})" if c.unit and c.type is not CellType.INSTANT else c.name for c in export.columns)
    yield f"<row>{''.join(_text(heading, style=1) for heading in headings)}</row>"
    makers = [_maker(column, export.statement.zone, export.statement.say(CUT)) for column in export.columns]
    while most and (batch := rows.take(most)):
        most -= len(batch)
        columns = [list(map(maker, values)) for maker, values in zip(makers, zip(*batch, strict=True), strict=True)]
        yield "<row>" + "</row><row>".join(map("".join, zip(*columns, strict=True))) + "</row>"


def _maker(column: ExportColumn, zone: ZoneInfo, cut: str) -> Callable[[object], str]:
    """What turns one value of a column into its cell."""

    def any_cell(value: object) -> str:
        kind = type(value)
        if kind is float or kind is int:
            return f"<c><v>{value!r}</v></c>" if math.isfinite(value) else "<c/>"  # type: ignore[arg-type]  # a figure, by `kind`
        if value is None:
            return "<c/>"
        if kind is str:
            return _text(value, 0, cut)  # type: ignore[arg-type]  # a text, by `kind`
        if kind is bool:
            return f'<c t="b"><v>{value:d}</v></c>'
        if isinstance(value, datetime):
            wall = value.astimezone(zone).replace(tzinfo=UTC) - _EPOCH
            return f'<c s="2"><v>{wall.days + wall.seconds / 86400 + wall.microseconds / 86400e6!r}</v></c>'
        return _text(msgspec.json.encode(value).decode(), 0, cut)

    def number(value: object) -> str:
        return f"<c><v>{value!r}</v></c>" if type(value) is float and value - value == 0.0 else any_cell(value)

    return number if column.type is CellType.NUMBER else any_cell


def _text(value: str, style: int = 0, cut: str = CUT) -> str:
    if len(value) > CELL_CHARACTERS:
        value = value[: CELL_CHARACTERS - len(cut)] + cut
    if "&" in value or "<" in value or ">" in value:
        value = escape(value)
    if not value.isprintable():
        value = _NOT_XML.sub("\ufffd", value)
    space = ' xml:space="preserve"' if value[:1] == " " or value[-1:] == " " or "\n" in value else ""
    return f'<c t="inlineStr"{f" s={chr(34)}{style}{chr(34)}" if style else ""}><is><t{space}>{value}</t></is></c>'
