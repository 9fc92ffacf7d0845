"""Whether a value is a GeoJSON geometry that can lie where it says (RFC 7946), without building it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malha.kernel.text import msg, sentence
from malha.vocabulary.models.contracts import Finding
from malha.vocabulary.models.sentences import finding, show
from malha.vocabulary.models.simplified import GEOMETRIES

ACCEPTED_CRS = frozenset({"EPSG:4258", "EPSG:4326"})
#: how deep positions lie in the coordinates of each kind, and how many positions the innermost line needs
_DEPTH = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
_LEAST = {"LineString": 2, "MultiLineString": 2, "Polygon": 4, "MultiPolygon": 4}


def check(value: Any, path: str, report: list[Finding]) -> None:
    """Report what is wrong with the geometry `value`: form, range of degrees, open rings, swapped axes."""
    if not isinstance(value, Mapping) or value.get("type") not in GEOMETRIES:
        report.append(finding("geometry", path, reason=msg("falta o tipo da geometria")))
        return
    kind = value["type"]
    if kind == "GeometryCollection":
        for part in value.get("geometries") or ():
            check(part, path, report)
        return
    coordinates = value.get("coordinates")
    positions: list[Any] = []
    reason = _collect(coordinates, _DEPTH[kind], _LEAST.get(kind, 1), kind.endswith("Polygon"), positions)
    if reason:
        report.append(finding("geometry", path, reason=reason))
    else:
        _check_place(positions, path, report)


def _collect(coordinates: Any, depth: int, least: int, ring: bool, positions: list[Any]) -> str:
    """Gather the positions of `coordinates`; the reason why they are none, or an empty text."""
    if not isinstance(coordinates, list | tuple) or not coordinates:
        return msg("as coordenadas estão vazias")
    if depth == 0:
        if len(coordinates) < 2 or not all(type(number) in {int, float} for number in coordinates):
            return msg("cada posição tem de ser [longitude, latitude] em números")
        positions.append(coordinates)
        return ""
    if depth == 1 and len(coordinates) < least:
        return sentence(msg("são precisas pelo menos {least} posições"), least=least)
    for inner in coordinates:
        reason = _collect(inner, depth - 1, least, ring, positions)
        if reason:
            return reason
    if depth == 1 and ring and list(coordinates[0]) != list(coordinates[-1]):
        return msg("o contorno não fecha: a última posição tem de ser igual à primeira")
    return ""


def _check_place(positions: list[Any], path: str, report: list[Finding]) -> None:
    for position in positions:
        x, y = position[0], position[1]
        if -180 <= x <= 180 and -90 <= y <= 90:
            continue
        report.append(finding("metres" if abs(x) > 360 or abs(y) > 360 else "geometry", path, value=show(list(position)), reason=msg("fora de 180° e 90°")))
        return
    x, y = positions[0][0], positions[0][1]
    if 30 <= x <= 43 and -32 <= y <= -6:  # the place of Portugal with its axes the other way round
        report.append(finding("swapped", path, value=show([x, y])))


def check_crs(attribute: Mapping[str, Any] | None, path: str, report: list[Finding]) -> None:
    """The national catalogue adds a bare `coordinateSystem` to a GeoProperty; only two are accepted."""
    if attribute is None or "coordinateSystem" not in attribute:
        return
    crs = attribute["coordinateSystem"]
    if isinstance(crs, Mapping):
        crs = crs.get("value")
    if crs not in ACCEPTED_CRS:
        report.append(finding("crs", path, value=show(crs)))
