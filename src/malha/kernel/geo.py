"""Places in degrees (EPSG:4326): how fast something went between two of them, and a grid that hides where exactly."""

from __future__ import annotations

import math
from datetime import datetime

import pyproj

ELLIPSOID = pyproj.Geod(ellps="WGS84")
#: metres of a degree of latitude
_DEGREE_M = 111_320


def speed_km_h(last: tuple[float, float, datetime] | None, place: tuple[float, float], at: datetime) -> float | None:
    """How fast a thing would have gone from its last position (longitude, latitude, instant); None where that cannot be told."""
    if last is None or at <= last[2]:
        return None
    metres = ELLIPSOID.inv(last[0], last[1], place[0], place[1])[2]
    return float(metres) / 1000 / ((at - last[2]).total_seconds() / 3600)


def rounded(place: tuple[float, float], metres: float) -> tuple[float, float]:
    """The middle of the square of a grid of so many metres; the place itself where it is 0."""
    if not metres:
        return place
    lat_step = metres / _DEGREE_M
    row = math.floor(place[1] / lat_step)
    middle = (row + 0.5) * lat_step
    lon_step = metres / (_DEGREE_M * max(0.01, math.cos(math.radians(middle))))
    return round((math.floor(place[0] / lon_step) + 0.5) * lon_step, 6), round(middle, 6)
