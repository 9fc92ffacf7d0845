"""Pieces of a CSV, a Parquet file or an Arrow table, and what their columns mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from malha.ingest.bulk.contracts import Piece, Shape, UnreadableHistory
from malha.kernel.text import msg

PIECE_ROWS = 1_000_000
PIECE_BYTES = 48_000_000
ENTITY = ("id", "uri", "entity", "entityId", "entidade")
INSTANT = ("observedAt", "observed_at", "time", "instante", "dateObserved")
TYPE = ("type", "tipo")
ATTRIBUTE = ("attribute", "atributo")
VALUE = ("value", "num", "valor")
UNIT = ("unit", "unitCode", "unidade")
_REPEATED = pa.dictionary(pa.int32(), pa.string())


def shape_of(names: Sequence[str]) -> Shape:
    """What the columns mean, by their names. Raises UnreadableHistory and says which are missing."""
    entity, instant, attribute = _one(names, ENTITY), _one(names, INSTANT), _one(names, ATTRIBUTE)
    value = _one(names, VALUE) if attribute else ""
    if not entity or not instant or (attribute and not value):
        raise UnreadableHistory(
            msg("Faltam colunas: a entidade ({entity}), o instante ({instant}) e os valores: uma coluna por atributo, ou {attribute} e {value}."),
            entity=ENTITY[0], instant=INSTANT[0], attribute=ATTRIBUTE[0], value=VALUE[0],
        )  # fmt: skip
    shape = Shape(entity, instant, _one(names, TYPE), attribute, value, _one(names, UNIT))
    known = {shape.entity, shape.instant, shape.type, shape.unit}
    attributes = () if attribute else tuple(name for name in names if name not in known)
    if not attribute and not attributes:
        raise UnreadableHistory(msg("O ficheiro não tem nenhuma coluna de valores."))
    return Shape(entity, instant, shape.type, attribute, value, shape.unit if attribute else "", attributes)


def names_of(source: Path | pa.Table) -> list[str]:
    """The titles of the columns. Raises UnreadableHistory."""
    try:
        if isinstance(source, pa.Table):
            return list(source.column_names)
        if is_parquet(source):
            return list(parquet.read_schema(source).names)
        with source.open(encoding="utf-8-sig") as file:
            line = file.readline()
        return [name.strip().strip('"') for name in line.rstrip("\r\n").split(_separator(line))]
    except (OSError, pa.ArrowInvalid, UnicodeDecodeError) as reason:
        raise UnreadableHistory(msg("Não é possível ler “{name}”: {reason}"), name=getattr(source, "name", "Arrow"), reason=str(reason)[:200]) from reason


def is_parquet(source: Path) -> bool:
    """Whether the file says that it is Parquet."""
    with source.open("rb") as file:
        return file.read(4) == b"PAR1"


def pieces(source: Path | pa.Table, shape: Shape) -> Iterator[Piece]:
    """The rows in pieces: the same pieces each time. Raises UnreadableHistory where the file breaks off."""
    row, number = 1, 0
    try:
        for batch in _batches(source, shape):
            yield Piece(number, row, batch)
            row, number = row + batch.num_rows, number + 1
    except pa.ArrowInvalid as reason:
        raise UnreadableHistory(msg("O ficheiro não se lê depois da linha {row}: {reason}"), row=row, reason=str(reason)[:200]) from reason


def expected_rows(source: Path | pa.Table) -> int:
    """How many rows there will be; a guess for CSV."""
    if isinstance(source, pa.Table):
        return int(source.num_rows)
    if is_parquet(source):
        return int(parquet.read_metadata(source).num_rows)
    size = source.stat().st_size
    with source.open("rb") as file:
        head = file.read(1_000_000)
    return round(size / max(1, len(head)) * head.count(b"\n"))


def _batches(source: Path | pa.Table, shape: Shape) -> Iterator[pa.Table]:
    columns = [name for name in (shape.entity, shape.instant, shape.type, shape.attribute, shape.value, shape.unit, *shape.attributes) if name]
    if isinstance(source, pa.Table):
        for begin in range(0, source.num_rows, PIECE_ROWS):
            yield source.slice(begin, PIECE_ROWS).select(columns)
    elif is_parquet(source):
        file = parquet.ParquetFile(source, read_dictionary=[name for name in (shape.entity, shape.type, shape.attribute, shape.unit) if name])
        for batch in file.iter_batches(PIECE_ROWS, columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])
    else:
        yield from _csv(source, shape, columns)


def _csv(source: Path, shape: Shape, columns: list[str]) -> Iterator[pa.Table]:
    with source.open(encoding="utf-8-sig") as file:
        separator = _separator(file.readline())
    repeated = {name: _REPEATED for name in (shape.entity, shape.type, shape.attribute, shape.unit) if name}
    types = {name: repeated.get(name, pa.string()) for name in columns}
    reader = csv.open_csv(
        source,
        read_options=csv.ReadOptions(block_size=PIECE_BYTES, use_threads=False),
        parse_options=csv.ParseOptions(delimiter=separator),
        convert_options=csv.ConvertOptions(column_types=types, include_columns=columns, strings_can_be_null=True, null_values=["", "-"]),
    )
    for batch in reader:
        yield pa.Table.from_batches([batch])


def _separator(line: str) -> str:
    return max((",", ";", "\t", "|"), key=line.count)


def _one(names: Sequence[str], among: Sequence[str]) -> str:
    return next((name for name in among if name in names), "")
