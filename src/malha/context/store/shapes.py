"""Exact answers about places: what the boxes of PostgreSQL let through is looked at here, shape by shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pyproj
import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from malha.context.store.contracts import EntityQuery, GeoRelation, StoredEntity, UnusableQuery
from malha.kernel.text import msg

METRES_PER_DEGREE = 110_574.0  # of latitude, the shortest
RELATIONS = frozenset({"near", "within", "contains", "intersects", "overlaps", "disjoint", "equals"})
type Box = tuple[float, float, float, float]


@lru_cache(maxsize=1)
def _ellipsoid() -> pyproj.Geod:
    return pyproj.Geod(ellps="WGS84")


def distance_m(a: BaseGeometry, b: BaseGeometry) -> float:
    """The geodesic distance of the two nearest points, in metres."""
    if a.geom_type == b.geom_type == "Point":
        return float(_ellipsoid().inv(a.x, a.y, b.x, b.y)[2])
    shrink = max(0.01, math.cos(math.radians((a.centroid.y + b.centroid.y) / 2)))  # a degree of longitude, in degrees of latitude
    near, far = shapely.get_coordinates(shapely.shortest_line(_squeezed(a, shrink), _squeezed(b, shrink)))
    return float(_ellipsoid().inv(near[0] / shrink, near[1], far[0] / shrink, far[1])[2])


def _squeezed(shape: BaseGeometry, factor: float) -> BaseGeometry:
    return shapely.transform(shape, lambda points: points * (factor, 1.0))


class GeoFilter:
    """One question about places: `box` is what the index can use (None: nothing), `holds` decides."""

    def __init__(self, relation: GeoRelation) -> None:
        if relation.relation not in RELATIONS:
            raise UnusableQuery(msg("A relação geográfica “{relation}” não existe."), relation=relation.relation[:40])
        self.relation = relation
        try:
            self.geometry = shapely.from_geojson(msgspec.json.encode(relation.geometry))
        except (ShapelyError, ValueError, TypeError) as reason:
            raise UnusableQuery(msg("A geometria da pergunta não é GeoJSON.")) from reason
        if self.geometry is None or self.geometry.is_empty:
            raise UnusableQuery(msg("A geometria da pergunta não é GeoJSON."))
        shapely.prepare(self.geometry)
        self.box = self._box()

    def _box(self) -> Box | None:
        if self.relation.relation == "disjoint" or self.relation.attribute != "location":
            return None
        west, south, east, north = self.geometry.bounds
        if self.relation.relation != "near":
            return west, south, east, north
        if self.relation.max_distance_m is None:
            return None
        up = self.relation.max_distance_m / METRES_PER_DEGREE * 1.01
        poleward = min(89.9, max(abs(south), abs(north)) + up)
        aside = min(360.0, up / math.cos(math.radians(poleward)))
        return west - aside, max(-90.0, south - up), east + aside, min(90.0, north + up)

    def holds(self, shape: BaseGeometry) -> bool:
        """Whether the entity's shape stands in the relation."""
        relation = self.relation
        if relation.relation == "near":
            metres = distance_m(shape, self.geometry)
            return (relation.max_distance_m is None or metres <= relation.max_distance_m) and (
                relation.min_distance_m is None or metres >= relation.min_distance_m
            )
        test: Callable[[BaseGeometry, BaseGeometry], Any] = getattr(shapely, relation.relation)
        return bool(test(shape, self.geometry))

    def hold_at(self, lons: Sequence[float], lats: Sequence[float]) -> Sequence[bool] | None:
        """Which of these points stand in the relation, all in one go; None where each has to be looked at as a shape."""
        relation, x, y = self.relation, np.asarray(lons, float), np.asarray(lats, float)
        if relation.relation == "near" and self.geometry.geom_type == "Point":
            metres = _ellipsoid().inv(x, y, np.full(len(x), self.geometry.x), np.full(len(x), self.geometry.y))[2]
            most, least = relation.max_distance_m, relation.min_distance_m
            kept: Sequence[bool] = ((metres <= (math.inf if most is None else most)) & (metres >= (0.0 if least is None else least))).tolist()
            return kept
        test = {"within": shapely.contains_xy, "intersects": shapely.intersects_xy}.get(relation.relation)
        return test(self.geometry, x, y).tolist() if test is not None else None


def filters(query: EntityQuery) -> list[GeoFilter]:
    """The exact questions about places of a query; its bbox is none, the index answers it whole."""
    found: list[GeoFilter] = []
    if query.near is not None:
        lon, lat, metres = query.near
        found.append(GeoFilter(GeoRelation("near", {"type": "Point", "coordinates": [lon, lat]}, max_distance_m=metres)))
    if query.within is not None:
        found.append(GeoFilter(GeoRelation("within", query.within)))
    if query.geo is not None:
        found.append(GeoFilter(query.geo))
    return found


def all_hold(entity: StoredEntity, exact: Sequence[GeoFilter]) -> bool:
    """Whether the entity stands in every relation."""
    return all((shape := shape_of(entity.attributes, one.relation.attribute)) is not None and one.holds(shape) for one in exact)


def all_holding(entities: Sequence[StoredEntity], exact: Sequence[GeoFilter]) -> list[StoredEntity]:
    """Those of the entities that stand in every relation, in their order."""
    left = list(entities)
    for one in exact:
        points = [_point_of(entity.attributes, one.relation.attribute) for entity in left]
        placed = [point for point in points if point is not None]
        known = one.hold_at([x for x, _ in placed], [y for _, y in placed]) if placed else []
        if known is None:
            left = [entity for entity in left if all_hold(entity, [one])]
            continue
        answers = iter(known)
        left = [entity for entity, point in zip(left, points, strict=True) if (next(answers) if point is not None else all_hold(entity, [one]))]
    return left


def _point_of(attributes: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """(longitude, latitude) of a GeoProperty that is one point; None for all else."""
    member = attributes.get(name)
    value = member.get("value") if isinstance(member, dict) else None
    if not isinstance(value, dict) or value.get("type") != "Point":
        return None
    at = value.get("coordinates")
    return (at[0], at[1]) if isinstance(at, list) and len(at) >= 2 else None


def shape_of(entity: dict[str, Any], attribute: str) -> BaseGeometry | None:
    """The shape that an entity's document gives for a GeoProperty, None where it has none."""
    member = entity.get(attribute)
    if isinstance(member, list):
        member = member[0] if member else None
    value = member.get("value") if isinstance(member, dict) else None
    if not isinstance(value, dict):
        return None
    coordinates = value.get("coordinates")
    if value.get("type") == "Point" and isinstance(coordinates, list):
        return shapely.Point(coordinates[0], coordinates[1])
    try:
        return shapely.from_geojson(msgspec.json.encode(value))
    except (ShapelyError, ValueError):
        return None
