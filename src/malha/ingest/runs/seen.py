"""Notice the same thing twice within one file, in eight bytes a row: for files that do not fit in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from malha.sources.tabular.contracts import TextBatch

#: beyond this many rows the memory would not stay flat; then repeats are no longer told apart, and the load says so
MOST_ROWS = 4_000_000
#: runs do not grow beyond about these: merging takes three times their size for a moment
MERGED_ROWS = 1_000_000
Hashes = np.ndarray[Any, np.dtype[np.int64]]


class Seen:
    """The names and contents of the rows so far, as sorted runs of hashes that are merged as they grow."""

    def __init__(self) -> None:
        self._parts: list[tuple[Hashes, Hashes]] = []
        self.full = False

    def check(self, names: Hashes, contents: Hashes) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Which rows repeat one before word by word, and which name a thing again with other values; then remember them."""
        same = np.zeros(len(names), bool)
        other = np.zeros(len(names), bool)
        if self.full:
            return same, other
        _values, first, back = np.unique(names, return_index=True, return_inverse=True)
        again = first[back] != np.arange(len(names))
        if again.any():
            equal = contents == contents[first[back]]
            same |= again & equal
            other |= again & ~equal
        for known, content in self._parts:
            at = np.searchsorted(known, names)
            at[at == len(known)] = 0
            hit = known[at] == names
            if hit.any():
                equal = content[at] == contents
                same |= hit & equal
                other |= hit & ~equal
        fresh = ~(same | other)
        if fresh.any():
            self._add(names[fresh], contents[fresh])
        return same, other

    def _add(self, names: Hashes, contents: Hashes) -> None:
        order = np.argsort(names)
        self._parts.append((names[order], contents[order]))
        while len(self._parts) > 1 and len(self._parts[-2][0]) < 2 * len(self._parts[-1][0]) <= MERGED_ROWS:
            (left, left_content), (right, right_content) = self._parts[-2:]
            merged = np.concatenate([left, right])
            order = np.argsort(merged, kind="stable")
            self._parts[-2:] = [(merged[order], np.concatenate([left_content, right_content])[order])]
        if sum(len(part[0]) for part in self._parts) > MOST_ROWS:
            self.full, self._parts = True, []


def hashes_of(names: pa.Array, when: np.ndarray[Any, Any] | None) -> Hashes:
    """One number per name (and instant, datetime64[us])."""
    encoded = names.dictionary_encode()
    each = np.fromiter(map(hash, encoded.dictionary.to_pylist()), np.int64, len(encoded.dictionary))
    hashes: Hashes = each[encoded.indices.to_numpy(zero_copy_only=False)]
    if when is None:
        return hashes
    with np.errstate(over="ignore"):
        mixed: Hashes = _mixed(hashes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + when.astype(np.int64).astype(np.uint64))
    return mixed


def _mixed(numbers: np.ndarray[Any, Any]) -> Hashes:
    """Numbers whose every bit hangs on every bit of the given ones."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    last: Hashes = (numbers ^ (numbers >> np.uint64(31))).view(np.int64)
    return last


def contents_of(batch: TextBatch) -> Hashes:
    """One number per row for all its cells."""
    columns = [column if pa.types.is_string(column.type) else pc.binary_length(column).cast(pa.string()) for column in batch.columns.values()]
    joined = pc.binary_join_element_wise(*columns, "\x1f", null_handling="replace", null_replacement="\x00")
    return np.fromiter(map(hash, joined.to_pylist()), np.int64, len(batch))
