"""The map of a town that does not exist, on an island that does not exist either, so that nobody takes it for a real place."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import shapely
from shapely.geometry import LineString, MultiPoint, Point, Polygon, mapping

from malha.packs.demo_town import noise
from malha.packs.demo_town.contracts import MARK, SEED, Building, Parish, Street, Town

#: out at sea, west of the mainland
CENTRE = (-10.05, 39.15)
METRES_PER_DEGREE = 111_320.0
_PARISHES = (
    ("990101", "Malha Velha", 0.0, 0.0, 9),
    ("990102", "Santa Trama", 2300.0, 900.0, 7),
    ("990103", "Tear de Baixo", -700.0, -2500.0, 7),
    ("990104", "Urdidura", -2400.0, 700.0, 6),
    ("990105", "Lançadeira", 500.0, 2600.0, 6),
)
_KINDS = ("Rua", "Travessa", "Rua", "Avenida", "Rua", "Largo", "Rua", "Beco")
_THINGS = (
    "do Novelo", "da Agulha", "do Linho", "do Burel", "da Roca", "do Fuso", "dos Cardadores", "da Lã Fina", "do Algodão", "da Seda Crua",
    "do Bordado", "da Meada", "do Alfinete", "das Tecedeiras", "do Pente", "da Franja", "do Xaile", "da Manta", "do Dedal", "do Botão",
    "da Bainha", "do Ponto Cruz", "da Renda", "do Bilro", "da Urdideira", "do Fio Azul", "da Dobadoura", "do Retrós", "da Estopa", "do Feltro",
    "da Chita", "do Veludo", "da Sarja", "do Tafetá", "da Passamanaria", "do Remate",
)  # fmt: skip
STREET_SPACING_M = 105.0
DOOR_SPACING_M = 21.0


@cache
def town(seed: int = SEED) -> Town:
    """The whole map; the same seed gives the same map."""
    boundary = Polygon([_ray(angle) for angle in np.linspace(0, 2 * math.pi, 72, endpoint=False)])
    river = LineString([(3600, 3300), (2100, 2000), (1100, 1400), (420, 480), (-350, -420), (-900, -1500), (-1900, -2600), (-2700, -3600)])
    parishes = _parishes(boundary)
    streets: list[Street] = []
    buildings: list[Building] = []
    for number, ((_, name, east, north, size), (polygon, _parish)) in enumerate(zip(_PARISHES, parishes, strict=True)):
        for street in _streets(seed, number, name, (east, north), size, polygon):
            streets.append(street)
            buildings += _buildings(seed, street, len(buildings))
    west, south, east_, north_ = boundary.bounds
    return Town(
        boundary=_geojson(boundary), river=_geojson(river.intersection(boundary)), centre=CENTRE, extent=(*_degrees(west, south), *_degrees(east_, north_)),
        parishes=tuple(parish for _, parish in parishes), streets=tuple(streets), buildings=tuple(buildings),
    )  # fmt: skip


def river_places(count: int) -> list[tuple[float, float]]:
    """Places along the river, from the spring down."""
    points = [(2100, 2000), (1100, 1400), (420, 480), (-350, -420), (-900, -1500), (-1900, -2600)]
    line = LineString(points)
    return [_degrees(*line.interpolate((i + 0.5) / count, normalized=True).coords[0]) for i in range(count)]


def _ray(angle: float) -> tuple[float, float]:
    reach = 4300 * (1 + 0.14 * math.sin(3 * angle + 1) + 0.08 * math.sin(5 * angle) + 0.03 * math.sin(11 * angle))
    return (reach * math.cos(angle), reach * math.sin(angle))


def _parishes(boundary: Polygon) -> list[tuple[Polygon, Parish]]:
    cells = list(shapely.voronoi_polygons(MultiPoint([(east, north) for _, _, east, north, _ in _PARISHES]), extend_to=boundary).geoms)
    found = []
    for code, name, east, north, _ in _PARISHES:
        polygon = next(cell for cell in cells if cell.contains(Point(east, north))).intersection(boundary)
        found.append((polygon, Parish(code, f"{name} {MARK}", _geojson(polygon), _degrees(east, north))))
    return found


def _streets(seed: int, number: int, parish: str, centre: tuple[float, float], size: int, polygon: Polygon) -> list[Street]:
    angle = 0.35 * number + 0.2
    half = size * STREET_SPACING_M / 2
    streets = []
    for axis in range(2):
        for i in range(size):
            offset = (i - (size - 1) / 2) * STREET_SPACING_M
            bend = 14.0 * noise.bell(seed, 900 + number, np.array([axis * 100 + i]))[0]
            local = [(-half, offset), (0.0, offset + bend), (half, offset)] if axis == 0 else [(offset, -half), (offset + bend, 0.0), (offset, half)]
            line = LineString([_turn(point, angle, centre) for point in local]).intersection(polygon)
            if line.is_empty or line.geom_type != "LineString":
                continue
            order = number * 20 + axis * size + i
            name = f"{_KINDS[order % len(_KINDS)]} {_THINGS[(order * 7 + number) % len(_THINGS)]}"
            streets.append(Street(f"{name} {MARK}", f"{parish} {MARK}", _geojson(line), tuple(_doors(line))))
    return streets


def _doors(line: LineString) -> list[tuple[int, tuple[float, float]]]:
    doors = []
    for i in range(int(line.length // DOOR_SPACING_M)):
        side = -1 if i % 2 else 1
        x, y, dx, dy = _along(line, (i + 0.5) * DOOR_SPACING_M)
        doors.append((i + 1, _degrees(x - dy * 9 * side, y + dx * 9 * side)))
    return doors


def _buildings(seed: int, street: Street, already: int) -> list[Building]:
    found: list[Building] = []
    for i, (door, place) in enumerate(street.doors):
        if noise.uniform(seed, 901, np.array([already + i]))[0] < 0.25:
            continue  # a yard
        width, depth = 4.5 + 3 * noise.uniform(seed, 902, np.array([already + i, already + i + 7_000_000]))
        east, north = _metres(*place)
        outline = Polygon([(east - width, north - depth), (east + width, north - depth), (east + width, north + depth), (east - width, north + depth)])
        storeys = 1 + int(3.5 * noise.uniform(seed, 903, np.array([already + i]))[0])
        found.append(Building(already + len(found) + 1, street.name, door, street.parish, _geojson(outline), storeys))
    return found


def _along(line: LineString, distance: float) -> tuple[float, float, float, float]:
    here, there = line.interpolate(distance), line.interpolate(distance + 1)
    dx, dy = there.x - here.x, there.y - here.y
    length = math.hypot(dx, dy) or 1.0
    return here.x, here.y, dx / length, dy / length


def _turn(point: tuple[float, float], angle: float, centre: tuple[float, float]) -> tuple[float, float]:
    x, y = point
    return (centre[0] + x * math.cos(angle) - y * math.sin(angle), centre[1] + x * math.sin(angle) + y * math.cos(angle))


def _degrees(east_m: float, north_m: float) -> tuple[float, float]:
    return (
        round(CENTRE[0] + east_m / (METRES_PER_DEGREE * math.cos(math.radians(CENTRE[1]))), 7),
        round(CENTRE[1] + north_m / METRES_PER_DEGREE, 7),
    )


def _metres(longitude: float, latitude: float) -> tuple[float, float]:
    return ((longitude - CENTRE[0]) * METRES_PER_DEGREE * math.cos(math.radians(CENTRE[1])), (latitude - CENTRE[1]) * METRES_PER_DEGREE)


def _geojson(shape: Any) -> dict[str, object]:
    turned = shapely.transform(shape, lambda points: np.array([_degrees(x, y) for x, y in points]))
    return dict(mapping(shapely.normalize(turned) if shape.geom_type == "Polygon" else turned))
