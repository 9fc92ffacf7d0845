"""Blocks of a CSV, a Parquet or an Arrow file, or of an Arrow table, and what their columns mean."""

from __future__ import annotations

import csv as text
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv, parquet

from malha.ingest.bulk import lines
from malha.ingest.bulk.contracts import Block, Measure, Shape, UnreadableHistory
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.sources.base.contracts import Refused

type Numbers = npt.NDArray[np.int64]

#: what is looked at together: it stays in the processor's own memory, and the same memory serves the next
BLOCK_ROWS = 131_072
BLOCK_BYTES = 4_000_000  # the reader of text is some blocks ahead: with twice as much a load holds 100 MB more, and is no faster
ENTITY = ("id", "uri", "entity", "entityId", "entidade")
INSTANT = ("observedAt", "observed_at", "time", "instante", "dateObserved")
TYPE = ("type", "tipo")
ATTRIBUTE = ("attribute", "atributo")
VALUE = ("value", "num", "valor")
UNIT = ("unit", "unitCode", "unidade")
#: texts are read as bytes: one that is not UTF-8 is held back alone
_REPEATED = pa.dictionary(pa.int32(), pa.binary())
_UNREADABLE = (pa.ArrowException, OSError, EOFError)
_ZIP = b"PK\x03\x04"
#: of a line that does not fit, so many letters are kept
_SHOWN = 1_000


def shape_of(names: Sequence[str]) -> Shape:
    """What the columns mean, by their names. Raises UnreadableHistory and says which are missing, or there twice."""
    entity, instant, attribute = _one(names, ENTITY), _one(names, INSTANT), _one(names, ATTRIBUTE)
    value = _one(names, VALUE) if attribute else ""
    if not entity or not instant or (attribute and not value):
        raise UnreadableHistory(
            msg("Faltam colunas: a entidade ({entity}), o instante ({instant}) e os valores: uma coluna por atributo, ou {attribute} e {value}."),
            entity=ENTITY[0], instant=INSTANT[0], attribute=ATTRIBUTE[0], value=VALUE[0],
        )  # fmt: skip
    shape = Shape(entity, instant, _one(names, TYPE), attribute, value, _one(names, UNIT))
    known = {shape.entity, shape.instant, shape.type, shape.unit}
    attributes = () if attribute else tuple(Measure(name, name) for name in names if name and name not in known)
    if not attribute and not attributes:
        raise UnreadableHistory(msg("O ficheiro não tem nenhuma coluna de valores."))
    found = Shape(entity, instant, shape.type, attribute, value, shape.unit if attribute else "", attributes)
    see_once(names, found)
    return found


def see_once(names: Sequence[str], shape: Shape) -> None:
    """Raises UnreadableHistory where a column that is read is there twice, or not at all."""
    count = Counter(names)
    if twice := [name for name in shape.columns if count[name] > 1]:
        raise UnreadableHistory(msg("A coluna “{column}” aparece mais de uma vez: dê um nome diferente a cada uma."), column=twice[0])
    if gone := [name for name in shape.columns if not count[name]]:
        raise UnreadableHistory(msg("O ficheiro não tem a coluna “{column}”."), column=gone[0])


def names_of(source: Path | pa.Table) -> list[str]:
    """The titles of the columns. Raises UnreadableHistory."""
    try:
        if isinstance(source, pa.Table):
            return list(source.column_names)
        if is_parquet(source):
            return list(parquet.read_schema(source).names)
        if is_arrow(source):
            with pa.OSFile(str(source)) as file:
                return list(_arrow(file).schema.names)
        _require_text(source)
        return titles(source)[0]
    except _UNREADABLE as reason:
        raise UnreadableHistory(msg("Não é possível ler o ficheiro: {reason}"), reason=str(reason)[:200]) from reason


def _require_text(source: Path) -> None:
    """Raises UnreadableHistory for a workbook, an archive, and whatever else is no text."""
    begin = lines.head(source, 4096)
    if begin.startswith(_ZIP):
        raise UnreadableHistory(msg("É um livro de Excel ou um ZIP. No Excel, guarde a folha como “CSV UTF-8”; de um ZIP, tire o ficheiro."))
    if begin.count(0) * 20 > len(begin) and lines.encoding_of(begin) != "utf-16":
        raise UnreadableHistory(msg("O ficheiro não é texto, nem Parquet, nem Arrow. Peça-o num destes formatos a quem o enviou."))


def is_parquet(source: Path) -> bool:
    """Whether the file says that it is Parquet."""
    with source.open("rb") as file:
        return file.read(4) == b"PAR1"


def is_arrow(source: Path) -> bool:
    """Whether the file is one of Arrow's own form, with its index or as a stream."""
    with source.open("rb") as file:
        begin = file.read(6)
    return begin == b"ARROW1" or begin[:4] == b"\xff\xff\xff\xff"


def blocks(source: Path | pa.Table, shape: Shape) -> Iterator[Block]:
    """The rows in blocks: the same blocks each time. Raises UnreadableHistory where the file breaks off."""
    row = 1
    try:
        for block in _blocks(source, shape):
            yield block
            row = block.first_row + block.rows
    except MalhaError:
        raise
    except _UNREADABLE as reason:
        raise UnreadableHistory(msg("O ficheiro não se lê depois da linha {row}: {reason}"), row=row, reason=str(reason)[:200]) from reason


def expected_rows(source: Path | pa.Table) -> int:
    """How many rows there will be; a guess for text, nothing (0) where it is not known before: a stream of Arrow, a file that turns out to be broken."""
    try:
        return _expected_rows(source)
    except (*_UNREADABLE, zlib.error):  # whoever reads it says where
        return 0


def _expected_rows(source: Path | pa.Table) -> int:
    if isinstance(source, pa.Table):
        return int(source.num_rows)
    if is_parquet(source):
        return int(parquet.read_metadata(source).num_rows)
    if is_arrow(source):
        with pa.OSFile(str(source)) as file:
            reader = _arrow(file)
            return int(reader.count_rows()) if isinstance(reader, pa.ipc.RecordBatchFileReader) else 0
    begin = lines.head(source)
    return round(lines.size_of_text(source) / max(1, len(begin)) * begin.count(b"\n"))


def _blocks(source: Path | pa.Table, shape: Shape) -> Iterator[Block]:
    if isinstance(source, pa.Table):
        for begin in range(0, source.num_rows, BLOCK_ROWS):
            yield Block(begin + 1, source.slice(begin, BLOCK_ROWS).select(shape.columns))
    elif is_parquet(source):
        yield from _parquet(source, shape)
    elif is_arrow(source):
        row = 1
        with pa.OSFile(str(source)) as file:  # mapped, what was read would stay
            for batch in arrow_batches(file):
                for begin in range(0, batch.num_rows, BLOCK_ROWS):
                    table = pa.Table.from_batches([batch.slice(begin, BLOCK_ROWS).select(shape.columns)])
                    yield Block(row, table)
                    row += table.num_rows
    else:
        yield from _csv(source, shape)


def _arrow(file: pa.NativeFile) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    try:
        return pa.ipc.open_file(file)
    except pa.ArrowInvalid:
        file.seek(0)
        return pa.ipc.open_stream(file)


def arrow_batches(file: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    """The batches of an Arrow file, with its index or as a stream."""
    yield from _batches(_arrow(file))


def _batches(reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
    else:
        yield from reader


def _parquet(source: Path, shape: Shape) -> Iterator[Block]:
    """A group of rows after the other, a little at a time; what of a group cannot be read is passed over and said."""
    repeated = [name for name in (shape.entity, shape.type, shape.attribute, shape.unit) if name]
    with parquet.ParquetFile(source, read_dictionary=repeated, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True) as file:
        row = 1
        for group in range(file.num_row_groups):
            end = row + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(BLOCK_ROWS, row_groups=[group], columns=shape.columns, use_threads=False):
                    yield Block(row, pa.Table.from_batches([batch]))
                    row += batch.num_rows
            except _UNREADABLE as reason:
                yield _broken(file, group, row, end, shape, reason)
            row = end


def _broken(file: parquet.ParquetFile, group: int, row: int, end: int, shape: Shape, reason: BaseException) -> Block:
    """Rows of a group that cannot be read, with the columns in which that is."""
    bad = [name for name in shape.columns if not _reads(file, group, name)]
    said = Refused(
        row, "unreadable", msg("As linhas até ao fim deste bloco do ficheiro não se leem: está estragado."), ", ".join(bad),
        msg("Peça outra cópia do ficheiro e carregue-a: o que já entrou não se repete."), {"linhas": f"{row} – {end - 1}", "erro": str(reason)[:200]},
    )  # fmt: skip
    return Block(row, pa.table({name: [] for name in shape.columns}), refused=(said,), lost=end - row)


def _reads(file: parquet.ParquetFile, group: int, column: str) -> bool:
    try:
        for _ in file.iter_batches(BLOCK_ROWS, row_groups=[group], columns=[column], use_threads=False):
            pass
    except _UNREADABLE:
        return False
    return True


def titles(source: Path) -> tuple[list[str], str, int, str]:
    """The titles of a text, what parts the columns, the lines up to the titles, and how the text is written. Excel may say first what parts them."""
    begin = lines.head(source)
    encoding = lines.encoding_of(begin)
    first = begin.decode(encoding, "replace").splitlines()[:2] or [""]
    told = first[0].strip().removeprefix("sep=") if first[0].startswith("sep=") and len(first) > 1 else ""
    line = first[1] if told else first[0]
    separator = told[:1] or _separator(line)
    return [name.strip() for name in next(text.reader([line], delimiter=separator), [])], separator, 2 if told else 1, encoding


def _csv(source: Path, shape: Shape) -> Iterator[Block]:
    names, separator, before, encoding = titles(source)
    ragged: list[csv.InvalidRow] = []  # those that were met so far and not said yet

    def set_aside(row: csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    repeated = {name: _REPEATED for name in (shape.entity, shape.type, shape.attribute, shape.unit) if name}
    with lines.Lines(source, encoding) as file:
        row = 1
        for batch in _opened(
            file,
            csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False, column_names=_apart(names), skip_rows=before),
            csv.ParseOptions(delimiter=separator, invalid_row_handler=set_aside),
            csv.ConvertOptions(
                column_types={name: repeated.get(name, pa.binary()) for name in shape.columns},
                include_columns=shape.columns, strings_can_be_null=True, null_values=["", "-"],
            ),
        ):  # fmt: skip
            numbers, count = _numbered(row, batch.num_rows, [one.number - before for one in ragged])
            refused = [_left_out(one, one.number - before, names, separator) for one in ragged[:count]]
            del ragged[:count]
            yield Block(row, pa.Table.from_batches([batch]), numbers, tuple(refused), comma=separator != ",")
            row += batch.num_rows + count
        rest = tuple(_left_out(one, one.number - before, names, separator) for one in ragged)
        if rest:
            yield Block(row, pa.table({name: pa.array([], pa.string()) for name in shape.columns}), refused=rest)


def _opened(file: lines.Lines, *options: object) -> Iterator[pa.RecordBatch]:
    try:
        reader = csv.open_csv(pa.PythonFile(file, mode="r"), *options)
    except pa.ArrowInvalid as reason:
        if str(reason).startswith("Empty CSV file"):  # titles, and nothing below
            return
        raise
    yield from reader


def _numbered(first: int, count: int, left_out: list[int]) -> tuple[Numbers | None, int]:
    """The numbers of so many rows from `first` on, some left out between, and how many those are; None where they follow each other."""
    many = 0
    while many < len(left_out) and left_out[many] < first + count + many:
        many += 1
    if not many:
        return None, 0
    there = np.ones(count + many, bool)
    there[np.array(left_out[:many]) - first] = False
    return np.flatnonzero(there) + first, many


def _left_out(row: csv.InvalidRow, number: int, names: list[str], separator: str) -> Refused:
    if row.text == lines.TOO_LONG:
        return Refused(number, "line-long", msg("A linha tem mais de 1 MB."), "", msg("Falta um fim de linha, ou umas aspas por fechar."))
    cells = next(text.reader([row.text[:_SHOWN]], delimiter=separator), [])
    more = {f"{len(names) + at + 1}.ª coluna": cell for at, cell in enumerate(cells[len(names) :])}
    said, mend = msg("A linha não tem tantas colunas como o cabeçalho."), msg("Acerte os separadores; um texto que os contenha vai entre aspas.")
    return Refused(number, "columns", said, names[min(len(cells), len(names)) - 1], mend, dict(zip(names, cells, strict=False)) | more)


def _apart(names: list[str]) -> list[str]:
    """Names that are not told apart belong to columns that are not read."""
    seen, found = set[str](), list[str]()
    for at, name in enumerate(names):
        found.append(f"{name}\x00{at}" if name in seen else name)
        seen.add(name)
    return found


def _separator(line: str) -> str:
    return max((",", ";", "\t", "|"), key=line.count)


def _one(names: Sequence[str], among: Sequence[str]) -> str:
    return next((name for name in among if name in names), "")
