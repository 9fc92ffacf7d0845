"""Vector tiles of a collection (OGC API Tiles, Mapbox Vector Tile 2.1).

A square with few features is drawn from the database. One with many is cut from the whole layer, which this process
keeps as arrays while nothing of it changes: each point's bytes are made once, a tile only picks and places them.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import psycopg
import shapely
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.context.live import tiles as drawing
from malha.context.store import service as store
from malha.kernel.text import msg
from malha.share.datahub import current, door
from malha.share.datahub.contracts import Reader, Table, TableKind, TableMissing
from malha.share.datahub.features.roots import Root
from malha.share.questions.contracts import BadFilter

#: features that are drawn one by one; above it the layer is kept
FEW = 2_000
#: above this many features a tile carries no long texts, only what a layer is coloured by
MANY = 10_000
_MATRIX = "WebMercatorQuad"
_SCHEME = "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad"
_LAYERS_KEPT = 8
#: a tile asked for without a tag may be so much older than the data; its tag says so to whoever asks again
STATE_SECONDS = 1.0
_TILES_KEPT = 256
_encode = msgspec.json.Encoder().encode
type Bytes = npt.NDArray[np.uint8]
type Guard = Callable[[door.Handler], door.Handler]


@dataclass(frozen=True, slots=True)
class Layer:
    """All points of a collection: where (0 to 1 over the web map), the bytes of each before its geometry, how many of them count."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    prefix: Bytes
    lengths: npt.NDArray[np.int64]
    tail: bytes  # keys and values of the layer, and its extent
    only_points: bool


_layers: OrderedDict[tuple[object, ...], Layer] = OrderedDict()
_tiles: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
_states: dict[tuple[object, ...], tuple[float, str]] = {}
_lock = threading.Lock()


def routes(guarded: Guard, root: Root) -> list[BaseRoute]:
    """Tile sets and tiles."""
    at = f"{root.path}/collections/{{collection}}/tiles"
    draw, describe = guarded(partial(tile, root)), guarded(partial(tileset, root))
    return [
        Route(f"{root.path}/tileMatrixSets", guarded(partial(matrix_sets, root)), methods=["GET"]),
        Route(f"{root.path}/tileMatrixSets/{_MATRIX}", guarded(partial(matrix_set, root)), methods=["GET"]),
        Route(at, describe, methods=["GET"]),
        Route(f"{at}/{_MATRIX}", describe, methods=["GET"]),
        Route(f"{at}/{_MATRIX}/{{z:int}}/{{y:int}}/{{x:int}}", draw, methods=["GET"]),
    ]


async def matrix_sets(root: Root, request: Request) -> Response:
    """GET /ogc/tileMatrixSets."""
    base = await root.read(request, lambda _conn, reader: root.at(reader))
    links = [{"href": f"{base}/tileMatrixSets/{_MATRIX}", "rel": "self", "type": "application/json"}]
    return door.conditional(request, _encode({"tileMatrixSets": [{"id": _MATRIX, "uri": _SCHEME, "links": links}]}), "application/json", root.headers)


async def matrix_set(root: Root, request: Request) -> Response:
    """GET /ogc/tileMatrixSets/WebMercatorQuad (OGC 17-083r4, annex D)."""
    await root.read(request, lambda _conn, _reader: None)
    half = 20037508.3427892
    levels = [
        {"id": str(z), "scaleDenominator": 559082264.028717 / 2**z, "cellSize": 2 * half / 256 / 2**z, "cornerOfOrigin": "topLeft", "pointOfOrigin": [-half, half],
         "tileWidth": 256, "tileHeight": 256, "matrixWidth": 2**z, "matrixHeight": 2**z} for z in range(drawing.DEEPEST + 1)
    ]  # fmt: skip
    body = {"id": _MATRIX, "uri": _SCHEME, "crs": "http://www.opengis.net/def/crs/EPSG/0/3857", "orderedAxes": ["X", "Y"], "tileMatrices": levels}
    return door.conditional(request, _encode(body), "application/json", root.headers)


async def tileset(root: Root, request: Request) -> Response:
    """GET …/tiles and …/tiles/WebMercatorQuad: where the tiles are, and the fields that they carry."""
    name = str(request.path_params["collection"])

    def work(conn: psycopg.Connection[Any], reader: Reader) -> bytes:
        table = _drawable(root.find(conn, reader, name))
        at = f"{root.at(reader)}/collections/{table.name}/tiles"
        links = [
            {"href": f"{at}/{_MATRIX}", "rel": "self", "type": "application/json"},
            {"href": f"{at}/{_MATRIX}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}", "rel": "item", "type": drawing.MEDIA, "templated": True},
            {"href": _SCHEME, "rel": "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"},
        ]  # fmt: skip
        one = {"title": table.label, "dataType": "vector", "crs": "http://www.opengis.net/def/crs/EPSG/0/3857", "tileMatrixSetURI": _SCHEME, "links": links, "layers": [{"id": "entities", "dataType": "vector"}]}  # fmt: skip
        return _encode(one if request.url.path.endswith(_MATRIX) else {"links": [{"href": at, "rel": "self", "type": "application/json"}], "tilesets": [one]})

    return door.conditional(request, await root.read(request, work), "application/json", root.headers)


def _drawable(table: Table) -> Table:
    if table.kind is not TableKind.CURRENT:
        raise TableMissing(msg("Há mosaicos do estado atual; a história pede-se por linhas."))
    if not table.within.shows("location"):
        raise TableMissing(msg("O seu acesso não abrange os lugares desta tabela."))
    return table


async def tile(root: Root, request: Request) -> Response:
    """GET …/tiles/WebMercatorQuad/{z}/{y}/{x}; 204 where the square is empty, 304 where it is as the reader has it."""
    z, x, y = (int(request.path_params[name]) for name in ("z", "x", "y"))
    if not (0 <= z <= drawing.DEEPEST and 0 <= x < 2**z and 0 <= y < 2**z):
        raise BadFilter(msg("Esse quadrado do mapa não existe."))
    name, known = str(request.path_params["collection"]), request.headers.get("if-none-match", "")

    def work(conn: psycopg.Connection[Any], reader: Reader) -> tuple[bytes | None, str]:
        table = _drawable(root.find(conn, reader, name))
        stamp = (conn.info.dbname, reader.tenant_id, table.entity_type, table.hidden, _state(conn, reader, table, known=bool(known)))
        tag = door.etag(*stamp, z, x, y)
        if tag in known:
            return None, tag
        body = _kept(_tiles, (*stamp, z, x, y), lambda: make(conn, reader, table, stamp, z, x, y), _TILES_KEPT)
        return body, tag

    body, tag = await root.read(request, work)
    headers = {"Cache-Control": "private, no-cache", **root.headers, "ETag": tag}
    if body is None:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=drawing.MEDIA, headers=headers) if body else Response(status_code=204, headers=headers)


def forget(*, layers: bool = False) -> None:
    """Draw every tile again (and read every layer again): for tests and measurements."""
    with _lock:
        _tiles.clear()
        if layers:
            _layers.clear()
            _states.clear()


def _state(conn: psycopg.Connection[Any], reader: Reader, table: Table, *, known: bool) -> str:
    """The fingerprint of a table, worked out once for all the tiles that a map asks for in one go; anew for who asks whether a tile that is known still holds."""
    key = (conn.info.dbname, reader.tenant_id, table.entity_type, table.within.mark)
    at, found = _states.get(key, (0.0, ""))
    if known or time.monotonic() - at > STATE_SECONDS:
        found = current.fingerprint(conn, reader.tenant_id, table)
        if len(_states) > 1_000:
            _states.clear()
        _states[key] = (time.monotonic(), found)
    return found


def _kept[T](shelf: OrderedDict[tuple[object, ...], T], key: tuple[object, ...], make_it: Callable[[], T], most: int) -> T:
    with _lock:
        found = shelf.get(key)
        if found is not None:
            shelf.move_to_end(key)
            return found
    found = make_it()
    with _lock:
        shelf[key] = found
        while len(shelf) > most:
            shelf.popitem(last=False)
    return found


def make(conn: psycopg.Connection[Any], reader: Reader, table: Table, stamp: tuple[object, ...], z: int, x: int, y: int) -> bytes:
    """The bytes of a tile, by the road that its number of features asks for."""
    square = drawing.bounds(z, x, y, drawing.BUFFER)
    if current.many(conn, reader.tenant_id, table, square, FEW):
        layer = _kept(_layers, stamp, lambda: read_layer(conn, reader, table), _LAYERS_KEPT)
        if layer.only_points:
            return cut(layer, z, x, y)
    if table.within.chosen:  # some of a type's things: the store's own road to a square knows them all
        return drawing.encode(_some(conn, reader, table, square), z, x, y)
    return drawing.draw(store.placed(conn, reader.tenant_id, table.entity_type, square, limit=drawing.FEATURES), z, x, y, table.hidden)


def _some(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, square: tuple[float, float, float, float]
) -> list[tuple[int, shapely.Geometry, dict[str, Any]]]:
    """(number, place, properties) of the table's own features in a square."""
    fields = [(at, field) for at, field in enumerate(table.fields) if field.attribute]
    named = next(at for at, field in enumerate(table.fields) if field.name == "id")
    found = []
    for number, row, place in current.placed(conn, reader.tenant_id, table, None, (), square, limit=drawing.FEATURES):
        cells = {
            field.name: row[at]
            for at, field in fields
            if isinstance(row[at], int | float) or (isinstance(row[at], str) and len(str(row[at])) <= drawing.TEXT_LENGTH)
        }
        if place is not None:
            found.append((number, place, {"uri": row[named], **cells}))
    return found


def read_layer(conn: psycopg.Connection[Any], reader: Reader, table: Table) -> Layer:
    """Every point of the table as arrays; `only_points` is False where something else was among them."""
    fields = tuple(field for field in table.fields if field.name not in {"longitude", "latitude", "location", "createdAt", "modifiedAt"})
    rows: list[list[object]] = []
    found: list[npt.NDArray[np.object_]] = []
    for some, places in current.walk(conn, reader.tenant_id, table, fields):
        there = ~shapely.is_missing(places)
        found.append(places[there])
        rows += some if bool(there.all()) else [row for row, is_there in zip(some, there, strict=True) if is_there]
    shapes = np.concatenate(found) if found else np.empty(0, object)
    if len(rows) == 0 or not bool(np.all(shapely.get_type_id(shapes) == 0)):
        return Layer(np.empty(0), np.empty(0), np.empty((0, 0), np.uint8), np.empty(0, np.int64), b"", only_points=False)
    points = shapely.get_coordinates(shapes)
    lat = np.radians(np.clip(points[:, 1], -85.06, 85.06))
    right, down = (points[:, 0] + 180.0) / 360.0, (1.0 - np.arcsinh(np.tan(lat)) / np.pi) / 2.0
    names = [field.name for field in fields]
    columns = [(name, column) for name, column in zip(names, zip(*rows, strict=True), strict=True) if len(rows) <= MANY or name != "id"]
    prefix, lengths, tail = _described(len(rows), [pair for pair in columns if pair[1].count(None) < len(rows)])
    return Layer(right, down, prefix, lengths, tail, only_points=True)


def _described(count: int, columns: list[tuple[str, tuple[object, ...]]]) -> tuple[Bytes, npt.NDArray[np.int64], bytes]:
    """Feature number, tags and type of each row as bytes, and the layer's tables of keys and values. Numbers take three bytes always."""
    values: dict[tuple[type, object], int] = {}
    tags = np.zeros((count, len(columns) * 4), np.uint8)
    there = np.zeros((count, len(columns)), bool)
    for column, (_, cells) in enumerate(columns):
        codes = np.fromiter((_code(value, values) for value in cells), np.int64, count)
        there[:, column] = codes >= 0
        tags[:, column * 4] = column
        tags[:, column * 4 + 1 : column * 4 + 4] = _three(np.maximum(codes, 0))
    kept = np.repeat(there, 4, axis=1)
    sizes = kept.sum(axis=1)
    packed = tags if bool(there.all()) else np.take_along_axis(tags, np.argsort(~kept, axis=1, kind="stable"), axis=1)
    lengths = sizes.astype(np.int64)
    head = np.zeros((count, 6), np.uint8)  # 18 01: a point; 12 len: packed tags
    head[:, 0], head[:, 1], head[:, 2] = 0x18, 0x01, 0x12
    head[:, 3:6] = _three(lengths)
    tail = b"".join(b"\x1a" + _sized(name.encode()) for name, _ in columns)
    tail += b"".join(b"\x22" + _sized(_value(value)) for _, value in values)
    return np.hstack([head, packed]), lengths + 6, tail + b"\x28" + _varint(drawing.EXTENT) + b"\x78\x02"


def _code(value: object, values: dict[tuple[type, object], int]) -> int:
    """The number of a value in the layer's table, given when it is first seen; -1 for what a tile does not carry."""
    kind = type(value)
    if kind is float or kind is int or kind is bool or (kind is str and len(value) <= drawing.TEXT_LENGTH):  # type: ignore[arg-type]  # a text, by `kind`
        return values.setdefault((kind, value), len(values))
    return -1


def _three(numbers: npt.NDArray[np.int64]) -> Bytes:
    """Each number (below 2²¹) as a varint of three bytes, which readers take as they take shorter ones."""
    return np.column_stack((numbers & 0x7F | 0x80, numbers >> 7 & 0x7F | 0x80, numbers >> 14 & 0x7F)).astype(np.uint8)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _value(value: object) -> bytes:
    if isinstance(value, bool):
        return b"\x38" + (b"\x01" if value else b"\x00")
    if isinstance(value, int) and value >= 0:
        return b"\x28" + _varint(value)
    if isinstance(value, int | float):
        return b"\x19" + struct.pack("<d", float(value))
    return b"\x0a" + _sized(str(value).encode())


def cut(layer: Layer, z: int, x: int, y: int) -> bytes:
    """The tile of a layer: its points within the square and its margin, each at a whole unit of the tile."""
    size = 2.0**z
    margin = drawing.BUFFER
    across, down = layer.x * size - x, layer.y * size - y
    chosen = np.flatnonzero((across >= -margin) & (across <= 1 + margin) & (down >= -margin) & (down <= 1 + margin))
    if not chosen.size:
        return b""
    column = np.rint(across[chosen] * drawing.EXTENT).astype(np.int64)
    line = np.rint(down[chosen] * drawing.EXTENT).astype(np.int64)
    prefix, lengths = layer.prefix[chosen], layer.lengths[chosen]
    width = prefix.shape[1]
    whole = np.zeros((chosen.size, 4 + width + 9), np.uint8)
    whole[:, 0] = 0x12
    whole[:, 1:4] = _three(lengths + 9)
    whole[:, 4 : 4 + width] = prefix
    whole[:, 4 + width : 7 + width] = (0x22, 0x07, 0x09)  # a packed geometry of seven bytes: one MoveTo
    whole[:, 7 + width : 10 + width] = _three(column << 1 ^ column >> 63)
    whole[:, 10 + width : 13 + width] = _three(line << 1 ^ line >> 63)
    if bool(np.all(lengths == width)):
        features = whole.tobytes()
    else:
        places = np.arange(width)
        keep = np.ones(whole.shape, bool)
        keep[:, 4 : 4 + width] = places < lengths[:, None]
        features = whole[keep].tobytes()
    body = b"\x0a" + _sized(b"entities") + features + layer.tail
    return b"\x1a" + _sized(body)
