"""A quantile sketch kept as data: how many values lie in each of many logarithmic steps.

A value x > 0 is counted under the key 15000 + ceil(50 ln x), x < 0 under the negative of its mirror's key, 0 under 0. A step
is e^0.02 wide, so that its middle is within 1 % of every value in it: a quantile is within 1 % of the value that has its
rank, whatever was merged and in which order. Magnitudes outside 1e-130 to 1e154 are counted at that border.
A bucket of one or two values keeps none: its minimum and its maximum say as much.
Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, §2 (without its limit on the number of steps).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

COLUMN_TYPE = "MAP(SMALLINT, INTEGER)"
#: the bound: |estimate - value of that rank| <= this part of the value
RELATIVE_ERROR = 0.01
#: up to so many values a bucket keeps no sketch
PLAIN = 2
_OFFSET, _STEPS_PER_UNIT, _LOWEST, _HIGHEST = 15000, 50, 1, 32767


def key_of(column: str) -> str:
    """The key of a number, in DuckDB's SQL."""
    step = f"least(greatest(ceil(ln(abs({column})) * {_STEPS_PER_UNIT}) + {_OFFSET}, {_LOWEST}), {_HIGHEST})"
    return f"(CASE WHEN {column} = 0 THEN 0 ELSE sign({column}) * {step} END)::SMALLINT"


def keys_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The keys of numbers, as `key_of` says them."""
    with np.errstate(divide="ignore"):
        steps = np.ceil(np.log(np.abs(values)) * _STEPS_PER_UNIT) + _OFFSET
    return np.where(values == 0, 0.0, np.sign(values) * np.clip(steps, _LOWEST, _HIGHEST)).astype(np.int64)


def of_row(row: str) -> str:
    """The sketch of a row of sums, made of its minimum and maximum where it keeps none."""
    low, high = key_of(f"{row}.minimum"), key_of(f"{row}.maximum")
    plain = f"CASE WHEN {row}.count = 1 OR {low} = {high} THEN map([{low}], [{row}.count::INTEGER]) ELSE map([{low}, {high}], [1, 1]::INTEGER[]) END"
    return f"coalesce({row}.sketch, {plain})::{COLUMN_TYPE}"


def of_values(column: str) -> str:
    """The aggregate that makes a sketch of the numbers of a group."""
    return f"histogram({key_of(column)})::{COLUMN_TYPE}"


def middle_of(key: str) -> str:
    """The number that stands for a key."""
    magnitude = f"exp((abs({key}) - {_OFFSET}) / {_STEPS_PER_UNIT}.0) * (2 / (1 + exp(1.0 / {_STEPS_PER_UNIT})))"
    return f"(CASE WHEN {key} = 0 THEN 0.0 ELSE sign({key}) * {magnitude} END)"


def quantile(relation: str, group: str, quantile: float) -> str:
    """A query: (columns of `group`, quantile, count) of a relation with a column `sketch`, all of a group merged.

    `quantile` is of [0, 1]: the value whose rank from 0 is floor(quantile * (count - 1)).
    """
    return f"""SELECT {group}, {middle_of("min(key) FILTER (WHERE upto > floor(total_rank))")} AS value, any_value(total)::BIGINT AS count FROM (
        SELECT {group}, key, sum(n) OVER (PARTITION BY {group} ORDER BY key) AS upto, sum(n) OVER (PARTITION BY {group}) AS total,
               {float(quantile)!r} * (sum(n) OVER (PARTITION BY {group}) - 1) AS total_rank
        FROM (SELECT {group}, e.key AS key, sum(e.value) AS n FROM (SELECT {group}, unnest(map_entries(sketch)) AS e FROM {relation}) GROUP BY ALL)
    ) GROUP BY {group}"""
