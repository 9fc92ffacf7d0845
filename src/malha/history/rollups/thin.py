"""Rows of months that keep no sums by the hour (`history.engines.coarse`), told from the others."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from malha.history.engines.coarse import Coarse
from malha.history.rollups import ordering


def ends(table: pa.Table, column: str) -> tuple[datetime, datetime]:
    """The least and the greatest instant of a column."""
    found = pc.min_max(table.column(column))
    return found["min"].as_py(), found["max"].as_py()


def fine(table: pa.Table, time: str, coarse: Coarse) -> pa.Table:
    """The rows whose month keeps sums by the hour."""
    if not coarse or not table.num_rows:
        return table
    mine = in_months(table, time, coarse)
    return table.filter(pa.array(~mine)) if mine.any() else table


def in_months(table: pa.Table, time: str, coarse: Coarse) -> npt.NDArray[np.bool_]:
    """Which rows are of these types, attributes and months."""
    months = ordering.months(ordering.numbers(table, time))
    number = (1970 + months // 12) * 100 + months % 12 + 1
    codes = {name: table.column(name).combine_chunks() for name in ("type", "attribute")}
    coded = {name: column if pa.types.is_dictionary(column.type) else column.dictionary_encode() for name, column in codes.items()}
    found, present = np.zeros(table.num_rows, bool), set(np.unique(number).tolist())
    for entity_type, attribute, month in coarse.months:
        if month in present:
            same = [
                pc.equal(coded[name].indices, coded[name].dictionary.index(text).as_py()) for name, text in (("type", entity_type), ("attribute", attribute))
            ]
            found |= (number == month) & np.asarray(same[0]) & np.asarray(same[1])
    return found
