"""Where rows are: Portuguese reference systems, swapped axes, degrees and minutes. Pure; longitude and latitude come out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from pyproj import Transformer

from malha.ingest.mapping.contracts import Placing
from malha.kernel.text import normalise
from malha.sources.tabular import cells

Floats = np.ndarray[Any, np.dtype[np.float64]]
#: systems in the order in which they are believed when several fit
SYSTEMS = {
    "EPSG:4326": "graus (WGS 84, GPS)",
    "EPSG:3763": "PT-TM06/ETRS89 (continente)",
    "EPSG:5016": "PTRA08 / UTM 28N (Madeira)",
    "EPSG:5015": "PTRA08 / UTM 26N (Açores, grupos central e oriental)",
    "EPSG:5014": "PTRA08 / UTM 25N (Açores, grupo ocidental)",
    "EPSG:25829": "ETRS89 / UTM 29N",
    "EPSG:20790": "Hayford-Gauss militar (Lisboa, falsa origem)",
    "EPSG:20791": "Hayford-Gauss (Lisboa)",
    "EPSG:27493": "Datum 73 / TM",
    "EPSG:3857": "Web Mercator",
    "EPSG:4258": "graus (ETRS89)",
}
#: where Portugal is: mainland, Madeira, Azores (degrees, west south east north)
PORTUGAL = ((-9.6, 36.9, -6.1, 42.2), (-17.4, 32.3, -16.2, 33.2), (-31.4, 36.8, -24.9, 39.8))
_LEFT = re.compile(r"\b(lon|lng|long|longitude|x|coord x|m|este|easting|coordx)\b")
_RIGHT = re.compile(r"\b(lat|latitude|y|coord y|p|norte|northing|coordy)\b")
_DMS = re.compile(
    r"""^\s*(?P<sign>[-+])?\s*(?P<before>[NSEWO])?\s*(?P<d>\d{1,3})\s*(?:[°ºo˚]|\s)\s*(?P<m>\d{1,2}(?:[.,]\d+)?)\s*(?:['’′´]|\s|$)\s*"""
    r"""(?:(?P<s>\d{1,2}(?:[.,]\d+)?)\s*(?:["”″]|''|’’|′′)?)?\s*(?P<after>[NSEWO])?\s*$""",
    re.IGNORECASE,
)
_PAIR = re.compile(r"^\s*\(?\s*(?P<a>[-+]?\d{1,3}\.\d+)\s*[,;/|\s]\s*(?P<b>[-+]?\d{1,3}\.\d+)\s*\)?\s*$")
_COMMA_PAIR = re.compile(r"^\s*\(?\s*(?P<a>[-+]?\d{1,3},\d+)\s*[;/|\s]\s*(?P<b>[-+]?\d{1,3},\d+)\s*\)?\s*$")
_DMS_PAIR = re.compile(r"^(?P<a>.*?\d.*?[NSEWO]|[NSEWO][^NSEWO]+)(?P<b>[\s,;/]+.*\d.*)$", re.IGNORECASE)


@cache
def _to_degrees(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def guess_columns(names: Sequence[str]) -> tuple[str, str]:
    """The columns that hold x and y by their names, or two empty texts."""
    plain = {name: re.sub(r"[^a-z0-9]+", " ", normalise(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))) for name in names}
    for left, right in ((r"\b(lon|lng|long|longitude)\b", r"\b(lat|latitude)\b"), (_LEFT.pattern, _RIGHT.pattern)):
        x = next((name for name, text in plain.items() if re.search(left, text)), "")
        y = next((name for name, text in plain.items() if re.search(right, text) and name != x), "")
        if x and y:
            return x, y
    return "", ""


def from_cells(x: pa.Array, y: pa.Array | None, decimal: str) -> tuple[Floats, Floats, np.ndarray[Any, Any]]:
    """Figures from the cells of one or two columns (degrees and minutes too), and which filled rows cannot be read."""
    if y is None:
        return _pairs(x)
    left, bad_left = _axis(x, decimal)
    right, bad_right = _axis(y, decimal)
    return left, right, bad_left | bad_right


def _axis(column: pa.Array, decimal: str) -> tuple[Floats, np.ndarray[Any, Any]]:
    values, bad = cells.numbers(column, decimal)
    if bad.any() and decimal == ",":  # degrees are often written with a point whatever the file does
        values, bad = _better(cells.numbers(column), (values, bad))
    figures = np.asarray(values.to_numpy(zero_copy_only=False), float).copy()
    if bad.any():
        for row in np.flatnonzero(bad):
            degrees = degrees_of(column[int(row)].as_py())
            if degrees is not None:
                figures[row], bad[row] = degrees, False
    return figures, bad


def _better(one: tuple[Any, Any], other: tuple[Any, Any]) -> tuple[Any, Any]:
    return one if one[1].sum() < other[1].sum() else other


def degrees_of(text: str) -> float | None:
    """Decimal degrees from `38° 42' 20,3" N`; O and W are west. None when it is something else."""
    found = _DMS.match(text)
    if not found:
        return None
    minutes = float(found["m"].replace(",", "."))
    seconds = float((found["s"] or "0").replace(",", "."))
    if minutes > 60 or seconds > 60:  # 60,0" is what rounding makes of 59,99"
        return None
    value = int(found["d"]) + minutes / 60 + seconds / 3600
    side = (found["before"] or found["after"] or "").upper()
    return -value if found["sign"] == "-" or side in {"S", "W", "O"} else value


def pair_of(text: str) -> tuple[float, float] | None:
    """Both figures of one cell: `41.15, -8.61`, `41,15 / -8,61` or `41° 9' 0" N 8° 36' 36" W`. None when it is something else."""
    found = _PAIR.match(text) or _COMMA_PAIR.match(text)
    if found:
        return float(found["a"].replace(",", ".")), float(found["b"].replace(",", "."))
    split = _DMS_PAIR.match(text)
    if not split:
        return None
    first, second = degrees_of(split["a"].strip(" ,;/")), degrees_of(split["b"].strip(" ,;/"))
    return (first, second) if first is not None and second is not None else None


def _pairs(column: pa.Array) -> tuple[Floats, Floats, np.ndarray[Any, Any]]:
    left, right = np.full(len(column), np.nan), np.full(len(column), np.nan)
    bad = np.zeros(len(column), bool)
    for row, text in enumerate(column.to_pylist()):
        if text is None:
            continue
        found = pair_of(text)
        if found:
            left[row], right[row] = found
        else:
            bad[row] = True
    return left, right, bad


def to_degrees(x: Floats, y: Floats, crs: str, *, swapped: bool) -> tuple[Floats, Floats]:
    """Longitude and latitude in EPSG:4326; what cannot be transformed is NaN. Accuracy of the old datums is about a metre to ten."""
    if swapped:
        x, y = y, x
    if crs in {"EPSG:4326", "EPSG:4258"}:
        lon, lat = x.copy(), y.copy()
    else:
        lon, lat = _to_degrees(crs).transform(x, y)
        lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    wrong = ~np.isfinite(lon) | ~np.isfinite(lat) | (np.abs(lon) > 180) | (np.abs(lat) > 90)
    lon[wrong], lat[wrong] = np.nan, np.nan
    return lon, lat


def within(lon: Floats, lat: Floats, box: tuple[float, float, float, float], margin: float = 0.0) -> np.ndarray[Any, Any]:
    """Which points lie in `box` (west, south, east, north), widened by `margin` degrees."""
    west, south, east, north = box
    return (lon >= west - margin) & (lon <= east + margin) & (lat >= south - margin) & (lat <= north + margin)


def readings(x: Floats, y: Floats, extent: tuple[float, float, float, float] | None, preferred: str = "") -> list[Placing]:
    """Every system and order of axes under which the figures make sense, best first.

    The best puts most rows inside the municipality's extent; among equals `preferred` (that of the municipality or of the
    file) and then the order of `SYSTEMS` decide: Datum 73 and ETRS89 differ by some hundred metres and cannot be told apart by looking.
    """
    filled = np.isfinite(x) & np.isfinite(y) & ~((x == 0) & (y == 0))
    x, y = x[filled], y[filled]
    if not len(x):
        return []
    degrees = bool((np.abs(x) <= 180).mean() > 0.9 and (np.abs(y) <= 180).mean() > 0.9)
    order = list(dict.fromkeys([preferred, *SYSTEMS])) if preferred in SYSTEMS else list(SYSTEMS)
    found = []
    for crs in order:
        if (crs in {"EPSG:4326", "EPSG:4258"}) != degrees:
            continue
        for swapped in (False, True):
            lon, lat = to_degrees(x, y, crs, swapped=swapped)
            inside = within(lon, lat, extent, 0.02) if extent else np.zeros(len(lon), bool)
            national = np.zeros(len(lon), bool)
            for box in PORTUGAL:
                national |= within(lon, lat, box)
            if national.mean() > 0.5 or degrees:
                found.append(Placing(crs, swapped, float(inside.mean()), float(national.mean()), float(np.isnan(lon).mean())))
    return sorted(found, key=lambda placing: (-round(placing.inside, 2), -round(placing.in_portugal, 2)))


def points(lon: Floats, lat: Floats) -> np.ndarray[Any, Any]:
    """WKB of each point, None where there is none."""
    missing = np.isnan(lon) | np.isnan(lat)
    made = shapely.points(np.where(missing, 0.0, lon), np.where(missing, 0.0, lat))
    result = np.asarray(shapely.to_wkb(made), object)
    result[missing] = None
    return result


def shapes(column: pa.Array, crs: str, *, text: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Floats, Floats]:
    """WKB in EPSG:4326 of each geometry, which rows hold none that can be used, and a point of each.

    A polygon that crosses itself is mended (make_valid); what cannot be read is refused.
    """
    raw = np.asarray(column.to_pylist(), object)
    filled = np.array([value is not None for value in raw], bool)
    read = shapely.from_wkt(raw, on_invalid="ignore") if text else shapely.from_wkb(raw, on_invalid="ignore")
    read = np.asarray(read, object)
    bad = filled & np.array([shape is None or shape.is_empty for shape in read], bool)
    read[bad] = None
    read = np.asarray(shapely.force_2d(read), object)
    invalid = ~shapely.is_valid(read) & ~shapely.is_missing(read)
    if invalid.any():
        read[invalid] = shapely.make_valid(read[invalid])
    if crs not in {"", "EPSG:4326", "EPSG:4258"}:
        read = np.asarray(shapely.transform(read, lambda xy: np.column_stack(_to_degrees(crs).transform(xy[:, 0], xy[:, 1]))), object)
    bounds = shapely.bounds(read)
    wrong = filled & ~bad & ~(np.isfinite(bounds).all(axis=1) & (np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(axis=1))
    bad |= wrong
    read[wrong] = None
    inner = shapely.point_on_surface(read)
    return np.asarray(shapely.to_wkb(read), object), bad, np.asarray(shapely.get_x(inner), float), np.asarray(shapely.get_y(inner), float)
