"""CSV and its kin, read a block at a time: memory stays flat whatever the size, and reading goes on from any block."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from malha.kernel.text import msg, sentence
from malha.sources.base.contracts import Refused
from malha.sources.tabular import cells, rules
from malha.sources.tabular.contracts import Position, Reading, TextBatch, UnusableFile

BLOCK_BYTES = 4 * 2**20
#: a quote that stays open for this long was never meant to be closed
OPEN_QUOTE_BYTES = 64 * 2**20
DAMAGE = "�"
#: accented letters of UTF-8 read as Windows-1252: no word of ours has these pairs
MOJIBAKE = r"Ã[£¡¢§©ª\x{ad}³´µº‡ƒ‰]|Â[ºª]"


def blocks(path: Path, reading: Reading, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Whole rows in pieces of some megabytes, each with the byte offset after it."""
    quote = ord(reading.quote) if reading.quote else None
    with path.open("rb") as source:
        source.seek(offset)
        rest = b""
        while piece := source.read(BLOCK_BYTES):
            piece = rest + piece
            cut = _last_end(piece, quote)
            if cut == 0 and len(piece) > OPEN_QUOTE_BYTES:
                raise UnusableFile(msg("Há uma aspa que abre e nunca fecha depois do byte {offset}. Corrija o ficheiro e volte a carregá-lo."), offset=offset)
            if cut:
                offset += cut
                yield piece[:cut], offset
            rest = piece[cut:]
        if rest.strip(b"\r\n\x00 "):
            yield rest, offset + len(rest)


def _last_end(piece: bytes, quote: int | None) -> int:
    """The position after the last line end that stands outside quotes."""
    data = np.frombuffer(piece, np.uint8)
    ends = np.flatnonzero(data == 10)
    if not len(ends):
        return 0
    if quote is None:
        return int(ends[-1]) + 1
    opened = np.searchsorted(np.flatnonzero(data == quote), ends)
    outside = ends[opened % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0


def batches(path: Path, reading: Reading, start: Position, batch_rows: int) -> Iterator[TextBatch]:
    """The rows after `start`, cleaned, at most `batch_rows` at a time. `reading.encoding` is not UTF-16 (converted before)."""
    row = start.row
    first = row == 0
    if first:
        row = 1
    for block, offset in blocks(path, reading, start.offset):
        if first and reading.encoding == "utf-8-sig":
            text = _as_utf8(block.removeprefix(b"\xef\xbb\xbf"), reading.encoding)
        else:
            text = _as_utf8(block, reading.encoding)
        first = False
        table, refused, skipped = _parse(text, reading, row)
        total = table.num_rows + len(skipped)
        numbers = _numbers(row, total, skipped)
        yield from _cut(table, numbers, refused, reading, Position(offset, row + total), batch_rows)
        row += total


def _as_utf8(block: bytes, encoding: str) -> bytes:
    if encoding in {"utf-8", "utf-8-sig"}:
        try:
            block.decode("utf-8")
        except UnicodeDecodeError:
            return block.decode("utf-8", errors="replace").encode()
        return block
    return block.decode(encoding, errors="replace").encode()


def _parse(text: bytes, reading: Reading, row: int) -> tuple[pa.Table, list[Refused], set[int]]:
    """The rows of a block as a table of text, the rows whose number of cells is wrong, and the numbers of those that are not in the table.

    Titles and comments above the header seldom have its number of cells: they are not in the table, and not refused either.
    """
    names = [f"c{position}" for position in range(len(reading.columns))]
    odd: list[Refused] = []
    mended: list[tuple[int, list[str]]] = []

    def handle(invalid: pacsv.InvalidRow) -> str:
        number = row + (invalid.number or 1) - 1
        skipped.add(number)
        if not invalid.text.strip("\r\n \x00"):
            return "skip"
        found = next(csv.reader(io.StringIO(invalid.text), delimiter=reading.delimiter), [])
        if len(found) > len(names) and not any(cell.strip() for cell in found[len(names) :]):
            mended.append((number, found[: len(names)]))
        elif number > reading.header_row:
            odd.append(_odd_row(number, found, len(names)))
        return "skip"

    skipped: set[int] = set()
    table = pacsv.read_csv(
        pa.BufferReader(text),
        read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=max(len(text) + 1, 1024)),
        parse_options=pacsv.ParseOptions(
            delimiter=reading.delimiter, quote_char=reading.quote or False, newlines_in_values=bool(reading.quote),
            ignore_empty_lines=False, invalid_row_handler=handle,
        ),
        convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""], check_utf8=False),
    )  # fmt: skip
    for number, found in mended:
        odd.append(Refused(number, "", "", cells=dict(zip(names, found, strict=True))))
    return table, odd, skipped


def _odd_row(number: int, found: list[str], width: int) -> Refused:
    return Refused(
        number, "columns", sentence(msg("a linha tem {found} colunas e o cabeçalho tem {width}"), found=len(found), width=width),
        mend=msg("Veja se falta uma aspa, ou se o ficheiro está cortado."), cells={str(position): cell for position, cell in enumerate(found)},
    )  # fmt: skip


def _numbers(row: int, total: int, skipped: set[int]) -> np.ndarray[Any, Any]:
    numbers = np.arange(row, row + total)
    return numbers[~np.isin(numbers, list(skipped))] if skipped else numbers


def _cut(table: pa.Table, numbers: np.ndarray[Any, Any], odd: list[Refused], reading: Reading, after: Position, batch_rows: int) -> Iterator[TextBatch]:
    """Clean a block and hand it out in pieces; only the last piece moves the position to after the block."""
    mended = [item for item in odd if not item.code]
    refused = [item for item in odd if item.code]
    if mended:
        rows = pa.table({name: pa.array([item.cells[name] for item in mended], pa.string()) for name in table.column_names})
        table = pa.concat_tables([table, rows])
        numbers = np.concatenate([numbers[: table.num_rows - len(mended)], [item.row_number for item in mended]])
    numbers = numbers[: table.num_rows]
    body = numbers > reading.header_row
    columns = [cells.clean(column.combine_chunks()) for column in table.columns]
    out = rules.left_out(columns)
    damaged = _damaged(columns, mixed=not reading.encoding.startswith("utf"))
    refused += [
        Refused(int(numbers[i]), "encoding", msg("há letras que não se conseguem ler"), mend=msg("Guarde o ficheiro em UTF-8 e volte a carregá-lo."),
                cells={name: column[int(i)].as_py() for name, column in zip(reading.columns, columns, strict=True)})
        for i in np.flatnonzero(damaged & body & ~out)
    ]  # fmt: skip
    keep = np.flatnonzero(body & ~out & ~damaged)
    left = int((body & out).sum())
    if not len(keep):
        yield TextBatch(dict(zip(reading.columns, (c.slice(0, 0) for c in columns), strict=True)), numbers[:0], after, refused, left)
        return
    kept = [column if len(keep) == len(column) else column.take(pa.array(keep)) for column in columns]
    numbers = numbers[keep]
    for begin in range(0, len(keep), batch_rows):
        last = begin + batch_rows >= len(keep)
        named = {name: column.slice(begin, batch_rows) for name, column in zip(reading.columns, kept, strict=True)}
        yield TextBatch(named, numbers[begin : begin + batch_rows], after if last else Position(-1, 0), refused if last else [], left if last else 0)


def _damaged(columns: list[Any], *, mixed: bool) -> np.ndarray[Any, Any]:
    """Rows with letters that are lost; where the encoding is not UTF-8, those too that were written in it (`mixed`)."""
    import pyarrow.compute as pc  # noqa: PLC0415 -- keeps the top of this module for reading

    found = np.zeros(len(columns[0]) if columns else 0, bool)
    for column in columns:
        hit = pc.match_substring(column, DAMAGE)
        if mixed and pc.any(pc.or_(pc.match_substring(column, "Ã"), pc.match_substring(column, "Â"))).as_py():
            hit = pc.or_(hit, pc.match_substring_regex(column, MOJIBAKE))
        if pc.any(hit).as_py():
            found |= np.asarray(pc.fill_null(hit, False).to_numpy(zero_copy_only=False), bool)
    return found


def head_rows(path: Path, encoding: str, delimiter: str, quote: str, limit: int = 400) -> list[list[str]]:
    """The first rows as lists of cells, for finding the header."""
    with path.open("rb") as source:
        head = source.read(2**20)
    text = head.decode(encoding, errors="replace")
    if quote:
        return [row for row, _ in zip(csv.reader(io.StringIO(text), delimiter=delimiter, quotechar=quote), range(limit), strict=False)]
    return [line.split(delimiter) for line in text.splitlines()[:limit]]
