"""A block against the tenant's entities and data models, column by column: what may enter, and why the rest may not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from malha.context.store.contracts import ObservationKind
from malha.ingest.bulk.contracts import Block, Checked, Clock, Shape
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
_NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
_COMMA = r"^\s*[+-]?[0-9]+,[0-9]+\s*$"
_NO_NUMBER = msg("Não é um número."), msg("Escreva só algarismos, sem unidade nem separador de milhares.")
#: of a cell that is refused, so many letters are kept
MOST_SHOWN = 1_000
#: an instant in text without its zone, or that is none
_ZONED = r"(Z|[+-][0-9]{2}:?[0-9]{2})$"
_PLAIN = pa.timestamp("us")
#: other ways of writing days, made those of ISO 8601; of an hour without minutes nothing is guessed
_HOUR = (r"[T ]([0-9]):", r" 0\1:")
_YEAR_FIRST = ((r"^([0-9]{4})[/.]([0-9]{2})[/.]([0-9]{2})", r"\1-\2-\3"), (r"^([0-9]{4})([0-9]{2})([0-9]{2})(T| |$)", r"\1-\2-\3\4"), _HOUR)
_DAY_FIRST = ((r"^([0-9])[/.-]", r"0\1/"), (r"^([0-9]{2})[/.-]([0-9])[/.-]", r"\1/0\2/"), (r"^([0-9]{2})[/.-]([0-9]{2})[/.-]([0-9]{4})", r"\3-\2-\1"), _HOUR)
_UNREAD = {
    Clock.ZONED: (
        msg("Não é um instante com a sua hora legal, como 2026-11-23T02:00:00Z."),
        msg("Escreva ano-mês-dia, hora e zona: sem ela, uma hora repete-se quando muda a hora."),
    ),
    Clock.YEAR_FIRST: (
        msg("Não é um instante que comece pelo ano, como 2026-11-23 02:00."),
        msg("Escreva ano-mês-dia e hora; um dia sem hora conta à meia-noite."),
    ),
    Clock.DAY_FIRST: (
        msg("Não é um instante que comece pelo dia, como 23/11/2026 02:00."),
        msg("Escreva dia/mês/ano e hora; um dia sem hora conta à meia-noite."),
    ),
}


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

    def __init__(self, block: Block) -> None:
        self.table, self.found, self.bad = block.table, list(block.refused), np.zeros(block.table.num_rows, dtype=bool)
        self.numbers = block.numbers if block.numbers is not None else np.arange(block.first_row, block.first_row + block.table.num_rows)

    def add(self, rows: Rows, code: str, path: str, message: str, mend: str = "") -> None:
        fresh = rows[~self.bad[rows]]
        self.bad[fresh] = True
        cells = self.table.take(pa.array(fresh)).to_pylist() if len(fresh) else []
        for number, came in zip(self.numbers[fresh].tolist(), cells, strict=True):
            self.found.append(Refused(number, code, message, path, mend, {name: _shown(value) for name, value in came.items()}))


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[:MOST_SHOWN] if isinstance(value, str) else value if isinstance(value, (int, float)) or value is None else str(value)[:MOST_SHOWN]


def check(block: Block, shape: Shape, entities: Entities) -> Checked:
    """The rows of a block that hold, as observations, and those that do not."""
    refusals = _Refusals(block)
    table = _read(block.table, refusals)
    ids, types = _entities(table, shape, entities, refusals)
    instants = _instants(table.column(shape.instant), refusals, shape)
    parts = []
    for attribute, unit, rows, values in _attributes(table, shape):
        for type_, of_type in _by_type(types, rows):
            taken = rows if len(of_type) == len(rows) else of_type
            some = values if len(taken) == len(rows) else values.take(pa.array(np.searchsorted(rows, taken)))
            judge = _Judge(type_, attribute, unit, entities.tenant_id, comma=block.comma)
            num, txt, kind = _values(some, judge, taken, refusals)
            parts.append(_Part(type_, attribute, unit, taken, num, txt, kind))
    return Checked(_put_together(parts, ids, instants, refusals.numbers, refusals.bad), tuple(refusals.found))


def _read(table: pa.Table, refusals: _Refusals) -> pa.Table:
    """Texts of a file, which come as bytes, as texts; rows in which one is not UTF-8 are refused."""
    for at, name in enumerate(table.column_names):
        column = table.column(name)
        if pa.types.is_dictionary(column.type) and pa.types.is_binary(column.type.value_type):
            coded = _dictionary(column)
            texts, bad = _texts(coded.dictionary)
            rows = np.flatnonzero(np.isin(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), bad)) if len(bad) else bad
            table = table.set_column(at, name, pa.DictionaryArray.from_arrays(coded.indices, texts))
        elif pa.types.is_binary(column.type):
            texts, rows = _texts(column.combine_chunks())
            table = table.set_column(at, name, texts)
        else:
            continue
        refusals.add(rows, "encoding", name, msg("Tem letras que não se leem."), msg("Grave o ficheiro em UTF-8."))
    return table


def _texts(given: pa.BinaryArray) -> tuple[pa.StringArray, Rows]:
    try:
        return given.cast(pa.string()), np.zeros(0, np.int64)
    except pa.ArrowInvalid:
        read = [(one if one is None else one.decode("utf-8", "replace")) for one in given.to_pylist()]
        bad = [at for at, (one, text) in enumerate(zip(given.to_pylist(), read, strict=True)) if text is not None and text.encode() != one]
        return pa.array(read, pa.string()), np.array(bad, np.int64)


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
    if shape.prefix:
        names = [name and f"{shape.prefix}{name}" for name in names]
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


def _instants(column: pa.ChunkedArray, refusals: _Refusals, shape: Shape) -> pa.Array:
    array, name = column.combine_chunks(), shape.instant
    instants = _zoned(array) if shape.clock is Clock.ZONED else _local(array, refusals, shape)
    said = _UNREAD[shape.clock]
    refusals.add(np.flatnonzero(pc.is_null(instants).to_numpy(zero_copy_only=False)), "instant", name, *said)
    far = pc.or_(pc.less(instants, pa.scalar(EARLIEST, INSTANT)), pc.greater(instants, pa.scalar(datetime.now(UTC) + AHEAD, INSTANT)))
    refusals.add(
        np.flatnonzero(far.fill_null(False).to_numpy(zero_copy_only=False)), "instant-far", name, msg("O instante é de antes de 1900 ou do futuro."),
        msg("Acerte o relógio do equipamento ou corrija a data."),
    )  # fmt: skip
    return instants


def _zoned(array: pa.Array) -> pa.Array:
    try:
        certain = pa.types.is_string(array.type) or (pa.types.is_timestamp(array.type) and array.type.tz is not None)
        return array.cast(INSTANT) if certain else pa.nulls(len(array), INSTANT)  # a number may count anything
    except pa.ArrowInvalid:  # one by one where the column does not read whole
        texts = array.cast(pa.string())
        zoned = pc.match_substring_regex(texts, _ZONED).fill_null(False).to_pylist()
        return pa.array([_instant(text) if has_zone else None for text, has_zone in zip(texts.to_pylist(), zoned, strict=True)], INSTANT)


def _local(array: pa.Array, refusals: _Refusals, shape: Shape) -> pa.Array:
    """Instants in the hour of the municipality. One of the hour that came twice, or never, when the clocks changed is refused: which was meant nobody knows."""
    if pa.types.is_timestamp(array.type) and array.type.tz is not None:
        return array.cast(INSTANT)
    if pa.types.is_string(array.type):
        plain = _plain(array, day_first=shape.clock is Clock.DAY_FIRST)
    else:
        plain = array.cast(_PLAIN) if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type) else pa.nulls(len(array), _PLAIN)
    first, second = (pc.assume_timezone(plain, shape.zone, ambiguous=one, nonexistent=one) for one in ("earliest", "latest"))
    refusals.add(
        np.flatnonzero(pc.not_equal(first, second).fill_null(False).to_numpy(zero_copy_only=False)), "instant-twice", shape.instant,
        msg("Nesta hora mudou a hora legal: ou veio duas vezes, ou não existiu."), msg("Escreva a hora com a sua zona, como 2026-10-25T01:30:00+01:00."),
    )  # fmt: skip
    return first.cast(INSTANT)


def _plain(texts: pa.StringArray, *, day_first: bool) -> pa.Array:
    """Instants as they are written, without any zone; null where they are none."""
    texts = pc.utf8_trim_whitespace(texts)
    for pattern, said in _DAY_FIRST if day_first else _YEAR_FIRST:
        texts = pc.replace_substring_regex(texts, pattern, said)
    try:
        return texts.cast(_PLAIN)
    except pa.ArrowInvalid:
        read = [_instant(text) for text in texts.to_pylist()]
        return pa.array([one if one is None or one.tzinfo is None else None for one in read], _PLAIN)


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _attributes(table: pa.Table, shape: Shape) -> Iterator[tuple[str, str, Rows, pa.Array]]:
    """(attribute, unit, rows, values) of a piece, long or wide; rows without a value are none."""
    if not shape.attribute:
        for one in shape.attributes:
            yield one.attribute, one.unit, *_present(table.column(one.column).combine_chunks(), np.arange(table.num_rows))
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


@dataclass(frozen=True, slots=True)
class _Judge:
    """By what values are held: their type, attribute, unit and tenant, and whether decimals may come after a comma."""

    type: str
    attribute: str
    unit: str
    tenant_id: int
    comma: bool


def _values(values: pa.Array, judge: _Judge, rows: Rows, refusals: _Refusals) -> tuple[pa.Array, pa.Array, int]:
    """Numbers, texts and what the texts are, after the model's own checks. Where no model says what they are, what reads as a number is one."""
    model = models.find(judge.type, judge.tenant_id) if judge.type else None
    prop = model.find(judge.attribute) if model else None
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        if prop is None or prop.type in _NUMBERS:
            values, texts = _numbers(values, comma=judge.comma)
            if prop is None and texts.null_count < len(texts):
                return values, texts, ObservationKind.TEXT
            refusals.add(rows[np.flatnonzero(pc.is_valid(texts).to_numpy(zero_copy_only=False))], "number", judge.attribute, *_NO_NUMBER)
        elif prop.type is ValueType.BOOLEAN and _reads_as_boolean(values):
            values = pc.cast(pc.utf8_lower(values), pa.bool_(), safe=False)
    if model is not None and prop is not None:
        found = models.validate_columns(model, {judge.attribute: values}, row_count=len(values), units={judge.attribute: judge.unit} if judge.unit else None)
        for group in found.groups:
            if group.finding.severity is Severity.ERROR and group.finding.path.split(".")[0] == judge.attribute:
                said = group.finding
                refusals.add(rows[np.asarray(group.rows, dtype=np.int64)], said.code, said.path, *models.kept_words(said))
    if pa.types.is_boolean(values.type):
        return values.cast(pa.float64()), pa.nulls(len(values), pa.string()), ObservationKind.BOOLEAN
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_decimal(values.type):
        return values.cast(pa.float64()), pa.nulls(len(values), pa.string()), ObservationKind.NUMBER
    kind = {ValueType.URI: ObservationKind.URI, ValueType.INSTANT: ObservationKind.INSTANT}.get(prop.type if prop else ValueType.TEXT, ObservationKind.TEXT)
    return pa.nulls(len(values), pa.float64()), values.cast(pa.string()), kind


def _numbers(values: pa.Array, *, comma: bool) -> tuple[pa.Array, pa.Array]:
    """Texts as numbers, and those that are none as texts; both null elsewhere.

    With decimals after a comma, a point in the same column may be one of thousands: it is not guessed at.
    """
    nothing = pa.nulls(len(values), pa.string())
    try:
        return values.cast(pa.float64()), nothing
    except pa.ArrowInvalid:
        pass
    reads = pc.match_substring_regex(values, _NUMBER)
    if comma and pc.any(with_comma := pc.match_substring_regex(values, _COMMA)).as_py():
        values, given = pc.if_else(with_comma, pc.replace_substring(values, ",", "."), values), values
        reads = pc.or_(with_comma, pc.and_not(reads, pc.match_substring(given, ".")))
    else:
        given = values
    numbers = pc.utf8_trim_whitespace(pc.if_else(reads, values, pa.scalar(None, values.type))).cast(pa.float64())
    return numbers, pc.if_else(reads, pa.scalar(None, given.type), given).cast(pa.string())


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
                    "kind": _kinds(part, keep),
                }
            )
        )
    return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries() if tables else pa.table({})


def _kinds(part: _Part, keep: npt.NDArray[np.bool_]) -> pa.Array:
    """What each value is: beside texts of no model there may be numbers."""
    kinds = np.full(len(keep), int(part.kind), dtype=np.int16)
    if part.kind == ObservationKind.TEXT and part.num.null_count < len(part.num):
        kinds[pc.is_valid(part.num).to_numpy(zero_copy_only=False)] = int(ObservationKind.NUMBER)
    return pa.array(kinds if len(keep) == int(keep.sum()) else kinds[keep])


def _same(value: str | None, count: int) -> pa.DictionaryArray:
    if value is None:  # a null in the dictionary itself could not be put together with others
        return pa.DictionaryArray.from_arrays(pa.nulls(count, pa.int16()), pa.array([], pa.string()))
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int16)), pa.array([value], pa.string()))
