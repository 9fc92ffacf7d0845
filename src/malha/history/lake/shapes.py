"""Shapes of hot rows: what most columns say, so that these need not cross the wire row by row.

Rows of one model say the same of type, attribute, unit and so on, thousands of times. The first rows after a watermark tell the
shapes; each row then comes with the number of its own, and rows of none that is known are read whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from malha.history.rollups import ordering

#: the first rows after a watermark tell the shapes; more than so many cost the server more than the columns they save
LOOKED_AT, MOST = 500, 12
#: rows that are read whole must be so few of those looked at
LEAST_PART = 0.9
#: columns of a shape, by how soon they tell one from another
_KINDS = {
    "attr_id": pa.int32(), "type_id": pa.int32(), "unit_id": pa.int32(), "kind": pa.int16(), "run_id": pa.int64(), "op": pa.int16(),
    "dataset_id": pa.int32(), "quality": pa.int16(),
}  # fmt: skip
#: columns that are read row by row where any of the first rows has something there
_MAYBE = {"txt": pa.string(), "row_no": pa.int64()}


@dataclass(frozen=True, slots=True)
class Shapes:
    """Some shapes, in order of how many rows are of each; `read` are the columns of `_MAYBE` that come row by row."""

    said: Sequence[tuple[int | None, ...]]
    read: frozenset[str]

    @classmethod
    def of(cls, told: str | None) -> Shapes | None:
        """The shapes of the first rows (JSON, as `hot_horizon` says it); None where they are too many, or there are no rows."""
        rows = json.loads(told or "[]")
        read = frozenset(name for name, there in (("txt", "texts"), ("row_no", "lines")) if any(row[there] for row in rows))
        counts = dict[tuple[int | None, ...], int]()
        for row in rows:
            key = tuple(row[name] for name in _KINDS)
            counts[key] = counts.get(key, 0) + row["rows"]
        said = sorted(counts, key=lambda key: -counts[key])[:MOST]
        enough = sum(counts[key] for key in said) >= LEAST_PART * sum(counts.values())
        return cls(said, read) if rows and enough else None

    def number(self) -> str:
        """The number of a row's shape, as SQL of the server; null for others."""
        absent = [f"{name} IS NULL" for name in _MAYBE if name not in self.read]
        cases = [
            " AND ".join([*(f"{name} IS NULL" if value is None else f"{name} = {int(value)}" for name, value in zip(_KINDS, one, strict=True)), *absent])
            for one in self.said
        ]
        return f"CASE {' '.join(f'WHEN {case} THEN {at}' for at, case in enumerate(cases))} END"

    def more(self) -> str:
        """The columns that come row by row only here, as SQL of the server."""
        return "".join(", row_no::bigint AS row_no" if name == "row_no" else f", {name}" for name in _MAYBE if name in self.read)

    def complete(self, rows: pa.Table) -> pa.Table:
        """Rows that came with the number of their shape, with all their columns."""
        numbers: npt.NDArray[np.int64] = rows.column("shape").combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
        rows = rows.drop_columns("shape")
        for at, (name, kind) in enumerate(_KINDS.items()):
            rows = rows.append_column(name, _column([one[at] for one in self.said], kind, numbers))
        for name, kind in _MAYBE.items():
            if name not in self.read:
                rows = rows.append_column(name, pa.nulls(rows.num_rows, kind))
        return rows


def _column(said: list[int | None], kind: pa.DataType, numbers: npt.NDArray[np.int64]) -> pa.Array:
    if len(set(said)) > 1:
        return pa.array(said, kind).take(pa.array(numbers))
    return pa.nulls(len(numbers), kind) if said[0] is None else ordering.same(said[0], kind, len(numbers))
