"""Geographic files as shapes in EPSG:4326: GeoJSON and GeoPackage, read without asking anybody.

A GeoPackage is an SQLite file whose geometries are WKB behind a small header (OGC 12-128r19, clause 2.1.3); it is
opened read-only with untrusted schemas switched off.
"""

from __future__ import annotations

import json
import re
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from shapely.geometry import shape as geojson_shape
from shapely.geometry.base import BaseGeometry

from malha.kernel.text import msg
from malha.vocabulary.territory.contracts import UnusableBoundaries

GEOGRAPHIC = frozenset({"EPSG:4326", "EPSG:4258", "OGC:CRS84"})
#: bytes of the envelope behind the header of a GeoPackage geometry, by its kind
_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_EPSG = re.compile(r"EPSG:+[\d.]*:?(\d{4,6})$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Feature:
    """One shape in EPSG:4326 with the columns of its row."""

    geometry: BaseGeometry | None
    columns: dict[str, Any]


def read(path: Path, *, layer: str = "", crs: str = "") -> list[Feature]:
    """The features of a GeoJSON or GeoPackage file; `crs` is used where the file does not say its own. Raises UnusableBoundaries."""
    with path.open("rb") as handle:
        is_sqlite = handle.read(15) == b"SQLite format 3"
    try:
        return list(_geopackage(path, layer, crs)) if is_sqlite else list(_geojson(path, crs))
    except (sqlite3.DatabaseError, UnicodeDecodeError, ValueError, struct.error, KeyError, TypeError, shapely.errors.ShapelyError) as reason:
        raise UnusableBoundaries(
            msg("O ficheiro {name} não é um GeoJSON nem um GeoPackage que se entenda: {reason}."), name=path.name, reason=str(reason)
        ) from reason


def to_degrees(geometries: list[BaseGeometry | None], crs: str) -> list[BaseGeometry | None]:
    """The same shapes in longitude and latitude (EPSG:4326). Raises UnusableBoundaries for an unknown system."""
    if crs in GEOGRAPHIC:
        return geometries
    turner = transformer(crs)
    turned = shapely.transform(np.array(geometries, dtype=object), lambda xy: np.column_stack(turner.transform(xy[:, 0], xy[:, 1])))
    return list(turned)


@lru_cache(maxsize=32)
def transformer(crs: str) -> Transformer:
    """From `crs` to longitude and latitude. Raises UnusableBoundaries where nobody knows it."""
    try:
        return Transformer.from_crs(CRS.from_user_input(crs), "EPSG:4326", always_xy=True)
    except CRSError as reason:
        raise UnusableBoundaries(msg("Não se conhece o sistema de coordenadas “{crs}”. Indique-o por exemplo como EPSG:3763."), crs=crs) from reason


def _geojson(path: Path, crs: str) -> Iterator[Feature]:
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    if document.get("type") == "Feature":
        document = {"type": "FeatureCollection", "features": [document]}
    features = document["features"]
    shapes = [geojson_shape(feature["geometry"]) if feature.get("geometry") else None for feature in features]
    named = _EPSG.search(str((document.get("crs") or {}).get("properties", {}).get("name", "")))
    turned = to_degrees([None if each is None else shapely.force_2d(each) for each in shapes], f"EPSG:{named[1]}" if named else crs or _guess(shapes))
    for feature, geometry in zip(features, turned, strict=True):
        yield Feature(geometry, feature.get("properties") or {})


def _guess(shapes: list[BaseGeometry | None]) -> str:
    """Degrees where the numbers are degrees; else the caller has to say (RFC 7946 knows only degrees)."""
    first = next((each for each in shapes if each is not None and not each.is_empty), None)
    if first is None:
        raise UnusableBoundaries(msg("O ficheiro não tem geometrias."))
    west, south, east, north = first.bounds
    if -180 <= west <= east <= 180 and -90 <= south <= north <= 90:
        return "EPSG:4326"
    raise UnusableBoundaries(msg("As coordenadas estão em metros e o ficheiro não diz em que sistema. Indique-o, por exemplo EPSG:3763."))


def _geopackage(path: Path, layer: str, crs: str) -> Iterator[Feature]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        database.execute("PRAGMA trusted_schema = OFF")
        database.row_factory = sqlite3.Row
        layers = database.execute(
            "SELECT g.table_name, g.column_name, s.organization, s.organization_coordsys_id FROM gpkg_geometry_columns g"
            " JOIN sqlite_master m ON m.name = g.table_name AND m.type = 'table'"
            " LEFT JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id ORDER BY g.table_name"
        ).fetchall()
        chosen = [row for row in layers if not layer or row["table_name"] == layer]
        if not chosen:
            names = ", ".join(row["table_name"] for row in layers)
            raise UnusableBoundaries(msg("O ficheiro não tem a camada “{layer}”. Tem: {names}."), layer=layer, names=names or "nenhuma")
        for row in chosen:
            yield from _layer(database, row, crs)


def _layer(database: sqlite3.Connection, row: sqlite3.Row, crs: str) -> Iterator[Feature]:
    table, column = row["table_name"], row["column_name"]
    own = f"{row['organization']}:{row['organization_coordsys_id']}".upper() if row["organization"] and row["organization_coordsys_id"] else ""
    quoted = '"' + table.replace('"', '""') + '"'
    rows = database.execute(f"SELECT * FROM {quoted}").fetchall()
    shapes = [_unpack(each[column]) for each in rows]
    turned = to_degrees([None if each is None else shapely.force_2d(each) for each in shapes], crs or (own if own.startswith("EPSG") else _guess(shapes)))
    for each, geometry in zip(rows, turned, strict=True):
        yield Feature(geometry, {name: each[name] for name in each.keys() if name != column})  # noqa: SIM118 -- sqlite3.Row is no mapping


def _unpack(blob: bytes | None) -> BaseGeometry | None:
    """The geometry behind the header of a GeoPackage."""
    if blob is None or blob[:2] != b"GP":
        return None
    envelope = _ENVELOPES[(blob[3] >> 1) & 0b111]
    return shapely.from_wkb(blob[8 + envelope :])
