"""The routes of OData v4: service document, `$metadata`, collections, single rows, `$count`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.share.datahub import door, rows, tables
from malha.share.datahub.contracts import Reader, Table, TableKind, TableMissing
from malha.share.datahub.odata import batch as batches
from malha.share.datahub.odata import metadata, navigation, options
from malha.share.datahub.odata.navigation import Expanded
from malha.share.datahub.odata.options import Asked
from malha.share.questions import odata as filters
from malha.share.questions.contracts import BadFilter, Field, NotSupported
from malha.share.questions.expressions import All, Binary, Literal, Name, Node, together

VERSION = {"OData-Version": "4.0"}
_KEYED = re.compile(r"^(\w+)\((.*)\)$", re.DOTALL)
_FOLLOWED = re.compile(r"^(\w+)\((.*)\)/(\w+)$", re.DOTALL)
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
    """POST /odata/$batch: readings, each with a check of its own."""
    options.check_version(request.headers)
    reader = await door.read(request, lambda _conn, reader: reader)
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > batches.MOST_BYTES:
            break
    asks, as_json = batches.read(request.headers.get("content-type", ""), body)
    guarded = partial(door.guarded, form=problem)
    handlers = {"": service, "$metadata": describe}

    def turn(path: str) -> tuple[Any, str] | None:
        if path == "$batch":
            return None
        if path.endswith("/$count") and "/" not in path.removesuffix("/$count"):
            return guarded(count), path.removesuffix("/$count")
        return guarded(handlers.get(path, collection)), path

    answers = await batches.answer(request, asks, root(reader), turn, guarded(_not_here))
    if as_json:
        return Response(batches.as_json(answers), headers=VERSION, media_type="application/json")
    found, media = batches.as_parts(answers)
    return Response(found, headers=VERSION, media_type=media)


async def _not_here(request: Request) -> Response:
    """A part of a batch that is not answered, and why."""
    method, path, full = request.scope["malha.batch"]
    if full:
        raise BadFilter(msg("As respostas do lote já são muitas; peça esta à parte."))
    if method != "GET":
        raise NotSupported(msg("Num lote só se lê: “{method}” não se usa aqui."), method=method[:20])
    if path == "$batch":
        raise NotSupported(msg("Um lote não leva outro dentro."))
    raise BadFilter(msg("O endereço não é deste serviço."))


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
    keyed, followed = _KEYED.match(path), _FOLLOWED.match(path)
    if not keyed and not followed and "/" in path:
        raise NotSupported(msg("Não se anda para dentro de uma linha; peça os campos com `$select`."))

    def work(conn: psycopg.Connection[Any], reader: Reader) -> bytes:
        found = followed or keyed
        table = tables.find(conn, reader, found[1] if found else path)
        kinds = {one.kind: one for one in tables.of_type(conn, reader, table.entity_type)}
        address, extra, alone = f"{root(reader)}/{table.name}", None, keyed is not None
        if followed:
            extra, alone, table = _followed(conn, reader, table, followed[2], followed[3], kinds)
            address = f"{root(reader)}/{quote(path, safe="()/'=,$")}"
        elif keyed:
            extra = _key(table, keyed[2])
        query = dict(request.query_params)
        asked, shown = options.read(table, query, request.headers.get("prefer", ""), reader.tenant_id)
        text = options.options(query).get("expand")
        expanded = navigation.read(text, table, kinds, reader.tenant_id) if text else ()
        if expanded and shown is not table:
            raise NotSupported(msg("`$expand` e `$apply` não se usam juntos aqui."))
        question = _Question(table, shown, replace(asked, where=together(extra, asked.where)), query, level, address, expanded, kinds)
        return _one(conn, reader, question) if alone else _page(conn, reader, question)

    headers = VERSION | (
        {"Preference-Applied": f"odata.maxpagesize={options.page_size(request.headers['prefer'])}"}
        if "maxpagesize" in request.headers.get("prefer", "")
        else {}
    )
    return door.conditional(request, await door.read(request, work), f"application/json;odata.metadata={level}", headers)


@dataclass(frozen=True, slots=True)
class _Question:
    """One reading: of which table, the table that the answer is, what was asked, and where the page after it is asked for."""

    table: Table
    shown: Table
    asked: Asked
    query: dict[str, str]
    level: str
    address: str
    expanded: tuple[Expanded, ...]
    kinds: navigation.Kinds


def _followed(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, key: str, name: str, kinds: navigation.Kinds
) -> tuple[Node, bool, Table]:  # fmt: skip
    """The condition, whether it is one row, and the table of `Set(key)/name`. Raises TableMissing where there is no such row."""
    link = navigation.find(table, name)
    field = navigation.link_field(table)
    found, _ = rows.page(conn, reader, table, _key(table, key), (), limit=1, fields=[one for one in table.fields if one.name == field])
    if not found:
        raise TableMissing(msg("Não há nenhuma linha com essa chave."))
    return navigation.condition(link, [str(found[0][0])]), not link.many, kinds[link.target]


def _page(conn: psycopg.Connection[Any], reader: Reader, question: _Question) -> bytes:
    table, shown, asked = question.table, question.shown, question.asked
    if question.expanded:
        asked = replace(asked, size=min(asked.size, navigation.page_size(question.expanded)))
    body: dict[str, Any] = {} if question.level == "none" else {"@odata.context": _context(reader, question)}
    transformed = asked.transformed
    before = together(transformed.before if transformed else None, asked.where) if shown is table else asked.where
    if asked.count:
        body["@odata.count"] = rows.count(conn, reader, table, before) if shown is table else _count_groups(conn, reader, table, shown, asked)
    wanted = asked.size if asked.top is None else min(asked.size, asked.top)
    reading = replace(asked, where=before, fields=_with_link(table, asked) if question.expanded else asked.fields)
    found, last = _rows(conn, reader, table, shown, reading, wanted + 1) if wanted else ([], [])
    body["value"] = _values(conn, reader, question, found[:wanted])
    if len(found) > wanted:
        left = None if asked.top is None else asked.top - wanted
        if left is None or left > 0:
            grouping = shown is not table
            skip = asked.skip + wanted if grouping else 0
            body["@odata.nextLink"] = options.next_link(question.address, question.query, asked, [] if grouping else last, left=left, skip=skip)
    return _encode(body)


def _with_link(table: Table, asked: Asked) -> tuple[Field, ...]:
    """The fields that are shown, then the one by which rows go together with others."""
    return (*asked.fields, *(field for field in table.fields if field.name == navigation.link_field(table)))


def _values(conn: psycopg.Connection[Any], reader: Reader, question: _Question, found: list[list[object]]) -> list[Any]:
    names = tuple(field.name for field in question.asked.fields)
    if not question.expanded and question.level != "full":
        made = _row_of(names)
        return [made(*row) for row in found]
    told = [dict(zip(names, row, strict=False)) for row in found]
    if question.expanded:
        navigation.attach(conn, reader, question.kinds, [(str(row[-1]), one) for row, one in zip(found, told, strict=True)], question.expanded, root(reader))
    return _identified(reader, question.table, question.shown, told) if question.level == "full" else told


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


def _context(reader: Reader, question: _Question) -> str:
    table, asked = question.table, question.asked
    partial_ = asked.fields != table.fields
    names = [field.name for field in asked.fields] if partial_ or question.shown is not table else []
    some = (one for one in question.expanded if one.asked.fields != question.kinds[one.navigation.target].fields)
    names += [f"{one.navigation.name}({','.join(field.name for field in one.asked.fields)})" for one in some]
    return f"{root(reader)}/$metadata#{table.name}" + (f"({','.join(names)})" if names else "")


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


def _one(conn: psycopg.Connection[Any], reader: Reader, question: _Question) -> bytes:
    table, asked = question.table, question.asked
    found, _ = rows.page(conn, reader, table, asked.where, (), limit=1, fields=_with_link(table, asked) if question.expanded else asked.fields)
    if not found:
        raise TableMissing(msg("Não há nenhuma linha com essa chave."))
    [value] = _values(conn, reader, replace(question, level="minimal", shown=table), found)
    told = value if isinstance(value, dict) else dict(zip([field.name for field in asked.fields], found[0], strict=True))
    return _encode({"@odata.context": f"{root(reader)}/$metadata#{table.name}/$entity"} | told)


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
