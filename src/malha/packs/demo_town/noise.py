"""Chance that can be asked again: numbers that depend only on a seed and on where one looks.

A hash in place of a generator with a state: any instant can be computed alone, and gives what it gave before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

type Numbers = NDArray[np.float64]
type Integers = NDArray[np.int64]


def hashed(seed: int, stream: int, places: Integers) -> NDArray[np.uint64]:
    """64 well mixed bits for each place of a stream (the finaliser of SplitMix64)."""
    start = np.uint64((seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF)
    bits = places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def as_numbers(values: object) -> Numbers:
    """`values` as an array of floating point numbers."""
    return np.asarray(values, dtype=np.float64)


def uniform(seed: int, stream: int, places: Integers) -> Numbers:
    """Even chance between 0 and 1."""
    return (hashed(seed, stream, places) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def bell(seed: int, stream: int, places: Integers) -> Numbers:
    """Chance around 0 with deviation 1: the sum of four even ones."""
    bits = hashed(seed, stream, places)
    lane = np.uint64(0xFFFF)
    total = sum((bits >> np.uint64(shift)) & lane for shift in (0, 16, 32, 48))
    return as_numbers((as_numbers(total) / 65536.0 - 2.0) * np.sqrt(3.0))


def smooth(seed: int, stream: int, seconds: Integers, period_seconds: int) -> Numbers:
    """Chance that wanders: a new bell-shaped value every period, a straight line between."""
    first, last = int(seconds[0]) // period_seconds, int(seconds[-1]) // period_seconds + 1
    knots = np.arange(first, last + 1, dtype=np.int64)
    return np.interp(seconds.astype(np.float64), (knots * period_seconds).astype(np.float64), bell(seed, stream, knots))
