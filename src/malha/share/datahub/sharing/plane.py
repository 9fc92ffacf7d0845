"""Delta Sharing (protocol 1.0): shares, schemas, tables, versions, metadata and files by signed links; and the files themselves.

One share, the tenant's slug; schemas `agora` (current state), `hora`, `dia`, `valores`. Files are Parquet without
partition columns; a query may name months by `jsonPredicateHints`, others are hints that need not be followed.
"""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from malha.context.broker import pool
from malha.foundation.database import service as database
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.share.datahub import delimited, door, files, keys, signing, tables
from malha.share.datahub.contracts import LinkGone, LinkRefused, NotReadyYet, Reader, Table, TableKind, TableMissing
from malha.share.questions.contracts import BadFilter, FieldType

SCHEMAS = {TableKind.CURRENT: "agora", TableKind.HOURLY: "hora", TableKind.DAILY: "dia", TableKind.SERIES: "valores"}
PARQUET = "application/vnd.apache.parquet"
_NDJSON = "application/x-ndjson; charset=utf-8"
_MOST = 500
#: seconds that a query works on missing files before it asks the reader to come again
PATIENCE_SECONDS = 20.0
_DELTA = {
    FieldType.TEXT: "string", FieldType.NUMBER: "double", FieldType.INTEGER: "long", FieldType.BOOLEAN: "boolean",
    FieldType.INSTANT: "timestamp", FieldType.DATE: "date", FieldType.GEOMETRY: "binary",
}  # fmt: skip
_encode = msgspec.json.Encoder().encode


def routes() -> list[BaseRoute]:
    """Everything under `/delta-sharing` and `/hub`."""
    guarded = partial(door.guarded, form=problem)
    at = "/delta-sharing/shares"
    table = f"{at}/{{share}}/schemas/{{schema}}/tables/{{table}}"
    return [
        Route(at, guarded(shares), methods=["GET"]),
        Route(f"{at}/{{share}}", guarded(share), methods=["GET"]),
        Route(f"{at}/{{share}}/schemas", guarded(schemas), methods=["GET"]),
        Route(f"{at}/{{share}}/all-tables", guarded(all_tables), methods=["GET"]),
        Route(f"{at}/{{share}}/schemas/{{schema}}/tables", guarded(all_tables), methods=["GET"]),
        Route(f"{table}/version", guarded(version), methods=["GET"]),
        Route(f"{table}/metadata", guarded(describe), methods=["GET"]),
        Route(f"{table}/query", guarded(query), methods=["POST"]),
        Route("/hub/files/{token}.parquet", door.guarded(file), methods=["GET"]),
        Route("/hub/{table}.parquet", door.guarded(whole), methods=["GET"]),
        Route("/hub/{table}.csv", door.guarded(as_csv), methods=["GET"]),
    ]


def problem(error: MalhaError, detail: str, _request: Request) -> Response:
    """An error as the protocol has it."""
    code = {400: "INVALID_PARAMETER_VALUE", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST", 501: "NOT_IMPLEMENTED"}.get(
        error.status, "INTERNAL_ERROR"
    )
    return Response(_encode({"errorCode": code, "message": detail}), error.status, media_type="application/json; charset=utf-8")


def _page(request: Request, items: list[dict[str, Any]]) -> Response:
    """A page of a list, in the protocol's `maxResults` and `pageToken`."""
    most, token = request.query_params.get("maxResults", ""), request.query_params.get("pageToken", "")
    if most and not (most.isascii() and most.isdigit()):
        raise BadFilter(msg("`maxResults` é um número inteiro, 0 ou mais."))
    start = int(signing.unseal("page", token)["k"]) if token else 0
    end = start + min(int(most) if most else _MOST, _MOST)
    body: dict[str, Any] = {"items": items[start:end]}
    if end < len(items):
        body["nextPageToken"] = signing.seal("page", {"k": end})
    return Response(_encode(body), media_type="application/json; charset=utf-8")


def _in_share(request: Request, reader: Reader) -> None:
    if str(request.path_params["share"]).lower() != reader.slug.lower():
        raise TableMissing(msg("Não há nenhuma partilha “{name}”."), name=str(request.path_params["share"])[:80])


def _named(request: Request, conn: psycopg.Connection[Any], reader: Reader) -> Table:
    _in_share(request, reader)
    schema, name = str(request.path_params["schema"]).lower(), str(request.path_params["table"]).lower()
    for table in tables.known(conn, reader):
        if SCHEMAS[table.kind] == schema and (table.name.lower() == name or _short(table).lower() == name):
            return table
    raise TableMissing(msg("Não há nenhuma tabela “{name}” ao seu alcance."), name=str(request.path_params["table"])[:120])


def _short(table: Table) -> str:
    """The name within its schema: the type's own."""
    return table.name.removesuffix(tables.SUFFIX.get(table.kind, ""))


async def shares(request: Request) -> Response:
    """GET /shares."""
    return _page(request, await door.read(request, lambda _conn, reader: [{"name": reader.slug, "id": f"malha-{reader.tenant_id}"}]))


async def share(request: Request) -> Response:
    """GET /shares/{share}."""

    def work(_conn: psycopg.Connection[Any], reader: Reader) -> dict[str, Any]:
        _in_share(request, reader)
        return {"share": {"name": reader.slug, "id": f"malha-{reader.tenant_id}"}}

    return Response(_encode(await door.read(request, work)), media_type="application/json; charset=utf-8")


async def schemas(request: Request) -> Response:
    """GET /shares/{share}/schemas."""

    def work(_conn: psycopg.Connection[Any], reader: Reader) -> list[dict[str, Any]]:
        _in_share(request, reader)
        return [{"name": name, "share": reader.slug} for name in SCHEMAS.values()]

    return _page(request, await door.read(request, work))


async def all_tables(request: Request) -> Response:
    """GET …/all-tables and …/schemas/{schema}/tables."""

    def work(conn: psycopg.Connection[Any], reader: Reader) -> list[dict[str, Any]]:
        _in_share(request, reader)
        wanted = str(request.path_params.get("schema", "")).lower()
        if wanted and wanted not in SCHEMAS.values():
            raise TableMissing(msg("Não há nenhum esquema “{name}”."), name=wanted[:80])
        found = [table for table in tables.known(conn, reader) if not wanted or SCHEMAS[table.kind] == wanted]
        return [
            {"name": _short(table), "schema": SCHEMAS[table.kind], "share": reader.slug, "shareId": f"malha-{reader.tenant_id}", "id": table.name}
            for table in found
        ]

    return _page(request, await door.read(request, work))


async def version(request: Request) -> Response:
    """GET …/version: the number stands in a header."""
    found = await door.read(request, lambda conn, reader: files.state(reader, _named(request, conn, reader), conn))
    return Response(headers={"Delta-Table-Version": str(found.version)})


async def describe(request: Request) -> Response:
    """GET …/metadata: protocol and metaData, one a line."""

    def work(conn: psycopg.Connection[Any], reader: Reader) -> tuple[bytes, int]:
        table = _named(request, conn, reader)
        return b"\n".join(_head(reader, table)) + b"\n", files.state(reader, table, conn).version

    body, number = await door.read(request, work)
    return Response(body, media_type=_NDJSON, headers={"Delta-Table-Version": str(number)})


def _head(reader: Reader, table: Table) -> list[bytes]:
    fields = [
        {"name": one.name, "type": _DELTA[one.type], "nullable": not one.required, "metadata": {"comment": one.label, "unit": one.unit}} for one in table.fields
    ]
    meta = {
        "id": f"{reader.tenant_id}-{table.name}", "name": table.name, "description": table.description or table.label, "format": {"provider": "parquet"},
        "schemaString": json.dumps({"type": "struct", "fields": fields}), "partitionColumns": [], "configuration": {},
    }  # fmt: skip
    return [_encode({"protocol": {"minReaderVersion": 1}}), _encode({"metaData": meta})]


async def query(request: Request) -> Response:
    """POST …/query: the files of the table. Only the version of now can be asked for."""
    said = await _body(request)

    def work(conn: psycopg.Connection[Any], reader: Reader) -> tuple[bytes, int]:
        table = _named(request, conn, reader)
        at = files.state(reader, table, conn)
        if said.get("version") not in {None, at.version} or said.get("timestamp") or said.get("startingVersion") is not None:
            raise BadFilter(msg("Só se dá a versão de agora ({version}). Para outro dia, filtre as tabelas de história pelo tempo."), version=at.version)
        found = files.pieces(conn, reader, table, at, months=_months(table, said), deadline=time.monotonic() + PATIENCE_SECONDS)
        if found is None:
            raise NotReadyYet(msg("Os ficheiros desta tabela ainda estão a ser feitos; peça outra vez dentro de segundos."))
        return b"\n".join([*_head(reader, table), *(_line(reader, piece) for piece in _enough(found, said))]) + b"\n", at.version

    body, number = await door.read(request, work)
    return Response(body, media_type=_NDJSON, headers={"Delta-Table-Version": str(number)})


async def _body(request: Request) -> dict[str, Any]:
    raw = await request.body()
    if len(raw) > 1_000_000:
        raise BadFilter(msg("O pedido não é JSON."))
    try:
        said = msgspec.json.decode(raw or b"{}")
    except msgspec.DecodeError as reason:
        raise BadFilter(msg("O pedido não é JSON.")) from reason
    if not isinstance(said, dict):
        raise BadFilter(msg("O pedido não é JSON."))
    return said


def _months(table: Table, said: dict[str, Any]) -> list[str] | None:
    """Months that the hints leave, None for all. Hints that we do not read are left out, as the protocol lets us."""
    hints = said.get("jsonPredicateHints")
    if table.kind is TableKind.CURRENT or not isinstance(hints, str):
        return None
    try:
        node = json.loads(hints)
    except ValueError:
        return None
    names = {"start", "observedAt"}
    low, high = "0000-00", "9999-99"
    for part in node.get("children", []) if isinstance(node, dict) and node.get("op") == "and" else [node]:
        match part:
            case {"op": op, "children": [{"op": "column", "name": name}, {"op": "literal", "value": str(value)}]} if name in names:
                if op in {"greaterThan", "greaterThanOrEqual", "equal"}:
                    low = max(low, value[:7])
                if op in {"lessThan", "lessThanOrEqual", "equal"}:
                    high = min(high, value[:7])
    if (low, high) == ("0000-00", "9999-99"):
        return None
    return [
        f"{year:04}-{month:02}"
        for year in range(max(1970, int(low[:4])), min(2100, int(high[:4])) + 1)
        for month in range(1, 13)
        if low <= f"{year:04}-{month:02}" <= high
    ]


def _enough(found: list[files.Piece], said: dict[str, Any]) -> list[files.Piece]:
    """The first files that hold `limitHint` rows; all without one."""
    limit = said.get("limitHint")
    if not isinstance(limit, int) or limit < 0:
        return found
    kept, rows = [], 0
    for piece in found:
        kept.append(piece)
        rows += piece.rows
        if rows >= limit:
            break
    return kept


def _line(reader: Reader, piece: files.Piece) -> bytes:
    address, expires = files.link(reader, piece)
    stats = json.dumps({"numRecords": piece.rows})
    return _encode(
        {"file": {"url": address, "id": piece.path.stem, "partitionValues": {}, "size": piece.size, "stats": stats, "expirationTimestamp": expires * 1000}}
    )


async def whole(request: Request) -> Response:
    """GET /hub/{table}.parquet: sends on to the signed link of the whole table (`?link=1` only says it; `?months=2026-01,2026-02` for less)."""
    name, months = str(request.path_params["table"]), [month for month in request.query_params.get("months", "").split(",") if month] or None

    def work(conn: psycopg.Connection[Any], reader: Reader) -> str:
        table = tables.find(conn, reader, name)
        at = files.state(reader, table, conn)
        found = files.pieces(conn, reader, table, at, months=months, deadline=time.monotonic() + PATIENCE_SECONDS)
        if found is None:
            raise NotReadyYet(msg("Os ficheiros desta tabela ainda estão a ser feitos; peça outra vez dentro de segundos."))
        if not found:
            raise TableMissing(msg("Esta tabela ainda não tem linhas."))
        one = found[0] if len(found) == 1 else files.joined(table, found, reader, at, months)
        return files.link(reader, one)[0]

    address = await door.read(request, work)
    if request.query_params.get("link") == "1":
        return Response(address + "\n", media_type="text/plain", headers={"Cache-Control": "no-store"})
    return RedirectResponse(address, 302, headers={"Cache-Control": "no-store"})


async def as_csv(request: Request) -> Response:
    """GET /hub/{table}.csv: the whole table, or the months named, as a stream."""
    name, months = str(request.path_params["table"]), [month for month in request.query_params.get("months", "").split(",") if month] or None

    def work(conn: psycopg.Connection[Any], reader: Reader) -> tuple[list[Path], str]:
        table = tables.find(conn, reader, name)
        at = files.state(reader, table, conn)
        found = files.pieces(conn, reader, table, at, months=months, deadline=time.monotonic() + PATIENCE_SECONDS)
        if found is None:
            raise NotReadyYet(msg("Os ficheiros desta tabela ainda estão a ser feitos; peça outra vez dentro de segundos."))
        return [piece.path for piece in found], door.etag(at.stamp, *(months or ()))

    paths, tag = await door.read(request, work)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Content-Disposition": f'attachment; filename="{Path(name).name}.csv"'}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return StreamingResponse(delimited.lines(paths), media_type="text/csv; charset=utf-8; header=present", headers=headers)


async def file(request: Request) -> Response:
    """GET /hub/files/{token}.parquet: the bytes, whole or by Range, to whoever has a link that holds; it ends with the key that asked for it."""
    said = signing.unseal("file", str(request.path_params["token"]))

    def work() -> None:
        if said["k"] is None:
            return
        with pool.connection() as conn, database.tenant_transaction(conn, [int(said["t"])]):
            if keys.sees(conn, int(said["t"]), int(said["k"])) != said["m"]:
                raise LinkRefused(msg("A chave que pediu esta ligação foi revogada, ou passou a ver outra parte dos dados."))

    if int(said["e"]) < time.time():
        raise LinkGone(msg("Esta ligação expirou. Peça outra com a sua chave."))
    await pool.run(work)
    place = files.folder(int(said["t"])) / Path(str(said["f"])).name
    if not place.is_file():
        raise LinkGone(msg("Esta ligação expirou. Peça outra com a sua chave."))
    headers = {"Cache-Control": "private, immutable, max-age=900", "Expires": formatdate(int(said["e"]), usegmt=True)}
    return FileResponse(place, media_type=PARQUET, headers=headers)
