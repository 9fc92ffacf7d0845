"""The routes of OGC API Features (parts 1, 2, 3) and of tiles, under `/ogc`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.kernel.text import msg
from malha.share.datahub import door
from malha.share.datahub.contracts import Reader, Table, TableKind, TableMissing
from malha.share.datahub.features import asking, opened, roots, systems, tiles
from malha.share.datahub.features.roots import Root
from malha.share.datahub.odata import metadata
from malha.share.questions.contracts import FieldType
from malha.share.questions.expressions import Binary, Literal, Name

GEOJSON, JSON = "application/geo+json", "application/json"
_F = "http://www.opengis.net/spec/ogcapi-features"
_CONFORMS = (
    f"{_F}-1/1.0/conf/core", f"{_F}-1/1.0/conf/geojson", f"{_F}-1/1.0/conf/oas30", f"{_F}-2/1.0/conf/crs",
    f"{_F}-3/1.0/conf/queryables", f"{_F}-3/1.0/conf/queryables-query-parameters", f"{_F}-3/1.0/conf/filter", f"{_F}-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text", "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json", "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/advanced-comparison-operators", "http://www.opengis.net/spec/cql2/1.0/conf/case-insensitive-comparison",
    "http://www.opengis.net/spec/cql2/1.0/conf/accent-insensitive-comparison", "http://www.opengis.net/spec/cql2/1.0/conf/arithmetic",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core", "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/tileset",
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/mvt",
)  # fmt: skip
_SCHEMA = {FieldType.NUMBER: "number", FieldType.INTEGER: "integer", FieldType.BOOLEAN: "boolean"}
_FORMATS = {FieldType.INSTANT: "date-time", FieldType.DATE: "date"}
_encode = msgspec.json.Encoder().encode


def routes() -> list[BaseRoute]:
    """Everything under `/ogc`: what was opened to everybody, then what keys open."""
    return [*_routes(opened.ROOT), *_routes(roots.KEYED)]


def _routes(root: Root) -> list[BaseRoute]:
    guarded = partial(door.guarded, form=door.problem)
    at = f"{root.path}/collections/{{collection}}"
    pairs: list[tuple[str, Callable[[Root, Request], Awaitable[Response]]]] = [
        (root.path, landing), (f"{root.path}/", landing), (f"{root.path}/conformance", conformance), (f"{root.path}/api", api),
        (f"{root.path}/collections", collections), (at, collection), (f"{at}/queryables", queryables), (f"{at}/items", items), (f"{at}/items/{{item:path}}", item),
    ]  # fmt: skip
    return [*(Route(path, guarded(partial(handler, root)), methods=["GET"]) for path, handler in pairs), *tiles.routes(guarded, root)]


def _link(href: str, rel: str, kind: str = JSON, title: str = "", **more: object) -> dict[str, object]:
    return {"href": href, "rel": rel, "type": kind, **({"title": title} if title else {}), **more}


async def landing(root: Root, request: Request) -> Response:
    """GET /ogc: where everything is."""

    def work(_conn: psycopg.Connection[Any], reader: Reader) -> bytes:
        at = root.at(reader)
        links = [
            _link(f"{at}/", "self"), _link(f"{at}/api", "service-desc", "application/vnd.oai.openapi+json;version=3.0"),
            _link(f"{at}/conformance", "conformance"), _link(f"{at}/collections", "data"),
            _link(f"{at}/tileMatrixSets", "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes"),
        ]  # fmt: skip
        return _encode({"title": reader.tenant_name, "description": f"Malha · {reader.tenant_name}", "links": links})

    return door.conditional(request, await root.read(request, work), JSON, root.headers)


async def conformance(root: Root, request: Request) -> Response:
    """GET /ogc/conformance: the classes that are kept, and no other."""
    await root.read(request, lambda _conn, _reader: None)
    return door.conditional(request, _encode({"conformsTo": _CONFORMS}), JSON, root.headers)


async def api(root: Root, request: Request) -> Response:
    """GET /ogc/api: OpenAPI 3.0."""

    def work(_conn: psycopg.Connection[Any], reader: Reader) -> bytes:
        parameters = [{"name": name, "in": "query", "required": False, "schema": {"type": kind}} for name, kind in (("limit", "integer"), ("bbox", "string"), ("bbox-crs", "string"), ("crs", "string"), ("datetime", "string"), ("filter", "string"), ("filter-lang", "string"), ("filter-crs", "string"), ("sortby", "string"), ("properties", "string"), ("token", "string"))]  # fmt: skip
        in_path = {"name": "collection", "in": "path", "required": True, "schema": {"type": "string"}}

        def answers(kind: str) -> dict[str, Any]:
            return {"responses": {"200": {"description": "OK", "content": {kind: {}}}, "400": {"description": "RFC 9457"}, "401": {"description": "RFC 9457"}}}

        paths = {
            "/": {"get": {"operationId": "landing", **answers(JSON)}},
            "/conformance": {"get": {"operationId": "conformance", **answers(JSON)}},
            "/collections": {"get": {"operationId": "collections", **answers(JSON)}},
            "/collections/{collection}": {"get": {"operationId": "collection", "parameters": [in_path], **answers(JSON)}},
            "/collections/{collection}/queryables": {"get": {"operationId": "queryables", "parameters": [in_path], **answers("application/schema+json")}},
            "/collections/{collection}/items": {"get": {"operationId": "items", "parameters": [in_path, *parameters], **answers(GEOJSON)}},
        }  # fmt: skip
        security = {"securitySchemes": {"basic": {"type": "http", "scheme": "basic"}, "bearer": {"type": "http", "scheme": "bearer"}}}
        shut = {} if root.keyless else {"components": security, "security": [{"basic": []}, {"bearer": []}]}
        body = {"openapi": "3.0.3", "info": {"title": reader.tenant_name, "version": "1"}, "servers": [{"url": root.at(reader)}], "paths": paths, **shut}  # fmt: skip
        return _encode(body)

    return door.conditional(request, await root.read(request, work), "application/vnd.oai.openapi+json;version=3.0", root.headers)


def _beside(reader: Reader, table: Table) -> list[dict[str, object]]:
    """Links to what goes with a table: its licence, its page, its record."""
    return [_link(href if "://" in href else f"{reader.base}/{href}", rel, kind) for rel, kind, href in table.links]


def _describe(root: Root, reader: Reader, table: Table) -> dict[str, Any]:
    at = f"{root.at(reader)}/collections/{table.name}"
    links = [
        _link(at, "self"), _link(f"{at}/items", "items", GEOJSON, table.label),
        _link(f"{at}/queryables", "http://www.opengis.net/def/rel/ogc/1.0/queryables", "application/schema+json"),
        *_beside(reader, table),
        *([_link(f"{at}/tiles", "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector")] if table.kind is TableKind.CURRENT and table.within.shows("location") else []),
    ]  # fmt: skip
    extent = {"spatial": {"bbox": [[-31.3, 30.0, -6.2, 42.2]], "crs": systems.CRS84}}
    return {"id": table.name, "title": table.label, "description": table.description or table.label, "itemType": "feature", "extent": extent,
            "crs": list(systems.SYSTEMS), "storageCrs": systems.CRS84, "links": links}  # fmt: skip


async def collections(root: Root, request: Request) -> Response:
    """GET /ogc/collections."""

    def work(conn: psycopg.Connection[Any], reader: Reader) -> bytes:
        found = [_describe(root, reader, table) for table in root.known(conn, reader)]
        return _encode({"links": [_link(f"{root.at(reader)}/collections", "self")], "crs": list(systems.SYSTEMS), "collections": found})

    return door.conditional(request, await root.read(request, work), JSON, root.headers)


async def collection(root: Root, request: Request) -> Response:
    """GET /ogc/collections/{collection}."""
    name = str(request.path_params["collection"])
    return door.conditional(
        request, await root.read(request, lambda conn, reader: _encode(_describe(root, reader, root.find(conn, reader, name)))), JSON, root.headers
    )


async def queryables(root: Root, request: Request) -> Response:
    """GET …/queryables: JSON Schema 2020-12 of what a filter may name."""
    name = str(request.path_params["collection"])

    def work(conn: psycopg.Connection[Any], reader: Reader) -> bytes:
        table = root.find(conn, reader, name)
        properties: dict[str, Any] = {}
        for field in table.fields:
            if field.type is FieldType.GEOMETRY:
                continue
            properties[field.name] = {"type": _SCHEMA.get(field.type, "string"), "title": metadata.about(field) or field.name}
            properties[field.name] |= {"format": _FORMATS[field.type]} if field.type in _FORMATS else {}
        if table.within.shows("location"):
            properties["location"] = {"format": "geometry-any", "x-ogc-role": "primary-geometry"}
        at = f"{root.at(reader)}/collections/{table.name}/queryables"
        return _encode({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": at, "type": "object", "title": table.label, "properties": properties, "additionalProperties": False})  # fmt: skip

    return door.conditional(request, await root.read(request, work), "application/schema+json", root.headers)


async def items(root: Root, request: Request) -> Response:
    """GET …/items: a page of features as GeoJSON."""
    name, query = str(request.path_params["collection"]), dict(request.query_params)

    def work(conn: psycopg.Connection[Any], reader: Reader) -> tuple[bytes, str]:
        table = root.find(conn, reader, name)
        asked = asking.read(table, query)
        found = asking.answer(conn, reader, table, asked)
        at = f"{root.at(reader)}/collections/{table.name}/items"
        kept = {key: text for key, text in query.items() if key not in {"token", "offset"}}
        links = [_link(f"{at}?{urlencode(query)}" if query else at, "self", GEOJSON), _link(f"{root.at(reader)}/collections/{table.name}", "collection")]
        links += _beside(reader, table)
        if found.token:
            links.append(_link(f"{at}?{urlencode({**kept, 'token': found.token})}", "next", GEOJSON))
        body = {
            "type": "FeatureCollection", "timeStamp": datetime.now(UTC).replace(microsecond=0), "numberReturned": len(found.features),
            **({"numberMatched": found.matched} if found.matched is not None else {}), "links": links, "features": found.features,
        }  # fmt: skip
        return _encode(body), asked.crs

    body, crs = await root.read(request, work)
    return Response(body, media_type=GEOJSON, headers={"Cache-Control": "private, no-cache", **root.headers, "Content-Crs": f"<{crs}>"})


async def item(root: Root, request: Request) -> Response:
    """GET …/items/{id}: one feature."""
    name, wanted = str(request.path_params["collection"]), str(request.path_params["item"])

    def work(conn: psycopg.Connection[Any], reader: Reader) -> tuple[bytes, str]:
        table = root.find(conn, reader, name)
        query = {key: text for key, text in request.query_params.items() if key in {"crs", "f"}}
        if table.kind is not TableKind.CURRENT:
            raise TableMissing(msg("Não há nenhuma linha com essa chave."))
        asked = asking.read(table, {**query, "filter": ""})
        found = asking.answer(conn, reader, table, asking.only(asked, Binary("eq", Name("id"), Literal(wanted))))
        if not found.features:
            raise TableMissing(msg("Não há nenhuma linha com essa chave."))
        at = f"{root.at(reader)}/collections/{table.name}"
        links = [_link(f"{at}/items/{quote(wanted, safe='')}", "self", GEOJSON), _link(at, "collection")]
        return _encode({**found.features[0], "links": links}), asked.crs

    body, crs = await root.read(request, work)
    return door.conditional(request, body, GEOJSON, {**root.headers, "Content-Crs": f"<{crs}>"})
