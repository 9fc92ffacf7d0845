"""Rows in the order in which the lake keeps them: type, attribute, entity, instant."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

type Whole = npt.NDArray[np.int64]
_KEY_BITS = 62


def sort(rows: pa.Table) -> pa.Table:
    """The same rows in order, by month (UTC) first, as files are kept apart; columns of texts come back as dictionaries."""
    rows = coded(rows)
    order = order_of(
        [months(numbers(rows, "observed_at")), ranks(rows, "type"), ranks(rows, "attribute"), numbers(rows, "entity_id"), numbers(rows, "observed_at")]
    )
    return rows if order is None else take(rows, order)


def coded(rows: pa.Table) -> pa.Table:
    """The same rows with their texts as dictionaries."""
    for at, name in enumerate(rows.column_names):
        column = rows.column(name)
        if pa.types.is_string(column.type) and column.null_count < len(column):
            rows = rows.set_column(at, name, column.combine_chunks().dictionary_encode())
    return rows


def take(rows: pa.Table, order: Whole) -> pa.Table:
    """The rows of these places; a column that says the same everywhere is only cut."""
    places = pa.array(order)
    columns = [column.slice(0, len(order)) if len(order) <= len(column) and _says_one_thing(column) else column.take(places) for column in rows.columns]
    return pa.table(columns, rows.column_names)


def _says_one_thing(column: pa.ChunkedArray) -> bool:
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
    found: Whole = instants.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return found


def is_unique(rows: pa.Table) -> bool:
    """Whether rows, in order, are surely of different keys: neighbours differ in instant, entity or attribute."""
    same = np.ones(max(0, rows.num_rows - 1), bool)
    for key in (numbers(rows, "observed_at"), numbers(rows, "entity_id"), ranks(rows, "attribute")):
        same &= key[1:] == key[:-1]
    return not bool(same.any())


def order_of(keys: list[Whole]) -> Whole | None:
    """Where each row goes, the first key counting most; None when they are in order already."""
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
        column = column.dictionary_encode()
    texts = column.dictionary.to_pylist()
    rank = {text: at for at, text in enumerate(sorted(texts))}
    places = np.array([*(rank[text] for text in texts), -1], np.int64)
    found: Whole = places[column.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)]
    return found


def numbers(rows: pa.Table, name: str) -> Whole:
    """A column of whole numbers or instants (microseconds since 1970)."""
    column = rows.column(name).combine_chunks()
    plain = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    found: Whole = plain.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return found
