"""Vector tiles of a collection (OGC API Tiles, Mapbox Vector Tile 2.1).

A square with few features is drawn from the database. One with many is cut from the whole layer, which this process
keeps as arrays (`layers.py`).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
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
from malha.share.datahub.features import layers
from malha.share.datahub.features.roots import Root
from malha.share.questions.contracts import BadFilter

#: features that are drawn one by one; above it the layer is kept
FEW = 2_000
_MATRIX = "WebMercatorQuad"
_SCHEME = "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad"
#: a tile asked for without a tag may be so much older than the data; its tag says so to whoever asks again
STATE_SECONDS = 1.0
_TILES_KEPT = 256
_encode = msgspec.json.Encoder().encode
type Guard = Callable[[door.Handler], door.Handler]


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


def forget(*, layers_too: bool = False) -> None:
    """Draw every tile again (and read every layer again): for tests and measurements."""
    with _lock:
        _tiles.clear()
        if layers_too:
            _states.clear()
    if layers_too:
        layers.forget()


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
        layer = layers.of(conn, reader, table, str(stamp[-1]))
        if layer is not None:
            return layers.cut(layer, z, x, y)
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
