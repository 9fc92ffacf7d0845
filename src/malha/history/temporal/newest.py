"""The newest value of each series of an attribute in the lake, kept as long as the tenant's files stay as they are. Django-free.

To find it, the last instants of every series must be read, which a hundred charts an hour would do again and again. Files
never change, so what was found holds until there are others; hot rows are put before it each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from malha.history.engines.layout import Layout

#: rows that one process keeps, of all tenants
MOST_ROWS = 100_000
type Row = tuple[int, datetime, float | None, str | None, str | None]  # entity, instant, number, text, unit


@dataclass(frozen=True, slots=True)
class _Kept:
    files: object
    start: datetime
    rows: tuple[Row, ...]


_kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()
_lock = threading.Lock()


def covers(files: Layout, type_: str, attribute: str, end: datetime) -> bool:
    """Whether it is certain that the lake holds nothing of the attribute at or after `end`: a forecast would be newer than what is asked for."""
    return all(
        (file.instants is not None and file.instants[1] < end) or file.is_only_of_others({"type": type_, "attribute": attribute})
        for file in files.files.get("observation", ())
    )


def of_lake(files: Layout, type_: str, attribute: str, start: datetime, read: Callable[[], Sequence[Row]]) -> list[Row]:
    """The newest row of each entity since `start`; `read` finds those of all entities where they are not known."""
    key, theirs = (files.schema, type_, attribute), files.files.get("observation", ())
    with _lock:
        known = _kept.get(key)
    if known is None or known.files != theirs or known.start > start:
        known = _Kept(theirs, start, tuple(read()))
        with _lock:
            _kept[key] = known
            while len(_kept) > 1 and sum(len(one.rows) for one in _kept.values()) > MOST_ROWS:
                _kept.popitem(last=False)
    return [row for row in known.rows if row[1] >= start]


def with_hot(rows: Sequence[Row], hot: pa.Table) -> dict[int, Row]:
    """The newest of each entity, of the lake's rows and hot ones; of one instant the hot one counts."""
    found = {row[0]: row for row in rows}
    names = ("entity_id", "observed_at", "num", "txt", "unit")
    for row in zip(*(hot.sort_by([("observed_at", "ascending"), ("seq", "ascending")]).column(name).to_pylist() for name in names), strict=True):
        if row[0] not in found or row[1] >= found[row[0]][1]:
            found[row[0]] = row
    return found


def has_deleted(hot: pa.Table) -> bool:
    """Whether a hot row takes something away: then what lay behind it must be looked for."""
    return bool(hot.num_rows) and bool(pc.any(pc.not_equal(hot.column("op"), 0)).as_py())
