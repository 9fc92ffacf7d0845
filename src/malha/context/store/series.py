"""The rows of a load in arrays, in order of entity and instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from malha.context.store import binary
from malha.context.store.binary import Ints
from malha.context.store.contracts import ArrowTable, Column, EntityTable, ObservationKind
from malha.context.store.table import usable_uri

#: below this many values per series, rows of their own cost less
VALUES_PER_SERIES = 4
#: earlier than every instant (and what numpy keeps for "not a time")
NEVER = np.iinfo(np.int64).min
_KINDS = {"Property": ObservationKind.TEXT, "Relationship": ObservationKind.URI, "VocabProperty": ObservationKind.VOCABULARY}


@dataclass(slots=True)
class Series:
    """One attribute of a batch. `rows` are positions in the sorted rows that have a value of their own, ascending; `values` theirs."""

    column: Column
    array: pa.Array
    rows: Ints
    values: np.ndarray[Any, Any]
    numeric: bool
    kind: ObservationKind

    def keep(self, mask: np.ndarray[Any, Any]) -> None:
        """Go on with those of `rows` that `mask` marks."""
        self.rows, self.values = self.rows[mask], self.values[mask]


class Rows:
    """The rows of a load in order of entity and instant; entities are numbers 0…k-1."""

    def __init__(self, table: ArrowTable) -> None:
        assert table.observed_at is not None
        self.table = table
        encoded = pc.dictionary_encode(table.uris.combine_chunks() if isinstance(table.uris, pa.ChunkedArray) else table.uris)
        self.uris: list[str] = encoded.dictionary.to_pylist()
        codes = np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
        at = table.observed_at.astype("datetime64[us]").astype(np.int64)
        self.order = np.lexsort((at, codes))
        self.entity, self.at = codes[self.order], at[self.order]
        self.numbers = np.asarray(table.row_numbers, np.int64)[self.order]
        self.series: list[Series] = []

    def usable(self) -> bool:
        """Whether there are enough values per series, and all of them plain and storable; fills `series` when so."""
        few = len(self.entity) < VALUES_PER_SERIES * len(self.uris)
        if few or not len(self.entity) or self.entity[0] < 0 or (self.at == NEVER).any() or not all(map(usable_uri, self.uris)):
            return False
        for column in self.table.columns:
            made = self._series(column)
            if made is None:
                return False
            self.series.append(made)
        return True

    def _series(self, column: Column) -> Series | None:
        array = column.values
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if not isinstance(array, pa.Array):
            return None
        number = pa.types.is_floating(array.type) or pa.types.is_integer(array.type)
        switch = pa.types.is_boolean(array.type)
        if (number or switch) and column.kind == "Property":
            kind = ObservationKind.NUMBER if number else ObservationKind.BOOLEAN
        elif pa.types.is_string(array.type) and column.kind in _KINDS and not pc.any(pc.match_substring(array, "\x00")).as_py():
            kind = _KINDS[column.kind]
        else:
            return None
        array = array.take(pa.array(self.order))
        rows = np.flatnonzero(np.asarray(array.is_valid().to_numpy(zero_copy_only=False), bool))
        overtaken = (np.diff(self.entity[rows]) == 0) & (np.diff(self.at[rows]) == 0)
        if overtaken.any():  # of several values at one instant the last of the file counts
            rows = rows[~np.append(overtaken, False)]
        values = self._values(array, rows, numeric=number or switch)
        if number and not np.isfinite(values).all():
            return None
        return Series(column, array, rows, values, number or switch, kind)

    def _values(self, array: pa.Array, rows: Ints, *, numeric: bool) -> np.ndarray[Any, Any]:
        whole = array if len(rows) == len(array) else array.take(pa.array(rows))
        if numeric:
            return np.asarray(whole.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        return np.asarray(whole.to_numpy(zero_copy_only=False), object)

    def last(self) -> EntityTable:
        """The rows that hold the last value of some attribute: all that the present can depend on."""
        wanted = np.unique(np.concatenate([ends(self.entity), *(one.rows[ends(self.entity[one.rows])] for one in self.series)]))
        moments = [binary.moment(at) for at in self.at[wanted].tolist()]
        columns = []
        for one in self.series:
            values = one.array.take(pa.array(wanted)).to_pylist()
            own = np.isin(wanted, one.rows)
            columns.append(
                Column(one.column.name, [v if mine else None for v, mine in zip(values, own.tolist(), strict=True)], one.column.kind, one.column.unit)
            )
        uris = [self.uris[n] for n in self.entity[wanted].tolist()]
        return EntityTable(self.table.type, uris, columns, moments, self.numbers[wanted].tolist())


def ends(entity: Ints) -> Ints:
    """The positions of the last row of each entity, in rows sorted by entity."""
    return np.append(np.flatnonzero(np.diff(entity)), len(entity) - 1) if len(entity) else np.zeros(0, np.int64)
