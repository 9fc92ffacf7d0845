"""What a load of history brings: pieces that are read when they are needed, so that none of it is in memory as a whole.

A piece is a table with the columns of the bulk road, `entity_id` in place of `uri`. Pieces lie in groups; no month is in two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial, reduce
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from malha.history.rollups import ordering
from malha.history.rollups import thin as rows_of

type Piece = Callable[[], pa.Table]
#: rows of an Arrow table that are looked at together: they stay in the processor's own memory
SLICE_ROWS = 262_144
#: series that are marked in an array of so many places (a byte each)
MOST_MARKED = 16_000_000


class Given:
    """Pieces in groups, and what is known of all of them."""

    def __init__(self, groups: Sequence[Sequence[Piece]]) -> None:
        self.groups, self.rows, series = [list(group) for group in groups], list[int](), list[pa.Table]()
        ends = list[tuple[datetime, datetime]]()
        for group in self.groups:
            count = 0
            for piece in group:
                if (table := piece()).num_rows:
                    count += table.num_rows
                    ends.append(rows_of.ends(table, "observed_at"))
                    series.append(_series_of(table))
            self.rows.append(count)
        self.ends = (min(end[0] for end in ends), max(end[1] for end in ends)) if ends else None
        nothing = pa.table({"attribute": pa.array([], pa.string()), "entity_id": pa.array([], pa.int64())})
        #: the series of which they speak: (attribute, entity_id)
        self.series = pa.concat_tables(series).combine_chunks().group_by(["attribute", "entity_id"]).aggregate([]) if series else nothing

    @classmethod
    def of_files(cls, files: Sequence[Path]) -> Given:
        """Streams of Arrow, in order; a folder holds a month."""
        return cls([[_reader(file) for file in theirs] for _, theirs in groupby(files, key=lambda file: file.parent)])

    @classmethod
    def of_tables(cls, tables: Sequence[pa.Table]) -> Given:
        """Tables that are in memory."""
        months = dict[int, list[Piece]]()
        for table in tables:
            for month, rows in ordering.apart(table):
                months.setdefault(month, []).append(partial(_same, rows))
        return cls([months[month] for month in sorted(months)])

    def shares(self, most: int) -> Iterator[pa.Table]:
        """The rows of each group by entity, about `most` to each share: no two shares of a group hold the same entity."""
        for group, count in zip(self.groups, self.rows, strict=True):
            if not count:
                continue
            if count <= most:
                yield _together(piece() for piece in group)
                continue
            ends = _cuts([piece() for piece in group], -(-count // most))
            for number in range(len(ends) + 1):
                mine = _together(_part(piece(), ends, number) for piece in group)
                if mine.num_rows:
                    yield mine


def slices(table: pa.Table) -> list[pa.Table]:
    """A table in slices, their texts as dictionaries."""
    return [ordering.coded(table.slice(begin, SLICE_ROWS)) for begin in range(0, table.num_rows, SLICE_ROWS)]


def attributes(tables: Sequence[pa.Table]) -> set[str]:
    """The attributes of which tables speak, or more of them."""
    chunks = [chunk for table in tables for chunk in table.column("attribute").chunks]
    return {str(name) for chunk in chunks for name in (chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else pc.unique(chunk)).to_pylist()}


def _reader(file: Path) -> Piece:
    return lambda: pa.ipc.open_stream(pa.memory_map(str(file))).read_all()


def _same(table: pa.Table) -> pa.Table:
    return table


def _together(tables: Iterator[pa.Table]) -> pa.Table:
    return pa.concat_tables(list(tables), promote_options="permissive").unify_dictionaries()


def _part(table: pa.Table, ends: ordering.Whole, number: int) -> pa.Table:
    """The rows of the entities of one share: after the end of the one before, up to its own."""
    ids = ordering.numbers(table, "entity_id")
    mine = np.ones(len(ids), bool)
    if number:
        mine &= ids > ends[number - 1]
    if number < len(ends):
        mine &= ids <= ends[number]
    return table.filter(pa.array(mine))


def _cuts(tables: Sequence[pa.Table], parts: int) -> ordering.Whole:
    """The last entity of each share but the last, so that shares are about as large as each other."""
    counted = [np.unique(ordering.numbers(table, "entity_id"), return_counts=True) for table in tables]
    known = reduce(np.union1d, [ids for ids, _ in counted])
    counts = np.zeros(len(known), np.int64)
    for ids, many in counted:
        counts[np.searchsorted(known, ids)] += many
    until = np.cumsum(counts)
    places = np.searchsorted(until, until[-1] * np.arange(1, parts) / parts)
    ends = np.unique(known[places])
    found: ordering.Whole = ends[ends < known[-1]]
    return found


def _series_of(table: pa.Table) -> pa.Table:
    attribute = ordering.coded(table.select(["attribute"])).unify_dictionaries().column("attribute").combine_chunks()
    codes, ids = attribute.indices.to_numpy(zero_copy_only=False).astype(np.int64), ordering.numbers(table, "entity_id")
    low, span = int(ids.min()), int(np.ptp(ids)) + 1
    if len(attribute.dictionary) * span <= MOST_MARKED:  # marked in their places, in a tenth of the time of looking each up
        seen = np.zeros(len(attribute.dictionary) * span, bool)
        seen[codes * span + (ids - low)] = True
        codes, ids = np.divmod(np.flatnonzero(seen), span)
    else:
        both = np.unique(codes << 40 | (ids - low))
        codes, ids = both >> 40, both & (1 << 40) - 1
    return pa.table({"attribute": attribute.dictionary.take(pa.array(codes)), "entity_id": pa.array(ids + low)})
