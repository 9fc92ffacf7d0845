"""Sums worked out in arrays, ten times as fast as grouping with sketches inside the engine.

In: rows as Arrow, in any order. Out: one row a series and bucket, in the columns of the tables of sums (`tables.COLUMNS`).
A series is (attribute, entity, data set, unit).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from malha.history.rollups import ordering, sketch

type Whole = npt.NDArray[np.int64]
type Real = npt.NDArray[np.float64]
INSTANT = pa.timestamp("us", "UTC")
SKETCH = pa.map_(pa.int16(), pa.int32())
#: what a row of values, and a row of sums, must have
VALUES = "tenant_id, type, attribute, entity_id, dataset_id, unit, observed_at, num"
SUMS = "tenant_id, type, attribute, entity_id, dataset_id, unit, bucket, count, sum, minimum, maximum, first, last, sketch"
_PLAIN: dict[str, pa.DataType] = {
    "tenant_id": pa.int64(),
    "dataset_id": pa.int32(),
    "type": pa.string(),
    "attribute": pa.string(),
    "unit": pa.string(),
    "bucket": INSTANT,
    "sketch": SKETCH,
}
_KEY_BITS = 62


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Rows in the order of series and time: `order` takes them there, `begins` are the places where a group begins."""

    order: Whole
    begins: Whole
    moved: bool  # whether the order is another than the rows came in

    @property
    def groups(self) -> Whole:
        """The number of the group of each row, in that order."""
        return np.repeat(np.arange(len(self.begins)), np.diff(np.append(self.begins, len(self.order))))

    def arrange[T: np.generic](self, given: npt.NDArray[T]) -> npt.NDArray[T]:
        """What is given of each row, in that order."""
        return given[self.order] if self.moved else given


def of_values(
    table: pa.Table, width: int | Whole, *, least: tuple[int, int] = (0, 0), sketches: bool = True, known: tuple[Whole, Whole] | None = None
) -> pa.Table:  # fmt: skip
    """Values (columns `VALUES`) summed in buckets of `width` microseconds, or in those that begin at these instants (`edges`).

    With `least` (width, count) only those in wider buckets of so many values; without `sketches` none is made. `known` are the series and the instant
    of each row, where rows are in that order.
    """
    table = ordering.coded(table)
    series, times = known or (_series(table), ordering.numbers(table, "observed_at"))
    values = _real(table, "num")
    if least[1] and len(times):
        wide = _sorted(series, times, times // least[0])
        kept = np.sort(wide.order[_counts(wide)[wide.groups] >= least[1]])
        table, times, values, series = ordering.take(table, kept), times[kept], values[kept], series[kept]
    buckets = times // width * width if isinstance(width, int) else width[np.searchsorted(width, times, "right") - 1]
    found = _sorted(series, times, buckets, certain=known is not None)
    counts = _counts(found)
    if not sketches:
        return _table(table, found, buckets, counts, (values,) * 5, pa.nulls(len(counts), SKETCH))
    many = found.order if (counts > sketch.PLAIN).all() else found.order[counts[found.groups] > sketch.PLAIN]  # the rest keeps no sketch
    return _table(table, found, buckets, counts, (values,) * 5, _of_keys(found, counts, sketch.keys_of(values[many]), None, many))


def of_sums(table: pa.Table) -> pa.Table:
    """Sums (columns `SUMS`, and `starts`, the coarser bucket of each) put together; without a sketch where one of them lacks its own."""
    table = ordering.coded(table)
    counts, starts = ordering.numbers(table, "count"), ordering.numbers(table, "starts")
    found = _sorted(_series(table), ordering.numbers(table, "bucket"), starts)
    parts = tuple(_real(table, name) for name in ("sum", "minimum", "maximum", "first", "last"))
    keys, weights, rows = _opened(table.column("sketch").combine_chunks(), counts, parts[1], parts[2])
    total = np.add.reduceat(counts[found.order], found.begins) if len(found.begins) else counts
    unknown = lacking(table)
    whole = np.logical_not(np.logical_or.reduceat(unknown[found.order], found.begins)) if unknown.any() else None
    return _table(table, found, starts, total, parts, _of_keys(found, total, keys, weights, rows, whole))


def lacking(sums: pa.Table) -> npt.NDArray[np.bool_]:
    """Which sums should have a sketch, and do not."""
    found = pc.and_(pc.is_null(sums.column("sketch")), pc.greater(sums.column("count"), sketch.PLAIN))
    return np.asarray(found.combine_chunks().to_numpy(zero_copy_only=False), bool)


def edges(starts: list[datetime]) -> Whole:
    """Instants in order, as microseconds since 1970."""
    return np.array([int(start.timestamp()) * 1_000_000 for start in starts], np.int64)


def in_periods(sums: pa.Table, starts: list[datetime]) -> pa.Table:
    """Sums (columns `SUMS`) put together in the coarser buckets that begin at these instants, in order."""
    begins = edges(starts)
    coarse = begins[np.searchsorted(begins, ordering.numbers(sums, "bucket"), "right") - 1]
    return of_sums(sums.append_column("starts", pa.array(coarse).cast(INSTANT)))


def merged(pieces: list[pa.Table]) -> pa.Table:
    """Sums of the same table that came in pieces, as one row a bucket; of one bucket the pieces are in order of time."""
    names = SUMS.split(", ")
    together = pa.concat_tables([_plain(piece.select(names)) for piece in pieces]).combine_chunks()
    return of_sums(together.append_column("starts", together.column("bucket")))


def _plain(sums: pa.Table) -> pa.Table:
    return sums.cast(pa.schema([(name, _PLAIN.get(name, sums.schema.field(name).type)) for name in sums.column_names]))


def _series(table: pa.Table) -> Whole:
    """A number for the series of each row, in the order in which the lake keeps them."""
    number = np.zeros(table.num_rows, np.int64)
    for key in (
        read(table, name)
        for name, read in (
            ("type", ordering.ranks),
            ("attribute", ordering.ranks),
            ("entity_id", ordering.numbers),
            ("dataset_id", ordering.numbers),
            ("unit", ordering.ranks),
        )
        if not ordering.says_one_thing(table.column(name))
    ):
        if not len(key) or key.max() == key.min():
            continue
        if (int(number.max()) + 1) * (int(key.max()) - int(key.min()) + 1) >= 1 << _KEY_BITS:  # far apart: only their order counts
            number, key = (np.unique(part, return_inverse=True)[1].astype(np.int64) for part in (number, key))  # noqa: PLW2901 -- the same, closer
        number = number * (int(key.max()) - int(key.min()) + 1) + (key - key.min())
    return number


def _sorted(series: Whole, times: Whole, buckets: Whole, *, certain: bool = False) -> _Sorted:
    if not len(times):
        return _Sorted(times, times, moved=False)
    given = None if certain or _in_order(series, times) else ordering.order_of([series, times])
    order = np.arange(len(times)) if given is None else given
    of, at = (series, buckets) if given is None else (series[order], buckets[order])
    fresh = np.concatenate(([True], (of[1:] != of[:-1]) | (at[1:] != at[:-1])))
    return _Sorted(order, np.flatnonzero(fresh), moved=given is not None)


def _in_order(series: Whole, times: Whole) -> bool:
    """Whether rows come as the lake keeps them, which most do."""
    return bool(np.all((series[1:] > series[:-1]) | ((series[1:] == series[:-1]) & (times[1:] >= times[:-1]))))


def _counts(found: _Sorted) -> Whole:
    return np.diff(np.append(found.begins, len(found.order)))


def _table(table: pa.Table, found: _Sorted, buckets: Whole, total: Whole, parts: tuple[Real, ...], sketches: pa.Array) -> pa.Table:
    firsts = found.order[found.begins]
    lasts = found.order[np.append(found.begins[1:], len(found.order)) - 1] if len(firsts) else firsts
    sums, minima, maxima, first, last = parts
    shown = ordering.take(table.select(["tenant_id", "type", "attribute", "entity_id", "dataset_id", "unit"]), firsts)
    columns = dict(zip(shown.column_names, shown.columns, strict=True))

    def over(function: np.ufunc, values: Real) -> pa.Array:
        if len(firsts) == len(found.order):  # each value is its own bucket
            return pa.array(found.arrange(values))
        return pa.array(function.reduceat(found.arrange(values), found.begins))

    columns |= {"bucket": pa.array(buckets[firsts], pa.int64()).cast(INSTANT), "count": pa.array(total), "sum": over(np.add, sums)}
    columns |= {"minimum": over(np.minimum, minima), "maximum": over(np.maximum, maxima), "first": pa.array(first[firsts]), "last": pa.array(last[lasts])}
    return pa.table(columns | {"sketch": sketches})


def _of_keys(found: _Sorted, total: Whole, keys: Whole, weights: Whole | None, rows: Whole, whole: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """A sketch a group, of keys so many times each (None: once) in these rows; none in groups that are not `whole`.

    None in groups of `sketch.PLAIN` values either, whose minimum and maximum say as much.
    """
    kept = total > sketch.PLAIN if whole is None else whole & (total > sketch.PLAIN)
    if not kept.any():
        return pa.nulls(len(total), SKETCH)
    group_of = found.groups
    if found.moved:
        group_of[found.order] = group_of.copy()
    groups = group_of[rows]
    if not kept.all():
        mine = kept[groups]
        groups, keys, weights = groups[mine], keys[mine], None if weights is None else weights[mine]
    of, said, many = _counted(groups, keys, weights, len(total))
    ends = np.concatenate(([0], np.cumsum(np.bincount(of, minlength=len(total)))))
    offsets = pa.array(ends.astype(np.int32), mask=np.append(~kept, False))
    return pa.MapArray.from_arrays(offsets, pa.array(said.astype(np.int16)), pa.array(many.astype(np.int32)), type=SKETCH)


def _counted(groups: Whole, keys: Whole, weights: Whole | None, count: int) -> tuple[Whole, Whole, Whole]:
    """(group, key, how often) of each key that a group has, in order."""
    low, span = int(keys.min()), int(np.ptp(keys)) + 1
    if weights is None and count * span <= 2 * len(keys):  # few keys: counted in their places, without sorting
        often = np.bincount(groups * span + (keys - low), minlength=count * span)
        there = np.flatnonzero(often)
        return there // span, there % span + low, often[there]
    both = (groups << 16) | (keys + 32768)
    if weights is None:  # numbers alone are sorted in a quarter of the time
        both.sort()
    else:
        order = np.argsort(both, kind="stable")
        both, weights = both[order], weights[order]
    fresh = np.flatnonzero(np.concatenate(([True], both[1:] != both[:-1])))
    many = np.diff(np.append(fresh, len(both))) if weights is None else np.add.reduceat(weights, fresh)
    return both[fresh] >> 16, (both[fresh] & 0xFFFF) - 32768, many


def _opened(sketches: pa.Array, counts: Whole, minima: Real, maxima: Real) -> tuple[Whole, Whole, Whole]:
    """(keys, how often each, row) of sketches; those that were left out are made of minimum and maximum again."""
    if not len(sketches):
        return counts, counts, counts
    there = pc.is_valid(sketches).to_numpy(zero_copy_only=False)
    kept = sketches.drop_null()
    ends = kept.offsets.to_numpy(zero_copy_only=False).astype(np.int64) if len(kept) else np.zeros(1, np.int64)
    keys, weights = (part[ends[0] : ends[-1]].to_numpy(zero_copy_only=False).astype(np.int64) for part in (kept.keys, kept.items))
    plain, two = np.flatnonzero(~there), np.flatnonzero(~there & (counts > 1))
    return (
        np.concatenate((keys, sketch.keys_of(minima[plain]), sketch.keys_of(maxima[two]))),
        np.concatenate((weights, np.ones(len(plain) + len(two), np.int64))),
        np.concatenate((np.repeat(np.flatnonzero(there), np.diff(ends)), plain, two)),
    )


def _real(table: pa.Table, name: str) -> Real:
    found: Real = table.column(name).combine_chunks().cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found
