"""Find the table in a page of cells: delimiter, encoding, header, types, totals. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from malha.kernel.text import normalise
from malha.sources.tabular import cells
from malha.sources.tabular.contracts import CellType, ColumnShape

DELIMITERS = ";,\t|"
#: a delimiter that gives so many rows the same width makes a table
EVEN = 0.6
TOTAL = r"(?i)^\s*(sub[- ]?)?(total|totais|soma|somatório)( geral| parcial| d[aoe]s? .{1,40})?\s*:?\s*$"
FOOTNOTE = r"(?i)^\s*(fonte|nota|notas|legenda|observações|obs\.?|última atualização|atualizado em|data de extração)\s*[:.]"
SENTINELS = ("-99", "-99.0", "-99,0", "-999", "-999.0", "-999,0", "-9999", "-9999.0", "-9999,0")
#: identifiers, never figures, whatever they look like
CODE_NAMES = re.compile(r"\b(id|codigo|cod|code|dico|dicofre|nif|nipc|niss|iban|cp7|cp4|cp|postal|telefone|telemovel|phone|contacto|matricula)\b")
_UTF8_SPAN = 8 * 2**20


def encoding_of(head: bytes, *, whole: bool) -> str:
    """The encoding of a text file: by its mark, else UTF-8 when it is valid, else Windows-1252."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if head.startswith(mark):
            return name
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as reason:
        if not whole and reason.start > len(head) - 4:  # the cut fell inside a letter
            return "utf-8"
        return "windows-1252" if _bad_utf8(head) > _good_utf8(head) else "utf-8"
    return "utf-8"


def _bad_utf8(head: bytes) -> int:
    return head[:_UTF8_SPAN].decode("utf-8", errors="replace").count("�")


def _good_utf8(head: bytes) -> int:
    """Letters that only make sense as UTF-8 ("ã" is 0xC3 0xA3): a few bad bytes among many of these are damage, not an encoding."""
    return len(re.findall(rb"\xc3[\x80-\xbf]", head[:_UTF8_SPAN]))


def delimiter_of(text: str) -> str:
    """The delimiter whose fields come out in the most even number, and earliest: decimal commas split the rows but not the header."""
    found: list[tuple[bool, int, float, str]] = []
    for candidate in DELIMITERS:
        widths = [len(row) for row in csv.reader(io.StringIO(text), delimiter=candidate) if row]
        wide = {width: times for width, times in Counter(widths).items() if width > 1}
        if not wide:
            continue
        width, times = max(wide.items(), key=lambda item: item[0] * item[1])
        share = times / len(widths)
        found.append((share < EVEN, widths.index(width) if share >= EVEN else 0, -share * min(width, 30) ** 0.5, candidate))
    return min(found, default=(True, 0, 0.0, ","))[3]


def looks_like_value(text: str | None) -> bool:
    """Whether a cell holds a figure or a date rather than a name."""
    return bool(text) and bool(re.match(r"^[+\-]?[\d., %€\u00a0\u202f]*\d[\d., %€\u00a0\u202f]*$|^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", text or ""))


def header_row_of(rows: Sequence[Sequence[str | None]]) -> int:
    """The number (1 is the first) of the row with the names, 0 when the table begins without one.

    The header is the first row nearly as wide as the table below it, whose cells are words and differ.
    """
    widths = [sum(1 for cell in row if cell) for row in rows]
    if not any(widths):
        return 0
    typical = int(np.median([width for width in widths if width]))
    for index, row in enumerate(rows[:40]):
        filled = [cell for cell in row if cell]
        if len(filled) < max(1, round(typical * 0.7)) or (typical > 1 and len(filled) == 1):
            continue
        words = sum(1 for cell in filled if not looks_like_value(cell))
        if words >= 0.8 * len(filled) and len(set(filled)) >= 0.8 * len(filled):
            return 0 if _like_the_rest(row, rows[index + 1 : index + 30]) else index + 1
        return 0
    return 0


def _like_the_rest(row: Sequence[str | None], below: Sequence[Sequence[str | None]]) -> bool:
    """Whether a row of words looks like one of the data: a text of it is said again below, in its own column."""
    if not below:
        return False
    return any(cell and any(position < len(other) and other[position] == cell for other in below) for position, cell in enumerate(row))


def column_names(rows: Sequence[Sequence[str | None]], header_row: int, width: int) -> tuple[str, ...]:
    """A name for each column, each once; names over merged cells stand before those under them; blanks are counted."""
    names = list(rows[header_row - 1]) + [None] * width if 0 < header_row <= len(rows) else [None] * width
    if header_row > 1 and _needs_upper(names[:width]):
        above = _filled_right(list(rows[header_row - 2]) + [None] * width, width)
        names = [" ".join(part for part in (up, name) if part) if up != name else name for up, name in zip(above, names, strict=False)]
    made: list[str] = []
    for position in range(width):
        name = re.sub(r"\s+", " ", (names[position] or "").strip()) or f"coluna {position + 1}"
        base, again = name, 2
        while name in made:
            name, again = f"{base} ({again})", again + 1
        made.append(name)
    return tuple(made)


def _needs_upper(names: Sequence[str | None]) -> bool:
    filled = [name for name in names if name]
    return len(set(filled)) < len(filled) or len(filled) < len(names)


def _filled_right(row: Sequence[str | None], width: int) -> list[str | None]:
    if sum(1 for cell in row if cell) < 2:  # a title, not a second header
        return [None] * width
    result: list[str | None] = []
    last: str | None = None
    for cell in row[:width]:
        last = cell or last
        result.append(last)
    return result


def shape_of(name: str, column: pa.Array, decimal_hint: str) -> ColumnShape:
    """What a column of text looks like, from its first rows."""
    filled = column.drop_null()
    if not len(filled):
        return ColumnShape(name, CellType.TEXT, filled=0.0)
    missing = _sentinels(filled)
    values = cells.without(column, missing).drop_null()
    kind, decimal, day_first = _type(name, values, decimal_hint)
    distinct = len(pc.unique(values))
    examples = tuple(pc.unique(values)[:5].to_pylist())
    return ColumnShape(name, kind, decimal, day_first, len(filled) / len(column), distinct, distinct == len(column), missing, examples)


def _sentinels(filled: pa.Array) -> tuple[str, ...]:
    """Texts such as -99.0 that stand far below every other value: they mean "no value"."""
    present = [text for text in pc.unique(filled).to_pylist() if text in SENTINELS]
    if not present:
        return ()
    rest = cells.without(filled, tuple(present)).drop_null()
    values, bad = cells.numbers(rest, "," if pc.any(pc.match_substring(rest, ",")).as_py() else ".")
    if bad.mean() > 0.1 if len(rest) else False:
        return ()
    lowest = pc.min(values).as_py()
    return tuple(present) if lowest is None or lowest > -50 else ()


def _type(name: str, values: pa.Array, decimal_hint: str) -> tuple[CellType, str, bool]:
    if not len(values):
        return CellType.TEXT, decimal_hint, True
    tolerated = 0.02 if len(values) >= 50 else 0.2 if len(values) >= 5 else 0.0
    if re.search(r"[\[(][^\])]{1,12}[\])]\s*$", name):  # a header that names a unit speaks of figures
        tolerated = max(tolerated, 0.4)
    zeros = pc.any(pc.match_substring_regex(values, r"^0\d+$")).as_py()
    day_first = not _month_first(values)
    _utc, unread, unreal = cells.instants(values, ZoneInfo("UTC"), day_first=day_first)
    dated = _dated(name, values)
    if dated and (unread | unreal).mean() <= max(tolerated, 0.3) and unread.mean() <= tolerated:
        timed = pc.any(pc.match_substring_regex(values, r"\d[T ,]+\d{1,2}[:h]\d{2}")).as_py()
        return (CellType.INSTANT if timed else CellType.DATE), decimal_hint, day_first
    if zeros or CODE_NAMES.search(normalise(name).replace("_", " ")):
        return CellType.TEXT, decimal_hint, True
    decimal = decimal_of(values, decimal_hint)
    _numbers, bad = cells.numbers(values, decimal)
    if bad.mean() <= tolerated:
        _whole, fraction = cells.integers(values, decimal)
        return (CellType.INTEGER if fraction.mean() <= tolerated else CellType.NUMBER), decimal, True
    _yes, odd = cells.booleans(values)
    if not odd.any() and len(pc.unique(pc.utf8_lower(values))) == 2:
        return CellType.BOOLEAN, decimal_hint, True
    return CellType.TEXT, decimal_hint, True


def _dated(name: str, values: pa.Array) -> bool:
    """Whether texts may be dates: with separators always; eight digits only where they can be and the column does not say otherwise."""
    if pc.mean(pc.cast(pc.match_substring_regex(values, r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"), pa.float64())).as_py() > 0.5:
        return True
    packed = pc.mean(pc.cast(pc.match_substring_regex(values, r"^(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"), pa.float64())).as_py()
    named = re.search(r"\b(data|date|dia|day|datetime|datahora)\b", normalise(name).replace("_", " "))
    return bool(packed > (0.9 if named else 0.99))


def _month_first(values: pa.Array) -> bool:
    """Dates such as 12/31/2025 are month first; a tie is day first."""
    found = pc.extract_regex(values, r"^(?P<a>\d{1,2})[/.\-](?P<b>\d{1,2})[/.\-]\d{2,4}").drop_null()
    if not len(found):
        return False
    first, second = (pc.cast(pc.struct_field(found, name), pa.int64()) for name in "ab")
    return bool(pc.any(pc.greater(second, 12)).as_py()) and not bool(pc.any(pc.greater(first, 12)).as_py())


def decimal_of(values: pa.Array, hint: str) -> str:
    """The decimal sign of a column: "," or "."; `hint` (that of the file) decides where both would do."""
    comma = pc.any(pc.match_substring_regex(values, r"^[+-]?[\d. \x{00a0}\x{202f}]*,\d+$")).as_py()
    point = pc.any(pc.match_substring_regex(values, r"^[+-]?[\d, \x{00a0}\x{202f}]*\.\d+([eE][+-]?\d+)?$")).as_py()
    if comma and not point:
        thousands = pc.all(pc.match_substring_regex(values, r"^[+-]?\d{1,3}(,\d{3})*$")).as_py()
        return "." if thousands and hint == "." else ","
    if point and not comma:
        thousands = pc.all(pc.match_substring_regex(values, r"^[+-]?\d{1,3}(\.\d{3})*$")).as_py()
        return "," if thousands and hint == "," else "."
    if comma and point:
        last_comma = pc.any(pc.match_substring_regex(values, r"\.\d{3},\d+$")).as_py()
        return "," if last_comma else "."
    return hint


def decimal_hint_of(delimiter: str, columns: Sequence[pa.Array]) -> str:
    """The decimal sign of a whole file: the one that its clear figures use; “;” leans to the comma."""
    comma = point = 0
    for column in columns:
        values = column.drop_null()
        if len(values):
            comma += pc.sum(pc.cast(pc.match_substring_regex(values, r"^[+-]?\d+,(\d{1,2}|\d{4,})$"), pa.int64())).as_py() or 0
            point += pc.sum(pc.cast(pc.match_substring_regex(values, r"^[+-]?\d+\.(\d{1,2}|\d{4,})$"), pa.int64())).as_py() or 0
    if comma == point:
        return "," if delimiter == ";" else "."
    return "," if comma > point else "."


def left_out(columns: Sequence[pa.Array]) -> np.ndarray[Any, Any]:
    """Which rows are no rows of the table: blank ones, totals and footnotes."""
    length = len(columns[0])
    blank = np.ones(length, bool)
    filled = np.zeros(length, int)
    for column in columns:
        valid = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), bool)
        blank &= ~valid
        filled += valid
    out = blank
    for column in columns[:3]:
        if pa.types.is_string(column.type):
            out |= _matches(column, TOTAL)
            if len(columns) > 2:
                out |= _matches(column, FOOTNOTE) & (filled <= 1)
    return out


def _matches(column: pa.Array, pattern: str) -> np.ndarray[Any, Any]:
    return np.asarray(pc.fill_null(pc.match_substring_regex(column, pattern), False).to_numpy(zero_copy_only=False), bool)
