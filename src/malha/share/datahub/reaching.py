"""What of each table somebody with a limited reach gets: which attributes, and the things of which area.

Where several parts of a reach concern one type, their areas together count, and of the attributes those that all of
them show: a table has one set of columns for all of its rows. Averages alone (agreements) are no matter of this room.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec
import shapely

from malha.foundation.access import reach
from malha.foundation.access.contracts import Grain
from malha.share.datahub.contracts import Within


def keeps(found: reach.Parts | None) -> bool:
    """Whether the feeds of this room know how to keep to this reach: each value may be seen, and no reading is to be noted."""
    return found is None or all(part.grain is Grain.RAW and part.agreement_id is None for part in found)


def of_type(found: reach.Parts | None, entity_type: str) -> Within | None:
    """The part of a type that the reach leaves; None for nothing of it."""
    if found is None:
        return Within()
    concerned = tuple(part for part in found if part.types is None or entity_type in part.types)
    named = [part.attributes for part in concerned if part.attributes is not None]
    attributes = frozenset.intersection(*named) if named else None
    if not concerned or not keeps(concerned) or attributes == frozenset():
        return None
    areas = [part.area for part in concerned if part.area is not None]
    if len(areas) < len(concerned):
        return Within(attributes, mark=reach.mark(concerned))
    shapes = [shapely.make_valid(shapely.from_geojson(msgspec.json.encode(area).decode())) for area in areas]
    return Within(attributes, shapely.to_wkb(shapely.union_all(shapes)), reach.mark(concerned))


@lru_cache(maxsize=256)
def shape(area: bytes) -> shapely.Geometry:
    """The area of a `Within`, ready to be asked."""
    made = shapely.from_wkb(area)
    shapely.prepare(made)
    return made


def cut(place: shapely.Geometry | None, area: bytes) -> shapely.Geometry | None:
    """What of a place lies in the area; None for nothing."""
    if place is None or not area or shapely.covers(shape(area), place):
        return place
    inside = shapely.intersection(shape(area), place)
    return None if inside.is_empty else inside
