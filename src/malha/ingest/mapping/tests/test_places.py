"""Coordinates in every Portuguese system, swapped or in degrees and minutes, come out as the same place."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from malha.ingest.mapping import places

TOWNS = {
    "EPSG:5016": ((-16.92, 32.66), (-17.0, 32.6, -16.8, 32.75)), "EPSG:5015": ((-25.67, 37.74), (-25.8, 37.7, -25.5, 37.9)),
    "EPSG:5014": ((-31.2, 39.45), (-31.3, 39.3, -31.1, 39.6)),
}  # fmt: skip
AVEIRO = ((-8.64, 40.63), (-8.75, 40.5, -8.5, 40.75))


@pytest.mark.parametrize("crs", [crs for crs in places.SYSTEMS if crs != "EPSG:4258"])
@pytest.mark.parametrize("swapped", [False, True])
def test_it_works(crs, swapped):
    (lon, lat), extent = TOWNS.get(crs, AVEIRO)
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform([lon, lon + 0.01], [lat, lat + 0.01])
    left, right = (np.array(y), np.array(x)) if swapped else (np.array(x), np.array(y))
    found = places.readings(left, right, extent, "EPSG:3763")[0]
    assert found.swapped is swapped
    assert found.inside == 1.0
    east, north = places.to_degrees(left, right, found.crs, swapped=found.swapped)
    assert abs(east[0] - lon) < 0.003  # systems that overlap (Datum 73, ETRS89) differ by less than 300 m
    assert abs(north[0] - lat) < 0.003


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("38° 42' 20,3\" N", 38.705639),
        ("9º 8' 12'' O", -9.136667),
        ("-9 8 12", -9.136667),
        ("38°42.5'N", 38.708333),
        ("W 9° 8' 12\"", -9.136667),
        ("9° 75' 0\"", None),
        ("rua", None),
    ],
)
def test_degrees_and_minutes(text, value):
    found = places.degrees_of(text)
    assert found is None if value is None else abs(found - value) < 1e-5


@given(st.floats(-31, -6), st.floats(32, 42))
def test_degrees_and_minutes_are_the_inverse(lon, lat):
    def spoken(value, sides):
        seconds = round(abs(value) * 3600, 2)
        return f"{int(seconds // 3600)}° {int(seconds % 3600 // 60)}' {seconds % 60:.2f}\" {sides[value < 0]}"

    if f"{round(abs(lon) * 3600, 2) % 60:.2f}" != "60.00":
        assert abs(places.degrees_of(spoken(lon, "EO")) - lon) < 1e-4
    if f"{round(abs(lat) * 3600, 2) % 60:.2f}" != "60.00":
        assert abs(places.degrees_of(spoken(lat, "NS")) - lat) < 1e-4


def test_both_in_one_cell():
    lat, lon, bad = places.from_cells(pa.array(["38.71, -9.13", "(38.72 -9.14)", "?", None]), None, ".")
    assert lat[0] == 38.71
    assert lon[1] == -9.14
    assert bad.tolist() == [False, False, True, False]


def test_names_of_columns():
    assert places.guess_columns(["id", "Latitude", "Longitude"]) == ("Longitude", "Latitude")
    assert places.guess_columns(["M", "P", "nome"]) == ("M", "P")
    assert places.guess_columns(["coordX", "coordY"]) == ("coordX", "coordY")
    assert places.guess_columns(["longo", "nome"]) == ("", "")


def test_invalid_geometry_is_mended_or_refused():
    shapes = pa.array(["POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))", "POLYGON((0 0, 1", "POINT(200 100)", None, "POINT EMPTY"])
    wkb, bad, _x, _y = places.shapes(shapes, "EPSG:4326", text=True)
    assert bad.tolist() == [False, True, True, False, True]
    assert wkb[0] is not None
    assert wkb[3] is None
