"""Keep what is read within the reach of whoever reads: an SQL condition, then shape by shape and attribute by attribute.

The reach comes from `foundation.access.reach`, which the doors set: nobody who reads through the store can forget it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import msgspec
import psycopg
import shapely
from shapely.geometry.base import BaseGeometry

from malha.context.store import names, shapes
from malha.context.store.contracts import EntityQuery, PlacedEntity, StoredEntity
from malha.foundation.access import reach
from malha.foundation.access.contracts import BeyondReach, Grain, Reach
from malha.kernel.text import msg

type Parts = tuple[Reach, ...]


class Condition(Protocol):
    """A WHERE clause in the making."""

    empty: bool

    def add(self, part: str, *params: object) -> None:
        """Add a part, joined by AND."""


@dataclass(frozen=True, slots=True)
class _Area:
    shape: BaseGeometry
    box: tuple[float, float, float, float]


def area(part: Reach) -> _Area | None:
    """The area of a part, ready to be asked; None without one."""
    return None if part.area is None else _area(msgspec.json.encode(part.area, order="sorted"))


@lru_cache(maxsize=256)
def _area(geojson: bytes) -> _Area:
    shape = shapely.make_valid(shapely.from_geojson(geojson))
    shapely.prepare(shape)
    return _Area(shape, shape.bounds)


def narrow(conn: psycopg.Connection[Any], condition: Condition, question: EntityQuery, asked: Iterable[str]) -> Parts | None:
    """Add the reader's reach to a question and return the parts that are left; None where nothing is limited.

    `asked` are the attributes that the question is about: one that is hidden would be told bit by bit. Raises BeyondReach.
    """
    found = reach.parts(question.types)
    if found is None:
        return None
    if not found:
        condition.empty = True
        return found
    shown = reach.allowed(found, question.types)
    if shown is not None and (hidden := sorted(set(asked) - shown)):
        raise BeyondReach(msg("O seu acesso não abrange o atributo “{name}”."), name=hidden[0])
    alternatives: list[str] = []
    params: list[object] = []
    for part in found:
        _alternative(conn, part, alternatives, params)
    if not alternatives:
        condition.empty = True
    else:
        condition.add("(" + " OR ".join(alternatives) + ")", *params)
    reach.note(found, question.types)
    return found


def _alternative(conn: psycopg.Connection[Any], part: Reach, alternatives: list[str], params: list[object]) -> None:
    ways = ["true"]
    if part.types is not None:
        ids = list(names.existing(conn, "entity_type", sorted(part.types)).values())
        if not ids:
            return
        ways.append("(e.type_id = ANY (%s::int[]) OR (cardinality(e.types) > 1 AND e.types && %s::int[]))")
        params += [ids, ids]
    if (where := area(part)) is not None:
        west, south, east, north = where.box
        ways.append("e.bbox && box(point(%s, %s), point(%s, %s))")
        params += [east, north, west, south]
    alternatives.append("(" + " AND ".join(ways) + ")")


def exact(found: Parts | None) -> bool:
    """Whether boxes alone do not decide: some part has an area."""
    return found is not None and any(part.area is not None for part in found)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a reader sees of one entity: attributes by name (None: all), shapes within an area (None: anywhere)."""

    names: frozenset[str] | None
    area: BaseGeometry | None

    def shows(self, name: str) -> bool:
        """Whether the attribute is shown."""
        return self.names is None or name in self.names

    def of(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes that are shown, their shapes cut to the area."""
        found = {name: value for name, value in attributes.items() if self.shows(name)}
        return found if self.area is None else {name: kept for name, value in found.items() if (kept := _cut(value, self.area)) is not None}


WHOLE = Sight(None, None)


def sight(entity: StoredEntity, found: Parts | None) -> Sight | None:
    """What a reader of these parts sees of an entity as it is; None when it lies beyond. Who may have averages alone sees nothing of it."""
    if found is None:
        return WHOLE
    holding = [
        part
        for part in found
        if (reach.averages_too() or part.allows(Grain.RAW)) and _holds(part, entity.types, shapes.shape_of(entity.attributes, "location"))
    ]
    return Sight(reach.allowed(tuple(holding)), _union(holding)) if holding else None


def seen(entity: StoredEntity, found: Parts | None) -> StoredEntity | None:
    """The entity as the reader may see it: attributes that are shown, shapes cut to the area; None when it lies beyond."""
    if found is None:
        return entity
    limit = sight(entity, found)
    if limit is None:
        return None
    if reach.averages_too():
        return replace(entity, attributes=Sight(limit.names, None).of(entity.attributes))
    attributes = limit.of(entity.attributes)
    place = attributes.get("location")
    value = (place[0] if isinstance(place, list) and place else place) if place else None
    return replace(entity, attributes=attributes, location=value["value"] if isinstance(value, dict) and isinstance(value.get("value"), dict) else None)


def _holds(part: Reach, types: Sequence[str], shape: BaseGeometry | None) -> bool:
    if part.types is not None and part.types.isdisjoint(types):
        return False
    where = area(part)
    return where is None or (shape is not None and bool(shapely.intersects(where.shape, shape)))


def _union(holding: Sequence[Reach]) -> BaseGeometry | None:
    """The area of all these parts; None when one of them has no limit."""
    areas = [where.shape for part in holding if (where := area(part)) is not None]
    return None if len(areas) < len(holding) else areas[0] if len(areas) == 1 else shapely.union_all(areas)


def _cut(attribute: object, limit: BaseGeometry) -> object:
    """A GeoProperty cut to the area, None when nothing of it lies there; any other attribute as it is."""
    if isinstance(attribute, list):
        return [kept for one in attribute if (kept := _cut(one, limit)) is not None] or None
    if not isinstance(attribute, dict) or attribute.get("type") != "GeoProperty":
        return attribute
    shape = shapes.shape_of({"it": attribute}, "it")
    if shape is None:
        return None
    if shapely.covers(limit, shape):
        return attribute
    inside = shapely.intersection(limit, shape)
    return None if inside.is_empty else {**attribute, "value": msgspec.json.decode(shapely.to_geojson(inside))}


def placed(one: PlacedEntity, types: Sequence[str], found: Parts | None) -> PlacedEntity | None:
    """As `seen`, for an entity about to be drawn; None where its place may not be seen."""
    if found is None:
        return one
    shape = shapely.Point(one.box[0], one.box[1]) if one.wkb is None else shapely.from_wkb(one.wkb)
    holding = [part for part in found if _holds(part, types, shape) and (part.attributes is None or "location" in part.attributes)]
    if not holding:
        return None
    shown = reach.allowed(tuple(holding))
    attributes = one.attributes if shown is None else {name: value for name, value in one.attributes.items() if name in shown}
    limit = _union(holding)
    if limit is None or one.wkb is None or shapely.covers(limit, shape):
        return replace(one, attributes=attributes)
    inside = shapely.intersection(limit, shape)
    return replace(one, attributes=attributes, wkb=shapely.to_wkb(inside), box=inside.bounds)


def allow_write(types: Sequence[str], attributes: Iterable[str], shape: BaseGeometry | None) -> bool:
    """Whether somebody with this reach may write such an entity: its type, all its attributes, its place inside the area."""
    found = reach.parts(types)
    return found is None or any(
        (part.types is None or part.types.issuperset(types))
        and (part.attributes is None or part.attributes.issuperset(attributes))
        and ((where := area(part)) is None or (shape is not None and bool(shapely.covers(where.shape, shape))))
        for part in found
    )
