"""The routes of OData v4: service document, `$metadata`, collections, single rows, `$count`."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.share.datahub import door, rows, tables
from malha.share.datahub.contracts import Reader, Table, TableKind, TableMissing
from malha.share.datahub.odata import metadata, options
from malha.share.datahub.odata.options import Asked
from malha.share.questions import odata as filters
from malha.share.questions.contracts import BadFilter, NotSupported
from malha.share.questions.expressions import All, Binary, Literal, Name, Node, together

VERSION = {"OData-Version": "4.0"}
_KEYED = re.compile(r"^(\w+)\((.*)\)$", re.DOTALL)
_encode = msgspec.json.Encoder().encode
_XML = "application/xml"


def routes() -> list[BaseRoute]:
    """Everything under `/odata`."""
    guarded = partial(door.guarded, form=problem)
    return [
        Route("/odata", guarded(service), methods=["GET"]),
        Route("/odata/", guarded(service), methods=["GET"]),
        Route("/odata/$metadata", guarded(describe), methods=["GET"]),
        Route("/odata/$batch", guarded(batch), methods=["POST"]),
        Route("/odata/{path:path}", allow, methods=["OPTIONS"]),
        Route("/odata/{set}/$count", guarded(count), methods=["GET"]),
        Route("/odata/{set:path}", guarded(collection), methods=["GET"]),
    ]


def problem(error: MalhaError, detail: str, _request: Request) -> Response:
    """An error as OData JSON 4.01 §21 has it."""
    return Response(_encode({"error": {"code": error.slug, "message": detail}}), error.status, headers=VERSION, media_type="application/json")


async def allow(_request: Request) -> Response:
    """What may be done here: reading."""
    return Response(status_code=204, headers={**VERSION, "Allow": "GET, HEAD, OPTIONS"})


async def batch(request: Request) -> Response:
    """`$batch` is not kept: said to whoever may ask."""
    await door.read(request, lambda _conn, _reader: None)
    raise NotSupported(msg("`$batch` não se usa aqui; faça os pedidos um a um."))


def root(reader: Reader) -> str:
    """The address of the service."""
    return f"{reader.base}/odata"


async def service(request: Request) -> Response:
    """GET /odata/: the sets that the reader gets."""
    options.check_version(request.headers)
    level = options.metadata_level(request.headers.get("accept", ""), _format(request))
    reader, found = await door.read(request, lambda conn, reader: (reader, tables.known(conn, reader)))
    body = metadata.service(root(reader), found)
    if level == "none":
        body.pop("@odata.context")
    return door.conditional(request, _encode(body), f"application/json;odata.metadata={level}", VERSION)


async def describe(request: Request) -> Response:
    """GET /odata/$metadata: XML, or JSON for whoever asks for it and takes no XML."""
    options.check_version(request.headers)
    accept, asked = request.headers.get("accept", "").lower(), _format(request).lower()
    found = await door.read(request, tables.known)
    if "json" in asked or (not asked and "json" in accept and "xml" not in accept and "*/*" not in accept):
        return door.conditional(request, _encode(metadata.json(found)), "application/json", VERSION)
    return door.conditional(request, metadata.xml(found), _XML, VERSION)


def _format(request: Request) -> str:
    return request.query_params.get("$format", request.query_params.get("format", ""))


async def count(request: Request) -> Response:
    """GET /odata/{set}/$count: a number and nothing else."""
    options.check_version(request.headers)
    name = str(request.path_params["set"])

    def work(conn: psycopg.Connection[Any], reader: Reader) -> int:
        table = tables.find(conn, reader, name)
        asked, _ = options.read(table, dict(request.query_params), "", reader.tenant_id)
        return rows.count(conn, reader, table, asked.where)

    return door.conditional(request, str(await door.read(request, work)).encode(), "text/plain", VERSION)


async def collection(request: Request) -> Response:
    """GET /odata/{set} or /odata/{set}(key)."""
    options.check_version(request.headers)
    path = str(request.path_params["set"])
    level = options.metadata_level(request.headers.get("accept", ""), _format(request))
    keyed = _KEYED.match(path)
    if not keyed and "/" in path:
        raise NotSupported(msg("Não se anda para dentro de uma linha; peça os campos com `$select`."))

    def work(conn: psycopg.Connection[Any], reader: Reader) -> bytes:
        table = tables.find(conn, reader, keyed[1] if keyed else path)
        query = dict(request.query_params)
        asked, shown = options.read(table, query, request.headers.get("prefer", ""), reader.tenant_id)
        if keyed:
            return _one(conn, reader, table, asked, keyed[2])
        return _page(conn, reader, table, shown, asked, query, level)

    headers = VERSION | (
        {"Preference-Applied": f"odata.maxpagesize={options.page_size(request.headers['prefer'])}"}
        if "maxpagesize" in request.headers.get("prefer", "")
        else {}
    )
    return door.conditional(request, await door.read(request, work), f"application/json;odata.metadata={level}", headers)


def _page(conn: psycopg.Connection[Any], reader: Reader, table: Table, shown: Table, asked: Asked, query: dict[str, str], level: str) -> bytes:
    body: dict[str, Any] = {} if level == "none" else {"@odata.context": _context(reader, table, shown, asked)}
    transformed = asked.transformed
    before = together(transformed.before if transformed else None, asked.where) if shown is table else asked.where
    if asked.count:
        body["@odata.count"] = rows.count(conn, reader, table, before) if shown is table else _count_groups(conn, reader, table, shown, asked)
    wanted = asked.size if asked.top is None else min(asked.size, asked.top)
    found, last = _rows(conn, reader, table, shown, replace(asked, where=before), wanted + 1) if wanted else ([], [])
    more = len(found) > wanted
    names = tuple(field.name for field in asked.fields)
    if level == "full":
        body["value"] = _identified(reader, table, shown, [dict(zip(names, row, strict=True)) for row in found[:wanted]])
    else:
        made = _row_of(names)
        body["value"] = [made(*row) for row in found[:wanted]]
    if more:
        left = None if asked.top is None else asked.top - wanted
        if left is None or left > 0:
            grouping = shown is not table
            address = f"{root(reader)}/{table.name}"
            body["@odata.nextLink"] = options.next_link(address, query, asked, [] if grouping else last, left=left, skip=asked.skip + wanted if grouping else 0)
    return _encode(body)


def _rows(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, shown: Table, asked: Asked, limit: int
) -> tuple[list[list[object]], list[object]]:  # fmt: skip
    """Up to `limit` rows and where the last but one stands: the one beyond only says that there are more."""
    if shown is not table:
        assert asked.transformed is not None
        found = rows.grouped(conn, reader, table, asked.transformed, shown, asked.where, asked.order, skip=asked.skip, limit=limit)
        places = [shown.fields.index(field) for field in asked.fields]
        return [[row[place] for place in places] for row in found], []
    return rows.page_and_one(conn, reader, table, asked.where, asked.order, after=asked.after, skip=asked.skip, limit=limit, fields=asked.fields)


def _count_groups(conn: psycopg.Connection[Any], reader: Reader, table: Table, shown: Table, asked: Asked) -> int:
    assert asked.transformed is not None
    return len(rows.grouped(conn, reader, table, asked.transformed, shown, asked.where, (), skip=0, limit=1_000_000))


def _context(reader: Reader, table: Table, shown: Table, asked: Asked) -> str:
    partial_ = asked.fields != table.fields
    named = f"({','.join(field.name for field in asked.fields)})" if partial_ or shown is not table else ""
    return f"{root(reader)}/$metadata#{table.name}{named}"


@lru_cache(maxsize=256)
def _row_of(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """A row with these names when written as JSON, at half the cost of a dictionary."""
    places = [f"f{number}" for number in range(len(names))]
    return msgspec.defstruct("Row", places, rename=dict(zip(places, names, strict=True)), gc=False)


def _identified(reader: Reader, table: Table, shown: Table, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for value in values:
        value["@odata.type"] = f"#{metadata.NAMESPACE}.{table.name}"
        if shown is table and table.kind is TableKind.CURRENT and "id" in value:
            value["@odata.id"] = f"{root(reader)}/{table.name}('{str(value['id']).replace(chr(39), chr(39) * 2)}')"
    return values


def _one(conn: psycopg.Connection[Any], reader: Reader, table: Table, asked: Asked, text: str) -> bytes:
    found, _ = rows.page(conn, reader, table, _key(table, text), (), limit=1, fields=asked.fields)
    if not found:
        raise TableMissing(msg("Não há nenhuma linha com essa chave."))
    body = {"@odata.context": f"{root(reader)}/$metadata#{table.name}/$entity"}
    return _encode(body | dict(zip([field.name for field in asked.fields], found[0], strict=True)))


def _key(table: Table, text: str) -> Node:
    """The condition that a key in parentheses is: `'value'` or `name=value,…`. Raises BadFilter."""
    if len(table.key) == 1 and not re.match(r"^\s*\w+\s*=", text):
        value = filters.parse(text)
        if not isinstance(value, Literal):
            raise BadFilter(msg("A chave é um valor entre plicas."))
        return Binary("eq", Name(table.key[0]), value)
    pairs: dict[str, str] = dict(re.findall(r"(\w+)\s*=\s*('(?:[^']|'')*'|[^,]+)", text))
    if set(pairs) != set(table.key):
        raise BadFilter(msg("A chave de “{table}” é: {names}."), table=table.name, names=", ".join(table.key))
    return All(tuple(Binary("eq", Name(name), filters.parse(value)) for name, value in pairs.items()))
