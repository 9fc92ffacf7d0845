"""Rows of the current state: conditions and order in PostgreSQL over the stored documents, fields read out of them here.

A value that is not what its model says (a text where a number is declared) is a missing value in a number's field;
no cast can raise with somebody's value in its message (data-plane 1).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import psycopg
import shapely

from malha.context.store import service as store
from malha.context.store.contracts import MEMBER
from malha.kernel.time import parse_instant
from malha.share.datahub import reaching
from malha.share.datahub.contracts import Table
from malha.share.questions.compiling import Dialect, Statement
from malha.share.questions.contracts import Field, FieldType
from malha.share.questions.expressions import Node, Spatial

_decode = msgspec.json.Decoder(dict[str, Any]).decode
#: the members of an attribute that hold what it says; the rest of a document is passed over unread
_Attribute: Any = msgspec.defstruct("_Attribute", [(member, Any, None) for member in sorted({*MEMBER.values(), "value"})], gc=False)
_Attributes: Any = dict[str, _Attribute | list[_Attribute]]
_decode_attributes = msgspec.json.Decoder(_Attributes).decode
_encode = msgspec.json.Encoder().encode
_COLUMNS = {
    "id": "e.uri",
    "createdAt": "e.created_at",
    "modifiedAt": "e.modified_at",
    "longitude": "CASE WHEN e.geom IS NULL THEN (e.bbox[1])[0] END",
    "latitude": "CASE WHEN e.geom IS NULL THEN (e.bbox[1])[1] END",
}
ROW = "e.id, e.uri, e.doc::text, e.geom, (e.bbox[1])[0], (e.bbox[1])[1], e.created_at, e.modified_at"
CHUNK = 500
_INSIDE_KEPT = 32
_inside: OrderedDict[tuple[object, ...], list[int]] = OrderedDict()


def sql_of(field: Field) -> str:
    """The value of a field inside PostgreSQL; NULL where the document holds something else."""
    if not field.attribute:
        return _COLUMNS[field.name]
    root = f"$.{_quoted(field.attribute)}.{_quoted(field.member)}".replace("'", "''").replace("%", "%%")
    if field.type in {FieldType.NUMBER, FieldType.INTEGER}:
        return f"""(jsonb_path_query_first(e.doc, '{root} ? (@.type() == "number").double()', '{{}}', true))::float8"""
    if field.type is FieldType.BOOLEAN:
        return f"""(jsonb_path_query_first(e.doc, '{root} ? (@.type() == "boolean")', '{{}}', true))::boolean"""
    if field.type is FieldType.INSTANT:
        either = f"""coalesce(jsonb_path_query_first_tz(e.doc, '{root}.timestamp_tz()', '{{}}', true), jsonb_path_query_first_tz(e.doc, '{root}."@value".timestamp_tz()', '{{}}', true))"""
        return f"(({either}) #>> '{{}}')::timestamptz"
    if field.type is FieldType.DATE:
        return f"((jsonb_path_query_first_tz(e.doc, '{root}.date()', '{{}}', true)) #>> '{{}}')::date"
    if field.member == "languageMap":
        return f"((jsonb_path_query_first(e.doc, '{root}.pt', '{{}}', true)) #>> '{{}}')"
    return f"((jsonb_path_query_first(e.doc, '{root}', '{{}}', true)) #>> '{{}}')"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of the table's fields, and where the last of them stands (values of the order, entity id)."""

    rows: list[list[object]]
    last: list[object]
    before_last: list[object]


def page(
    conn: psycopg.Connection[Any], tenant_id: int, table: Table, where: Node | None, order: Sequence[tuple[str, bool]], *,
    after: Sequence[object] = (), skip: int = 0, limit: int = 1000, fields: Sequence[Field] | None = None,
) -> Page:  # fmt: skip
    """A page of entities. `after` are the `last` of the page before."""
    statement = Statement(Dialect.POSTGRES, table, sql_of)
    parts = [*_of_table(conn, statement, tenant_id, table), *([statement.condition(where)] if where is not None else [])]
    if after:
        parts.append(_after(statement, order, after))
    text = _in_order_of_id(parts) if not order else _ordered(statement, parts, order)
    with conn.cursor(binary=True) as cursor:
        found = cursor.execute(text, {**statement.given, "limit": limit, "skip": skip}).fetchall()
    read = readers(tuple(fields if fields is not None else table.fields), table.within.area)
    places = [[*row[8:], row[0]] for row in found[-2:]]
    return Page([read(row) for row in found], places[-1] if places else [], places[-2] if len(places) > 1 else [])


def _in_order_of_id(parts: Sequence[str]) -> str:
    """Rows as the index of a type has them, with those that are of the type besides another put between: one condition for both would sort them all."""
    halves = (" AND ".join([which, *parts[1:]]) for which in (_FIRST_TYPE, _OTHER_TYPE))
    each = " UNION ALL ".join(f"(SELECT {ROW} FROM entities e WHERE {half} ORDER BY e.id LIMIT %(limit)s::bigint + %(skip)s)" for half in halves)
    return f"SELECT * FROM ({each}) AS e ORDER BY 1 LIMIT %(limit)s OFFSET %(skip)s"


def _ordered(statement: Statement, parts: Sequence[str], order: Sequence[tuple[str, bool]]) -> str:
    """Rows in an order of fields, their documents read once it is known which they are."""
    columns = [statement.column(name)[0] for name, _ in order]
    keys, named = "".join(f", {column} AS k{at}" for at, column in enumerate(columns)), "".join(f", p.k{at}" for at in range(len(columns)))
    ordered = f"{statement.order(order)}, e.id"
    found = f"SELECT e.id{keys} FROM entities e WHERE {' AND '.join(parts)} ORDER BY {ordered} LIMIT %(limit)s OFFSET %(skip)s"
    return f"SELECT {ROW}{named} FROM ({found}) AS p JOIN entities e ON e.tenant_id = %(tenant)s AND e.id = p.id ORDER BY {ordered}"


def _after(statement: Statement, order: Sequence[tuple[str, bool]], after: Sequence[object]) -> str:
    place = statement.parameter(after[-1], FieldType.INTEGER).replace("float8", "bigint")
    if not order:
        return f"e.id > {place}"
    same = []
    for (name, _), value in zip(order, after[:-1], strict=True):
        column, kind = statement.column(name)
        same.append(f"{column} IS NULL" if value is None else f"{column} = {statement.parameter(value, kind)}")
    return f"({statement.after(order, after[:-1])} OR ({' AND '.join(same)} AND e.id > {place}))"


def count(conn: psycopg.Connection[Any], tenant_id: int, table: Table, where: Node | None) -> int:
    """How many rows there are."""
    statement = Statement(Dialect.POSTGRES, table, sql_of)
    parts = [_of_type(conn, statement, tenant_id, table), *([statement.condition(where)] if where is not None else [])]
    row = conn.execute(f"SELECT count(*) FROM entities e WHERE {' AND '.join(parts)}", statement.given).fetchone()
    return int(row[0]) if row else 0


def relation(conn: psycopg.Connection[Any], tenant_id: int, statement: Statement, table: Table) -> str:
    """The FROM and WHERE of the table, for statements that group."""
    return f"FROM entities e WHERE {_of_type(conn, statement, tenant_id, table)}"


_FIRST_TYPE = "e.tenant_id = %(tenant)s AND e.type_id = %(type)s"
_OTHER_TYPE = "e.tenant_id = %(tenant)s AND e.type_id <> %(type)s AND cardinality(e.types) > 1 AND %(type)s = ANY (e.types)"
_TYPED = "e.tenant_id = %(tenant)s AND (e.type_id = %(type)s OR (cardinality(e.types) > 1 AND %(type)s = ANY (e.types)))"


def _typed(conn: psycopg.Connection[Any], tenant_id: int, table: Table) -> dict[str, object]:
    """The parameters of `_TYPED`: one tenant and one type, both said outright, so that the index serves (data-plane 2)."""
    number = store.type_number(conn, table.entity_type)
    return {"tenant": tenant_id, "type": number if number is not None else -1}


def _of_type(conn: psycopg.Connection[Any], statement: Statement, tenant_id: int, table: Table) -> str:
    """The entities of the table's type, those in its area only where it has one."""
    return " AND ".join(_of_table(conn, statement, tenant_id, table))


def _of_table(conn: psycopg.Connection[Any], statement: Statement, tenant_id: int, table: Table) -> list[str]:
    """As `_of_type`, in parts of which the first says the type."""
    statement.given |= _typed(conn, tenant_id, table)
    parts = [_TYPED]
    if table.within.chosen:
        condition, given = store.condition(table.within.chosen)
        parts.append(condition)
        statement.given |= given
    if table.within.area:
        statement.given["inside"] = inside(conn, tenant_id, table)
        parts.append("e.id = ANY (%(inside)s::bigint[])")
    return parts


def fingerprint(conn: psycopg.Connection[Any], tenant_id: int, table: Table) -> str:
    """A text that changes when any entity of the table does."""
    each = " UNION ALL ".join(f"SELECT e.id, e.modified_at FROM entities e WHERE {which}" for which in (_FIRST_TYPE, _OTHER_TYPE))
    text = f"SELECT count(*), sum(e.id %% 1000003), extract(epoch FROM max(e.modified_at)) FROM ({each}) AS e"
    row = conn.execute(text, _typed(conn, tenant_id, table)).fetchone()
    return "-".join([*(str(part or 0) for part in row or ()), table.within.mark])


def many(conn: psycopg.Connection[Any], tenant_id: int, table: Table, box: Sequence[float], most: int) -> bool:
    """Whether more than `most` entities of the table's type meet a box (west, south, east, north)."""
    west, south, east, north = box
    given = {**_typed(conn, tenant_id, table), "w": west, "s": south, "e": east, "n": north, "most": most}
    text = f"SELECT 1 FROM entities e WHERE {_TYPED} AND e.bbox && box(point(%(e)s, %(n)s), point(%(w)s, %(s)s)) OFFSET %(most)s LIMIT 1"
    return conn.execute(text, given).fetchone() is not None


def inside(conn: psycopg.Connection[Any], tenant_id: int, table: Table) -> list[int]:
    """The numbers of the entities of a table that meet its area, in order; kept while none of the type changes."""
    key = (conn.info.dbname, tenant_id, table.entity_type, table.within.area, fingerprint(conn, tenant_id, table))
    found = _inside.get(key)
    if found is None:
        found = _inside[key] = _read_inside(conn, tenant_id, table)
        while len(_inside) > _INSIDE_KEPT:
            _inside.popitem(last=False)
    return found


def _read_inside(conn: psycopg.Connection[Any], tenant_id: int, table: Table) -> list[int]:
    area = reaching.shape(table.within.area)
    west, south, east, north = area.bounds
    text = f"""SELECT e.id, e.geom, (e.bbox[1])[0], (e.bbox[1])[1] FROM entities e
        WHERE {_TYPED} AND e.bbox && box(point(%(e)s, %(n)s), point(%(w)s, %(s)s)) ORDER BY e.id"""
    with conn.cursor(binary=True) as cursor:
        rows = cursor.execute(text, {**_typed(conn, tenant_id, table), "w": west, "s": south, "e": east, "n": north}).fetchall()
    shapes = [shapely.Point(row[2], row[3]) if row[1] is None else shapely.from_wkb(bytes(row[1])) for row in rows]
    meets = shapely.intersects(area, shapes) if rows else ()
    return [row[0] for row, there in zip(rows, meets, strict=True) if there]


def placed(
    conn: psycopg.Connection[Any], tenant_id: int, table: Table, where: Node | None, spatial: Sequence[Spatial],
    box: tuple[float, float, float, float] | None, *, after: int = 0, skip: int = 0, limit: int = 1000,
) -> list[tuple[int, list[object], shapely.Geometry | None]]:  # fmt: skip
    """(id, row, place) of entities within a box and in these relations to shapes, in order of id; exact, chunk by chunk."""
    shapes = [(one.relation, shapely.from_geojson(json.dumps(one.geojson))) for one in spatial]
    boxes = ([box] if box else []) + [shape.bounds for relation, shape in shapes if relation != "disjoint"]
    exact = [*shapes, *([("intersects", shapely.box(*box))] if box else [])]
    found: list[tuple[int, list[object], shapely.Geometry | None]] = []
    passed = 0
    while True:
        rows = _chunk(conn, tenant_id, table, where, boxes, after, max(CHUNK, limit) if not exact else CHUNK)
        read = readers(table.fields, table.within.area)
        for row in rows:
            place = reaching.cut(shape_of(row), table.within.area)
            if exact and not all(place is not None and getattr(shapely, relation)(place, shape) for relation, shape in exact):
                continue
            passed += 1
            if passed > skip:
                found.append((row[0], read(row), place))
            if len(found) >= limit:
                return found
        if len(rows) < CHUNK:
            return found
        after = rows[-1][0]


def _chunk(
    conn: psycopg.Connection[Any], tenant_id: int, table: Table, where: Node | None, boxes: Sequence[Sequence[float]], after: int, limit: int,
    among: Sequence[int] | None = None,
) -> list[Any]:  # fmt: skip
    statement = Statement(Dialect.POSTGRES, table, sql_of)
    parts = [*_of_table(conn, statement, tenant_id, table), *([statement.condition(where)] if where is not None else [])]
    if among is not None:
        parts.append("e.id = ANY (%(among)s::bigint[])")
        statement.given["among"] = list(among)
    for number, (west, south, east, north) in enumerate(boxes):
        parts.append(f"e.bbox && box(point(%(e{number})s, %(n{number})s), point(%(w{number})s, %(s{number})s))")
        statement.given |= {f"w{number}": west, f"s{number}": south, f"e{number}": east, f"n{number}": north}
    text = _in_order_of_id([*parts, "e.id > %(after)s"])
    with conn.cursor(binary=True) as cursor:
        return cursor.execute(text, {**statement.given, "after": after, "limit": limit, "skip": 0}).fetchall()


def walk(
    conn: psycopg.Connection[Any], tenant_id: int, table: Table, fields: tuple[Field, ...] | None = None, *, among: Sequence[int] | None = None, size: int = 5000
) -> Iterator[tuple[list[int], list[list[object]], npt.NDArray[np.object_]]]:  # fmt: skip
    """Everything of a table, or those `among` these numbers: (numbers, rows of all fields or of these, places) at a time, in order of number."""
    after, read = 0, readers(table.fields if fields is None else fields, table.within.area)
    while rows := _chunk(conn, tenant_id, table, None, (), after, size, among):
        yield [row[0] for row in rows], [read(row) for row in rows], _places(rows, table.within.area)
        after = rows[-1][0]


def changes(conn: psycopg.Connection[Any], tenant_id: int, table: Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], bool]:
    """(numbers, when each was last changed, whether all are points) of the things of a table that lie somewhere, in order of number.

    What was changed is told by another instant, not by a later one: transactions end in another order than they begin.
    """
    statement = Statement(Dialect.POSTGRES, table, sql_of)
    parts = " AND ".join([*_of_table(conn, statement, tenant_id, table), "e.bbox IS NOT NULL"])
    text = f"SELECT string_agg(int8send(e.id), ''), string_agg(timestamptz_send(e.modified_at), ''), coalesce(bool_and(e.geom IS NULL), true) FROM entities e WHERE {parts}"
    with conn.cursor(binary=True) as cursor:
        ids, at, points = cursor.execute(text, statement.given).fetchone() or (None, None, True)
    numbers, instants = (np.frombuffer(each or b"", ">i8").astype(np.int64) for each in (ids, at))
    order = np.argsort(numbers)
    return numbers[order], instants[order], bool(points)


def _places(rows: Sequence[Any], area: bytes) -> npt.NDArray[np.object_]:
    """The places of rows, points made all at once."""
    here = np.array([(row[4], row[5]) if row[3] is None and row[4] is not None else (np.nan, np.nan) for row in rows], np.float64)
    places: npt.NDArray[np.object_] = shapely.points(here)
    for at, row in enumerate(rows):
        if row[3] is not None or row[4] is None:
            places[at] = reaching.cut(shape_of(row), area)
    return places


def shape_of(row: Sequence[Any]) -> shapely.Geometry | None:
    """The place of a row of `ROW`."""
    if row[3] is not None:
        return shapely.from_wkb(bytes(row[3]))
    return shapely.Point(row[4], row[5]) if row[4] is not None else None


@cache
def readers(fields: tuple[Field, ...], area: bytes = b"") -> Callable[[Sequence[Any]], list[object]]:
    """What turns a row of `ROW` into the values of these fields, places cut to an area. It walks what a document has, not what its model may have."""
    width = len(fields)
    fixed = [(at, _fixed(field, area)) for at, field in enumerate(fields) if not field.attribute]
    plan = {field.attribute: (at, attrgetter(field.member), _CELL[field.type]) for at, field in enumerate(fields) if field.attribute}

    def read(row: Sequence[Any]) -> list[object]:
        out: list[object] = [None] * width
        for at, value in fixed:
            out[at] = value(row)
        for attribute, found in _attributes(row[2]).items():
            wanted = plan.get(attribute)
            if wanted is None:
                continue
            one = (found[0] if found else None) if type(found) is list else found
            if one is not None:
                at, member, cell = wanted
                out[at] = cell(member(one))
        return out

    return read


def _attributes(text: str) -> dict[str, Any]:
    """What a document says of each attribute; one with members that are no attributes is read the long way."""
    try:
        found: dict[str, Any] = _decode_attributes(text)
    except msgspec.ValidationError:
        told = {name: value for name, value in _decode(text).items() if type(value) is dict or (type(value) is list and value and type(value[0]) is dict)}
        found = msgspec.convert(told, _Attributes)
    return found


def _fixed(field: Field, area: bytes) -> Callable[[Sequence[Any]], object]:
    return {
        "id": lambda row: row[1],
        "longitude": lambda row: row[4] if row[3] is None else None,
        "latitude": lambda row: row[5] if row[3] is None else None,
        "location": lambda row: _wkt(row, area),
        "createdAt": lambda row: row[6],
        "modifiedAt": lambda row: row[7],
    }[field.name]


def _wkt(row: Sequence[Any], area: bytes) -> str | None:
    if row[3] is None:  # a point, which lies in the area whole or not at all
        return f"POINT ({row[4]!r} {row[5]!r})" if row[4] is not None else None
    place = reaching.cut(shape_of(row), area)
    return None if place is None else place.wkt


def _text(value: object) -> object:
    if value is None or type(value) is str:
        return value
    if type(value) is dict and "pt" in value and len(value) < 30:
        return value["pt"]
    if type(value) is bool:
        return "true" if value else "false"
    return _encode(value).decode()


def _number(value: object) -> object:
    return float(value) if type(value) in {int, float} else None  # type: ignore[arg-type]


def _integer(value: object) -> object:
    return int(value) if type(value) in {int, float} and abs(value) < 2**63 else None  # type: ignore[call-overload, arg-type]


def _boolean(value: object) -> object:
    return value if type(value) is bool else None


def _instant(value: object) -> object:
    text = value.get("@value") if type(value) is dict else value
    try:
        return parse_instant(text).astimezone(UTC) if type(text) is str else None
    except ValueError:
        return None


def _date(value: object) -> object:
    text = value.get("@value") if type(value) is dict else value
    try:
        return datetime.fromisoformat(text).date() if type(text) is str else None
    except ValueError:
        return None


_CELL: dict[FieldType, Callable[[object], object]] = {
    FieldType.TEXT: _text, FieldType.NUMBER: _number, FieldType.INTEGER: _integer, FieldType.BOOLEAN: _boolean,
    FieldType.INSTANT: _instant, FieldType.DATE: _date, FieldType.GEOMETRY: _text,
}  # fmt: skip
