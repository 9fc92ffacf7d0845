"""Entities of a type as Mapbox vector tiles: points and shapes of one square of the web map, kept while nothing changes."""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import Any

import mapbox_vector_tile
import numpy as np
import psycopg
import shapely
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door
from malha.context.broker.contracts import Asked, BadRequestData
from malha.context.store import service as store
from malha.context.store.contracts import MEMBER, PlacedEntity
from malha.kernel.text import msg
from malha.vocabulary.models import service as models

EXTENT = 4096
BUFFER = 64 / EXTENT
DEEPEST = 22
FEATURES = 20_000
TEXT_LENGTH = 200
MEDIA = "application/vnd.mapbox-vector-tile"
_kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
_KEPT = 512


async def tile(request: Request) -> Response:
    """GET /tiles/entities/{type}/{z}/{x}/{y}.mvt; 204 where the square is empty, 304 where it is as the reader has it."""
    z, x, y = (int(request.path_params[name]) for name in ("z", "x", "y"))
    entity_type = str(request.path_params.get("type") or request.query_params.get("type", "")).partition("?")[0]
    if not (0 <= z <= DEEPEST and 0 <= x < 2**z and 0 <= y < 2**z) or not entity_type:
        raise BadRequestData(msg("Esse quadrado do mapa não existe."))
    known = request.headers.get("if-none-match", "")

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[bytes | None, str]:
        if not door.within_reach(who, (entity_type,)):
            return b"", '"0"'
        box = bounds(z, x, y, BUFFER)
        etag = f'"{store.fingerprint(conn, who.tenant_id, entity_type, box)}"'
        if etag == known:
            return None, etag
        key = (conn.info.dbname, who.tenant_id, entity_type, z, x, y, etag)
        body = _kept.get(key)
        if body is None:
            placed = store.placed(conn, who.tenant_id, entity_type, box, limit=FEATURES)
            body = draw(placed, z, x, y, _hidden(entity_type, who.tenant_id))
            _keep(key, body)
        return body, etag

    body, etag = await door.read(request, work)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if body is None:
        return Response(status_code=304, headers=headers)
    if not body:
        return Response(status_code=204, headers=headers)
    return Response(body, media_type=MEDIA, headers=headers)


def _keep(key: tuple[object, ...], body: bytes) -> None:
    _kept[key] = body
    while len(_kept) > _KEPT:
        _kept.popitem(last=False)


def _hidden(entity_type: str, tenant_id: int) -> frozenset[str]:
    """Attributes about people: never in tiles."""
    model = models.find(entity_type, tenant_id)
    return frozenset(p.name for p in model.properties if p.personal) if model else frozenset()


def bounds(z: int, x: int, y: int, buffer: float = 0.0) -> tuple[float, float, float, float]:
    """West, south, east, north of a tile in degrees, with a margin in parts of the tile."""
    count = 2.0**z
    return _lon((x - buffer) / count), _lat((y + 1 + buffer) / count), _lon((x + 1 + buffer) / count), _lat((y - buffer) / count)


def _lon(part: float) -> float:
    return max(-180.0, min(180.0, part * 360.0 - 180.0))


def _lat(part: float) -> float:
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * min(1.0, max(0.0, part))))))


def to_tile(z: int, x: int, y: int, coordinates: Any) -> Any:
    """Degrees as whole units of a tile, counted from its lower left corner (EPSG:3857 inside)."""
    lat = np.radians(np.clip(coordinates[:, 1], -85.06, 85.06))
    right = (coordinates[:, 0] + 180.0) / 360.0 * 2**z - x
    down = (1.0 - np.arcsinh(np.tan(lat)) / np.pi) / 2.0 * 2**z - y
    return np.rint(np.column_stack((right, 1.0 - down)) * EXTENT)


def draw(placed: list[PlacedEntity], z: int, x: int, y: int, hidden: frozenset[str]) -> bytes:
    """The tile's bytes, empty without features. One layer, `entities`."""
    return encode([(one.id, _geometry(one), {"uri": one.uri, **properties(one.attributes, hidden)}) for one in placed], z, x, y)


def encode(found: list[tuple[int, shapely.Geometry, dict[str, Any]]], z: int, x: int, y: int) -> bytes:
    """The tile of (number, place in EPSG:4326 degrees, properties), empty without features."""
    square = partial(to_tile, z, x, y)
    features = [{"geometry": shapely.transform(place, square), "properties": own, "id": number} for number, place, own in found]
    if not features:
        return b""
    encoded: bytes = mapbox_vector_tile.encode([{"name": "entities", "features": features}], default_options={"extents": EXTENT})
    return encoded


def _geometry(one: PlacedEntity) -> shapely.Geometry:
    return shapely.Point(one.box[0], one.box[1]) if one.wkb is None else shapely.from_wkb(one.wkb)


def properties(attributes: dict[str, Any], hidden: frozenset[str]) -> dict[str, str | float | int | bool]:
    """What a map shows of an entity: numbers, booleans and short texts."""
    out: dict[str, str | float | int | bool] = {}
    for name, attribute in attributes.items():
        first = attribute[0] if isinstance(attribute, list) and attribute else attribute
        if name in hidden or not isinstance(first, dict):
            continue
        value = first.get(MEMBER.get(str(first.get("type")), "value"))
        if isinstance(value, dict) and "languageMap" in first:
            value = value.get("pt") or next(iter(value.values()), None)
        if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= TEXT_LENGTH):
            out[name] = value
    return out
