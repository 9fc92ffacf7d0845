"""Coordinate reference systems that places are given in (OGC API Features part 2)."""

from __future__ import annotations

from functools import cache

import numpy as np
import shapely
from pyproj import Transformer

from malha.kernel.text import msg
from malha.share.questions.contracts import BadFilter

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
#: WGS 84 by latitude, PT-TM06 of the mainland, Azores (west and centre, east), Madeira, web map
SYSTEMS = (CRS84, *(f"{_EPSG}{code}" for code in (4326, 3763, 5014, 5015, 5016, 3857)))


def checked(text: str, *, default: str = CRS84) -> str:
    """The system that a parameter names, as URI, `[EPSG:3763]` or `EPSG:3763`. Raises BadFilter."""
    if not text:
        return default
    bare = text.strip("[]")
    found = f"{_EPSG}{bare.rpartition(':')[2]}" if bare.upper().startswith("EPSG:") else bare
    if found not in SYSTEMS:
        raise BadFilter(msg("O sistema de coordenadas “{crs}” não se dá aqui. Há: {known}."), crs=text[:80], known=", ".join(SYSTEMS))
    return found


@cache
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _code(system: str) -> str:
    return "OGC:CRS84" if system in {CRS84, f"{_EPSG}4326"} else f"EPSG:{system.rpartition('/')[2]}"


def to_system(shapes: list[shapely.Geometry | None], system: str) -> list[shapely.Geometry | None]:
    """Shapes in CRS84 as shapes in `system`, in the axis order that it declares."""
    if system == CRS84:
        return shapes
    array = np.array(shapes, dtype=object)
    if system == f"{_EPSG}4326":
        return list(shapely.transform(array, lambda points: points[:, ::-1]))
    step = _transformer("OGC:CRS84", _code(system))
    return list(shapely.transform(array, lambda points: np.round(np.column_stack(step.transform(points[:, 0], points[:, 1])), 3)))


def from_system(shape: shapely.Geometry, system: str) -> shapely.Geometry:
    """A shape in `system` as one in CRS84."""
    if system == CRS84:
        return shape
    if system == f"{_EPSG}4326":
        return shapely.transform(shape, lambda points: points[:, ::-1])
    step = _transformer(_code(system), "OGC:CRS84")
    return shapely.transform(shape, lambda points: np.column_stack(step.transform(points[:, 0], points[:, 1])))
