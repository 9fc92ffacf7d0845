"""Rows in the order in which the lake keeps them: type, attribute, entity, instant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

type Whole = npt.NDArray[np.int64]
_KEY_BITS = 63
#: so many instants say which step all of them may keep to: said in that, key and place of a row fit one number
_LOOKED_AT = 1_000
INSTANT = pa.timestamp("us", "UTC")


def sort(rows: pa.Table) -> pa.Table:
    """The same rows in order, by month (UTC) first, as files are kept apart; columns of texts come back as dictionaries."""
    rows = coded(rows)
    entities, times = numbers(rows, "entity_id"), numbers(rows, "observed_at")
    keys = [months(times), ranks(rows, "type"), ranks(rows, "attribute"), entities, times]
    packed = _Packed.of(keys)
    if packed is None:
        order = order_of(keys)
        return rows if order is None else take(rows, order)
    if packed.is_sorted():
        return rows
    order = packed.sort()
    known = {"entity_id": pa.array(packed.key(3)), "observed_at": pa.array(packed.key(4)).cast(INSTANT)}  # cheaper than looking them up again
    others = take(rows.drop_columns(list(known)), order)
    columns = dict(zip(others.column_names, others.columns, strict=True)) | known
    return pa.table([columns[name] for name in rows.column_names], rows.column_names)


@dataclass(slots=True)
class _Packed:
    """Keys and the place of each row in one number, the first key highest: sorting numbers takes a quarter of the time of sorting places."""

    numbers: Whole
    fields: list[tuple[int, int, int, int]]  # of each key: how far it is shifted, its mask, its least value, its step
    place_mask: int

    @classmethod
    def of(cls, keys: Sequence[Whole | Callable[[], Whole]]) -> _Packed | None:
        """The keys of rows, the last of them instants (µs); None where they need more bits than a number has, or there are no rows.

        A key that is called for is made in its turn and let go again: all of them at once would take eight bytes a row each.
        """
        together, place_mask, shift, fields = np.zeros(0, np.int64), 0, 0, list[tuple[int, int, int, int]]()
        for at, given in enumerate(reversed(keys)):
            key = given() if callable(given) else given
            if at == 0:
                if not len(key):
                    return None
                shift = max(1, len(key) - 1).bit_length()
                together, place_mask = np.arange(len(key)), (1 << shift) - 1
            low, high = int(key.min()), int(key.max())
            step = _step(key) if at == 0 else 1
            bits = ((high - low) // step).bit_length()
            if shift + bits > _KEY_BITS:
                return None
            if bits:
                added = key - low
                if step > 1:
                    added //= step
                added <<= shift
                together |= added
            fields.append((shift, (1 << bits) - 1, low, step))
            shift += bits
        return cls(together, fields[::-1], place_mask)

    def is_sorted(self) -> bool:
        """Whether the rows are in order already."""
        return bool(np.all(self.numbers[1:] >= self.numbers[:-1]))

    def sort(self) -> Whole:
        """Put them in order; the place where each row was."""
        self.numbers.sort()
        places: Whole = self.numbers & self.place_mask
        return places

    def key(self, at: int, part: slice = slice(None)) -> Whole:
        """The values of one key, in the order of now."""
        shift, mask, low, step = self.fields[at]
        found: Whole = self.numbers[part] >> shift
        found &= mask
        if step > 1:
            found *= step
        found += low
        return found

    def ends(self, at: int) -> list[int]:
        """Where the values of the first keys, up to this one, change, in order; with the first place and the end."""
        shift, found = self.fields[at][0], [0]
        while found[-1] < len(self.numbers):
            after = ((int(self.numbers[found[-1]]) >> shift) + 1) << shift
            found.append(int(np.searchsorted(self.numbers, after)) if after < 1 << _KEY_BITS else len(self.numbers))
        return found


@dataclass(frozen=True, slots=True)
class Ordered:
    """Rows of one month (202611) in the order of the lake. `times` are their instants (µs), `series` a number that grows with type, attribute and entity."""

    month: int
    rows: pa.Table
    times: Whole
    series: Whole

    @property
    def is_unique(self) -> bool:
        """Whether all rows are surely of different keys: neighbours differ in series or instant."""
        return not bool(np.any((self.times[1:] == self.times[:-1]) & (self.series[1:] == self.series[:-1])))

    def parts(self, most: int) -> Iterator[Ordered]:
        """The same, cut between series where there is room, about `most` rows to each part."""
        begin = 0
        while begin < len(self.series):
            last = self.series[min(begin + most, len(self.series)) - 1]
            end = int(np.searchsorted(self.series, last, "right"))
            yield Ordered(self.month, self.rows.slice(begin, end - begin), self.times[begin:end], self.series[begin:end])
            begin = end

    def only(self, mine: npt.NDArray[np.bool_]) -> Ordered:
        """Some of the rows."""
        if mine.all():
            return self
        return Ordered(self.month, self.rows.filter(pa.array(mine)), self.times[mine], self.series[mine])


def in_order(rows: pa.Table) -> Iterator[Ordered]:
    """The same rows month by month (UTC), each in order; in a month only what is of it is put together."""
    rows = coded(rows).unify_dictionaries()
    packed = _Packed.of(
        [
            lambda: months(numbers(rows, "observed_at")), lambda: ranks(rows, "type"), lambda: ranks(rows, "attribute"),
            lambda: numbers(rows, "entity_id"), lambda: numbers(rows, "observed_at"),
        ]
    )  # fmt: skip
    if packed is None:
        for month, some in by_month(sort(rows)):
            series = _series_of(some)
            yield Ordered(month, some, numbers(some, "observed_at"), series)
        return
    there = packed.is_sorted()
    if not there:
        packed.numbers.sort()
    others = rows.drop_columns(["entity_id", "observed_at"]).combine_chunks()
    for begin, end in pairwise(packed.ends(0)):
        part = slice(begin, end)
        month = int(packed.key(0, slice(begin, begin + 1))[0])
        entities, times = packed.key(3, part), packed.key(4, part)
        some = others.slice(begin, end - begin) if there else take(others, packed.numbers[part] & packed.place_mask)
        known = {"entity_id": pa.array(entities), "observed_at": pa.array(times).cast(INSTANT)}  # cheaper than looking them up again
        columns = dict(zip(some.column_names, some.columns, strict=True)) | known
        series = packed.numbers[part] >> packed.fields[3][0]
        yield Ordered((1970 + month // 12) * 100 + month % 12 + 1, pa.table([columns[name] for name in rows.column_names], rows.column_names), times, series)


def _series_of(rows: pa.Table) -> Whole:
    """A number for the series (type, attribute, entity) of each row, of rows in order."""
    keys = [ranks(rows, "type"), ranks(rows, "attribute"), numbers(rows, "entity_id")]
    fresh = np.zeros(rows.num_rows, bool)
    for key in keys:
        fresh[1:] |= key[1:] != key[:-1]
    return np.cumsum(fresh)


def _step(times: Whole) -> int:
    """The greatest step (µs) that takes from the first instant to every other; most are whole seconds, or so many of them apart."""
    step = int(np.gcd.reduce(times[:_LOOKED_AT] - times[0]))
    if step > 1 and ((times - times[0]) % step).any():
        step = int(np.gcd.reduce(times - times[0]))
    return max(1, step)


def same(value: int | str, kind: pa.DataType, count: int) -> pa.DictionaryArray:
    """A column that says one thing in every row, at a byte each."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), pa.array([value], kind))


def coded(rows: pa.Table) -> pa.Table:
    """The same rows with their texts as dictionaries."""
    for at, name in enumerate(rows.column_names):
        column = rows.column(name)
        if pa.types.is_string(column.type) and column.null_count < len(column):
            rows = rows.set_column(at, name, encoded(column.combine_chunks()))
    return rows


def encoded(texts: pa.StringArray) -> pa.DictionaryArray:
    """Texts as a dictionary; one text in every row, as types and units mostly are, is seen without looking each up."""
    if len(texts) and not texts.null_count:
        _, places, data = texts.buffers()
        ends = np.frombuffer(places, np.int32, len(texts) + 1, texts.offset * 4)
        size = int(ends[1] - ends[0])
        if size and int(ends[-1] - ends[0]) == size * len(texts) and bool(np.all(ends[1:] - ends[:-1] == size)):
            said = np.frombuffer(data, np.uint8, size * len(texts), int(ends[0]))
            if bool(np.array_equal(said[:size], said[-size:])) and bool(np.array_equal(said[size:], said[:-size])):
                return same(texts[0].as_py(), pa.string(), len(texts))
    return texts.dictionary_encode()


def take(rows: pa.Table, order: Whole) -> pa.Table:
    """The rows of these places; a column that says the same everywhere is only cut."""
    places = pa.array(order)

    def taken(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
        many = len(column) // 4 < len(order) <= len(column)  # a few would keep all of it in memory
        return column.slice(0, len(order)) if many and says_one_thing(column) else column.combine_chunks().take(places)

    return pa.table([taken(column) for column in rows.columns], rows.column_names)


def says_one_thing(column: pa.ChunkedArray) -> bool:
    """Whether a column surely says the same in every row."""
    if column.null_count:
        return bool(column.null_count == len(column))
    if pa.types.is_dictionary(column.type):
        return column.num_chunks == 1 and len(column.chunk(0).dictionary) == 1
    if pa.types.is_integer(column.type) or pa.types.is_timestamp(column.type):
        ends = pc.min_max(column)
        return bool(ends["min"] == ends["max"])
    return False


def months(instants: Whole) -> Whole:
    """The month (UTC) of instants, as a number that grows with them."""
    if not len(instants):
        return instants
    ends = np.array([instants.min(), instants.max()], np.int64).astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    starts = np.arange(ends[0], ends[1] + 1).astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
    found: Whole = np.searchsorted(starts, instants, "right") - 1 + ends[0]  # a few borders are sooner looked up than a calendar is asked
    return found


def by_month(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each month (UTC, as 202611), where they come in the order of the lake."""
    found = months(numbers(rows, "observed_at"))
    ends = [0, *(np.flatnonzero(found[1:] != found[:-1]) + 1).tolist(), len(found)]
    for begin, end in pairwise(ends):
        if end > begin:
            month = int(found[begin])
            yield (1970 + month // 12) * 100 + month % 12 + 1, rows.slice(begin, end - begin)


def apart(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each month (UTC, as 202611), whatever their order."""
    if not rows.num_rows:
        return
    found = months(numbers(rows, "observed_at"))
    first = int(found.min())
    there = (np.flatnonzero(np.bincount(found - first)) + first).tolist()  # counted in their places: looking each up takes ten times as long
    for month in there:
        yield (1970 + month // 12) * 100 + month % 12 + 1, rows if len(there) == 1 else rows.filter(pa.array(found == month))


def is_unique(rows: pa.Table) -> bool:
    """Whether rows, in order, are surely of different keys: neighbours differ in instant, entity or attribute."""
    same = np.ones(max(0, rows.num_rows - 1), bool)
    for key in (numbers(rows, "observed_at"), numbers(rows, "entity_id"), ranks(rows, "attribute")):
        same &= key[1:] == key[:-1]
    return not bool(same.any())


def order_of(keys: list[Whole]) -> Whole | None:
    """Where each row goes, the first key counting most; None when they are in order already."""
    if (packed := _Packed.of(keys)) is not None:
        return None if packed.is_sorted() else packed.sort()
    together, room = np.zeros(len(keys[0]), np.int64), 1
    for key in keys:
        if not len(key):
            return None
        low, span = int(key.min()), int(key.max()) - int(key.min()) + 1
        if room * span >= 1 << _KEY_BITS:
            return np.lexsort(keys[::-1])
        together, room = together * span + (key - low), room * span
    return None if bool(np.all(together[1:] >= together[:-1])) else np.argsort(together, kind="stable")


def ranks(rows: pa.Table, name: str) -> Whole:
    """The place of each row's text among the texts of the column; -1 where it has none."""
    column = rows.column(name).combine_chunks()
    if pa.types.is_string(column.type):
        column = encoded(column)
    texts = column.dictionary.to_pylist()
    if len(texts) == 1 and not column.null_count:
        return np.zeros(len(column), np.int64)
    rank = {text: at for at, text in enumerate(sorted(texts))}
    places = np.array([*(rank[text] for text in texts), -1], np.int64)
    found: Whole = places[column.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)]
    return found


def numbers(rows: pa.Table, name: str) -> Whole:
    """A column of whole numbers or instants (microseconds since 1970)."""
    column = rows.column(name).combine_chunks()
    if pa.types.is_dictionary(column.type):
        if len(column.dictionary) == 1 and not column.null_count:
            return np.full(len(column), column.dictionary.cast(pa.int64())[0].as_py(), np.int64)
        column = column.dictionary_decode()
    plain = column.cast(INSTANT).cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    found: Whole = plain.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found
