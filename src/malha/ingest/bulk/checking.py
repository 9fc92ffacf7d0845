"""A piece against the tenant's entities and data models, column by column: what may enter, and why the rest may not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from malha.context.store.contracts import ObservationKind
from malha.ingest.bulk.contracts import Checked, Piece, Shape
from malha.kernel.text import msg
from malha.sources.base.contracts import Refused
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import Severity, ValueType

type Rows = npt.NDArray[np.int64]

INSTANT = pa.timestamp("us", "UTC")
#: nothing was observed before, and nothing more than a day from now: a clock that jumped says so
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
_NUMBERS = frozenset({ValueType.NUMBER, ValueType.INTEGER})
#: an instant in text without its zone, or that is none
_ZONED = r"(Z|[+-][0-9]{2}:?[0-9]{2})$"


@dataclass(slots=True)
class Entities:
    """The tenant's entities that were asked for, by URI: (number, type)."""

    conn: psycopg.Connection[Any]
    tenant_id: int
    known: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def look_up(self, uris: list[str]) -> None:
        """Ask for those that were never asked for."""
        new = [uri for uri in uris if uri not in self.asked]
        if new:
            query = "SELECT e.uri, e.id, t.name FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE e.tenant_id = %s AND e.uri = ANY(%s)"
            self.known.update({uri: (id_, type_) for uri, id_, type_ in self.conn.execute(query, [self.tenant_id, new]).fetchall()})
            self.asked.update(new)


class _Refusals:
    """Rows that may not enter: the first reason of each is kept."""

    def __init__(self, piece: Piece) -> None:
        self.piece, self.found, self.bad = piece, list[Refused](), np.zeros(piece.table.num_rows, dtype=bool)

    def add(self, rows: Rows, code: str, path: str, message: str, mend: str = "") -> None:
        fresh = rows[~self.bad[rows]]
        self.bad[fresh] = True
        cells = self.piece.table.take(pa.array(fresh)).to_pylist() if len(fresh) else []
        for row, came in zip(fresh.tolist(), cells, strict=True):
            shown = {name: value if isinstance(value, (int, float, str)) or value is None else str(value) for name, value in came.items()}
            self.found.append(Refused(self.piece.first_row + row, code, message, path, mend, shown))


def check(piece: Piece, shape: Shape, entities: Entities) -> Checked:
    """The rows of a piece that hold, as observations, and those that do not."""
    table, refusals = piece.table, _Refusals(piece)
    ids, types = _entities(table, shape, entities, refusals)
    instants = _instants(table.column(shape.instant), refusals, shape.instant)
    numbers = np.arange(piece.first_row, piece.first_row + table.num_rows)
    parts = []
    for attribute, unit, rows, values in _attributes(table, shape):
        for type_, of_type in _by_type(types, rows):
            taken = rows if len(of_type) == len(rows) else of_type
            some = values if len(taken) == len(rows) else values.take(pa.array(np.searchsorted(rows, taken)))
            num, txt, kind = _values(some, type_, attribute, unit, taken, entities.tenant_id, refusals)
            parts.append(_Part(type_, attribute, unit, taken, num, txt, kind))
    return Checked(_put_together(parts, ids, instants, numbers, refusals.bad), tuple(refusals.found))


@dataclass(frozen=True, slots=True)
class _Part:
    type: str
    attribute: str
    unit: str
    rows: Rows
    num: pa.Array
    txt: pa.Array
    kind: int


def _entities(table: pa.Table, shape: Shape, entities: Entities, refusals: _Refusals) -> tuple[Rows, tuple[list[str], Rows]]:
    """The number of each row's entity (0: none), and its type as a place in a list of names."""
    column = _dictionary(table.column(shape.entity))
    names = column.dictionary.to_pylist()
    entities.look_up(names)
    known = [entities.known.get(name) for name in names] + [None]
    codes = column.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    ids = np.array([found[0] if found else 0 for found in known], dtype=np.int64)[codes]
    type_names = sorted({found[1] for found in known if found})
    type_codes = np.array([type_names.index(found[1]) if found else -1 for found in known], dtype=np.int64)[codes]
    refusals.add(
        np.flatnonzero(ids == 0),
        "entity",
        shape.entity,
        msg("Não há nenhuma entidade com este identificador."),
        msg("Crie-a primeiro, ou corrija o identificador."),
    )
    if shape.type:
        given = _dictionary(table.column(shape.type))
        meant = np.array([type_names.index(name) if name in type_names else -2 for name in given.dictionary.to_pylist()] + [-1], dtype=np.int64)
        said = meant[given.indices.fill_null(len(given.dictionary)).to_numpy(zero_copy_only=False)]
        refusals.add(
            np.flatnonzero((said != -1) & (said != type_codes)),
            "type",
            shape.type,
            msg("A entidade é de outro tipo."),
            msg("Corrija o tipo, ou deixe-o vazio."),
        )
    return ids, ([*type_names, ""], type_codes)


def _instants(column: pa.ChunkedArray, refusals: _Refusals, name: str) -> pa.Array:
    array = column.combine_chunks()
    try:
        zoneless = pa.types.is_timestamp(array.type) and array.type.tz is None
        instants = pa.nulls(len(array), INSTANT) if zoneless else array.cast(INSTANT)
    except pa.ArrowInvalid:
        instants = _read_instants(array)
    refusals.add(
        np.flatnonzero(pc.is_null(instants).to_numpy(zero_copy_only=False)), "instant", name,
        msg("Não é um instante com a sua hora legal, como 2026-11-23T02:00:00Z."), msg("Escreva data, hora e zona."),
    )  # fmt: skip
    far = pc.or_(pc.less(instants, pa.scalar(EARLIEST, INSTANT)), pc.greater(instants, pa.scalar(datetime.now(UTC) + AHEAD, INSTANT)))
    refusals.add(
        np.flatnonzero(far.fill_null(False).to_numpy(zero_copy_only=False)), "instant-far", name, msg("O instante é de antes de 1900 ou do futuro."),
        msg("Acerte o relógio do equipamento ou corrija a data."),
    )  # fmt: skip
    return instants


def _read_instants(array: pa.Array) -> pa.Array:
    """One by one where the column does not read whole: those without a zone, or that are none, are null."""
    texts = array.cast(pa.string())
    zoned = pc.match_substring_regex(texts, _ZONED).fill_null(False).to_pylist()
    return pa.array([_instant(text) if has_zone else None for text, has_zone in zip(texts.to_pylist(), zoned, strict=True)], INSTANT)


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _attributes(table: pa.Table, shape: Shape) -> Iterator[tuple[str, str, Rows, pa.Array]]:
    """(attribute, unit, rows, values) of a piece, long or wide; rows without a value are none."""
    if not shape.attribute:
        for name in shape.attributes:
            yield name, "", *_present(table.column(name).combine_chunks(), np.arange(table.num_rows))
        return
    names = _dictionary(table.column(shape.attribute))
    values = table.column(shape.value).combine_chunks()
    codes = names.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    units, unit_names = np.zeros_like(codes), [""]
    if shape.unit:
        said = _dictionary(table.column(shape.unit))
        unit_names = [*said.dictionary.to_pylist(), ""]
        units = said.indices.fill_null(len(unit_names) - 1).to_numpy(zero_copy_only=False).astype(np.int64)
    together = codes * len(unit_names) + units
    for both in _said(together[codes >= 0] if names.null_count else together):
        rows = np.arange(len(codes)) if (together == both).all() else np.flatnonzero(together == both)
        some = values if len(rows) == len(codes) else values.take(pa.array(rows))
        yield names.dictionary[int(both) // len(unit_names)].as_py(), unit_names[int(both) % len(unit_names)], *_present(some, rows)


def _said(codes: Rows) -> Rows:
    """The small numbers that are there, in order: counted in their places, in a tenth of the time of looking each up."""
    found: Rows = np.flatnonzero(np.bincount(codes))
    return found


def _present(values: pa.Array, rows: Rows) -> tuple[Rows, pa.Array]:
    if not values.null_count:
        return rows, values
    there = pc.is_valid(values)
    return rows[there.to_numpy(zero_copy_only=False)], values.filter(there)


def _by_type(types: tuple[list[str], Rows], rows: Rows) -> Iterator[tuple[str, Rows]]:
    names, codes = types
    mine = codes[rows]
    for code in _said(mine + 1) - 1:  # one without a type is -1
        yield str(names[code]), rows if (mine == code).all() else rows[mine == code]


def _values(values: pa.Array, type_: str, attribute: str, unit: str, rows: Rows, tenant_id: int, refusals: _Refusals) -> tuple[pa.Array, pa.Array, int]:
    """Numbers, texts and what they are, after the model's own checks."""
    model = models.find(type_, tenant_id) if type_ else None
    prop = model.find(attribute) if model else None
    nothing = pa.nulls(len(values))
    if prop is None or prop.type in _NUMBERS:
        values = _numbers(values, certain=prop is not None, refuse=lambda bad: refusals.add(rows[bad], "number", attribute, msg("Não é um número.")))
    elif prop.type is ValueType.BOOLEAN and pa.types.is_string(values.type):
        values = pc.cast(pc.utf8_lower(values), pa.bool_(), safe=False) if _reads_as_boolean(values) else values
    if model is not None and prop is not None:
        found = models.validate_columns(model, {attribute: values}, row_count=len(values), units={attribute: unit} if unit else None)
        for group in found.groups:
            if group.finding.severity is Severity.ERROR and group.finding.path.split(".")[0] == attribute:
                said = group.finding
                refusals.add(rows[np.asarray(group.rows, dtype=np.int64)], said.code, said.path, *models.kept_words(said))
    if pa.types.is_boolean(values.type):
        return values.cast(pa.float64()), nothing.cast(pa.string()), ObservationKind.BOOLEAN
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_decimal(values.type):
        return values.cast(pa.float64()), nothing.cast(pa.string()), ObservationKind.NUMBER
    kind = {ValueType.URI: ObservationKind.URI, ValueType.INSTANT: ObservationKind.INSTANT}.get(prop.type if prop else ValueType.TEXT, ObservationKind.TEXT)
    return nothing.cast(pa.float64()), values.cast(pa.string()), kind


def _numbers(values: pa.Array, *, certain: bool, refuse: Callable[[Rows], None]) -> pa.Array:
    """Texts as numbers; where they are certain to be, those that are none are refused; where not, all stay texts."""
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values
    try:
        return values.cast(pa.float64())
    except pa.ArrowInvalid:
        if not certain:
            return values
    reads = pc.match_substring_regex(values, r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$")
    refuse(np.flatnonzero(~reads.to_numpy(zero_copy_only=False)))
    return pc.if_else(reads, values, pa.scalar(None, values.type)).cast(pa.float64())


def _reads_as_boolean(values: pa.Array) -> bool:
    return set(pc.unique(pc.utf8_lower(values)).to_pylist()) <= {"true", "false", "1", "0"}


def _dictionary(column: pa.ChunkedArray) -> pa.DictionaryArray:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    return array if isinstance(array, pa.DictionaryArray) else array.dictionary_encode()


def _put_together(parts: list[_Part], ids: Rows, instants: pa.Array, numbers: Rows, bad: npt.NDArray[np.bool_]) -> pa.Table:
    tables = []
    for part in parts:
        keep = ~bad[part.rows] & pc.or_(pc.is_valid(part.num), pc.is_valid(part.txt)).to_numpy(zero_copy_only=False)
        rows = part.rows[keep]
        whole = bool(keep.all())
        count = len(rows)
        tables.append(
            pa.table(
                {
                    "entity_id": pa.array(ids[rows]),
                    "type": _same(part.type, count),
                    "attribute": _same(part.attribute, count),
                    "observed_at": instants if whole and count == len(instants) else instants.take(pa.array(rows)),
                    "num": part.num if whole else part.num.filter(pa.array(keep)),
                    "txt": part.txt if whole else part.txt.filter(pa.array(keep)),
                    "unit": _same(part.unit or None, count),
                    "row_no": pa.array(numbers[rows]),
                    "kind": pa.array(np.full(count, int(part.kind), dtype=np.int16)),
                }
            )
        )
    return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries() if tables else pa.table({})


def _same(value: str | None, count: int) -> pa.DictionaryArray:
    if value is None:  # a null in the dictionary itself could not be put together with others
        return pa.DictionaryArray.from_arrays(pa.nulls(count, pa.int16()), pa.array([], pa.string()))
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int16)), pa.array([value], pa.string()))
