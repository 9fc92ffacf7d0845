"""Shapes at the store's door: GeoJSON or WKB in, bounding box and WKB or GeoJSON out. All in EPSG:4326 degrees."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import shapely
from shapely.errors import ShapelyError

from malha.context.store.contracts import UnusableEntity
from malha.kernel.text import msg

TYPES = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"})
DECIMALS = 7  # about a centimetre
_POINT = struct.Struct("<BIdd")
_POINT_SIZE = 21
_NUMBERS = frozenset({int, float})
HALF_ROUND = 180.0  # degrees
#: of the area, which may be in doubt
SLIVER = 0.01
_PLACE = re.compile(r"\[(\S+) ([^\s\]]+)")


@dataclass(frozen=True, slots=True)
class Shape:
    """A checked geometry: its box (west, south, east, north), its GeoJSON, and its WKB unless it is a point (the box says it all)."""

    box: tuple[float, float, float, float]
    geojson: dict[str, object]
    wkb: bytes | None = None

    @property
    def box_text(self) -> str:
        """The box as PostgreSQL reads it."""
        west, south, east, north = self.box
        return f"({east!r},{north!r}),({west!r},{south!r})"


def parse(value: object) -> Shape:
    """The shape of a GeoJSON object, of its JSON text (GS CIM 009 §4.7.2), or of WKB. Raises UnusableEntity with the reason."""
    if isinstance(value, bytes):
        return _from_wkb(value)
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as reason:
            raise UnusableEntity(msg("A geometria não é GeoJSON.")) from reason
    if not isinstance(value, dict):
        raise UnusableEntity(msg("A geometria não é GeoJSON."))
    kind = value.get("type")
    if kind not in TYPES:
        raise UnusableEntity(msg("A geometria é “{kind}”; aceitam-se pontos, linhas e polígonos (GeoJSON)."), kind=str(kind)[:40])
    if kind == "Point":
        return _point(value.get("coordinates"))
    try:
        shape = shapely.from_geojson(msgspec.json.encode({"type": kind, "coordinates": value.get("coordinates")}))
    except (ShapelyError, ValueError, TypeError) as reason:
        raise UnusableEntity(msg("As coordenadas da geometria não servem para “{kind}”."), kind=kind) from reason
    return _shape(shape, {"type": kind, "coordinates": value["coordinates"]})


def _point(coordinates: object) -> Shape:
    if (
        not isinstance(coordinates, list | tuple)
        or not 2 <= len(coordinates) <= 3
        or not (_NUMBERS.issuperset(map(type, coordinates)) or all(isinstance(c, int | float) and not isinstance(c, bool) for c in coordinates))
    ):
        raise UnusableEntity(msg("As coordenadas da geometria não servem para “{kind}”."), kind="Point")
    x, y = float(coordinates[0]), float(coordinates[1])
    box = (x, y, x, y)
    return Shape(box if -180 <= x <= 180 and -90 <= y <= 90 else _in_range(box), {"type": "Point", "coordinates": list(coordinates)})


def _from_wkb(value: bytes) -> Shape:
    if len(value) == _POINT_SIZE and value[0] == 1:
        _, kind, x, y = _POINT.unpack(value)
        if kind == 1:
            return Shape(_in_range((x, y, x, y)), {"type": "Point", "coordinates": [x, y]})
    try:
        shape = shapely.from_wkb(value)
    except (ShapelyError, ValueError, TypeError) as reason:
        raise UnusableEntity(msg("A geometria não é WKB.")) from reason
    return _shape(shape, None)


def _shape(shape: shapely.Geometry, geojson: dict[str, object] | None) -> Shape:
    if shape is None or shape.is_empty or shape.geom_type not in TYPES:
        raise UnusableEntity(msg("A geometria está vazia ou é de um tipo que não se aceita."))
    west, south, east, north = shape.bounds
    if geojson is None:
        geojson = msgspec.json.decode(shapely.to_geojson(shape))
    point = shape.geom_type == "Point"
    return Shape(_in_range((west, south, east, north)), geojson, None if point else shapely.to_wkb(shape))


def require_sound(geojson: Mapping[str, object]) -> None:
    """Raise UnusableEntity where nobody could say what a geometry encloses: rings that cross, a side that jumps over the antimeridian (RFC 7946 §3.1.9).

    Polygons of a MultiPolygon may touch, and where rings cross by a sliver of the whole there is no doubt: those of real maps do.
    """
    if geojson.get("type") in {"Point", "MultiPoint"}:
        return
    try:
        shape = shapely.from_geojson(msgspec.json.encode(geojson))
    except (ShapelyError, ValueError, TypeError) as reason:
        raise UnusableEntity(msg("As coordenadas da geometria não servem para “{kind}”."), kind=str(geojson.get("type"))[:40]) from reason
    for part in shapely.get_parts(shape):
        area = part.geom_type == "Polygon"
        for line in shapely.get_rings(part) if area else [part]:
            corners = shapely.get_coordinates(line)
            jumps = abs(corners[1:, 0] - corners[:-1, 0])
            far = ((jumps > HALF_ROUND) & (jumps < 2 * HALF_ROUND)).nonzero()[0]  # a whole round is the frame of a map of the world
            if len(far):
                raise UnusableEntity(
                    msg("Entre as longitudes {a} e {b} a geometria passa pelo antimeridiano. Corte-a em duas a 180° (RFC 7946, 3.1.9)."),
                    a=float(corners[far[0], 0]), b=float(corners[far[0] + 1, 0]),
                )  # fmt: skip
        if area and not shapely.is_valid(part) and abs((whole := shapely.make_valid(part).area) - part.area) > SLIVER * whole:
            place = _PLACE.search(str(shapely.is_valid_reason(part)))
            raise UnusableEntity(
                msg("O polígono não é válido em ({x}, {y}): os seus anéis cruzam-se, ou não estão uns dentro dos outros. Corrija-o no programa de onde vem."),
                x=place[1] if place else "?", y=place[2] if place else "?",
            )  # fmt: skip


def _in_range(box: tuple[float, ...]) -> tuple[float, float, float, float]:
    west, south, east, north = box
    if not (all(math.isfinite(c) for c in box) and -180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise UnusableEntity(msg("As coordenadas ({x}, {y}) ficam fora do mundo em graus (longitude, latitude)."), x=west, y=south)
    return west, south, east, north


def geojson_of(wkb: bytes) -> dict[str, object]:
    """The GeoJSON of a stored shape."""
    return msgspec.json.decode(shapely.to_geojson(shapely.from_wkb(wkb)), type=dict[str, object])


def rounded(value: object) -> object:
    """Coordinates to 7 decimals, as history keeps them."""
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):  # Sequence would be asked for at a price that a batch feels
        return [rounded(item) for item in value]
    return value
