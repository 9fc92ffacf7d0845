"""The parameters of `/items` and the features that answer them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import shapely

from malha.kernel.text import msg
from malha.share.datahub import current, rows, signing
from malha.share.datahub.contracts import Reader, Table, TableKind
from malha.share.datahub.features import cql2, systems
from malha.share.questions.compiling import turned
from malha.share.questions.contracts import BadFilter, FieldType
from malha.share.questions.expressions import Binary, In, Literal, Name, Node, Spatial, places, together

LIMIT, MOST = 100, 10_000
#: entities whose rollups are asked for by place
NEAR = 5_000
_OWN = frozenset(
    {"f", "limit", "bbox", "bbox-crs", "crs", "datetime", "filter", "filter-lang", "filter-crs", "token", "offset", "properties", "sortby", "skipGeometry"}
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request for features asks for, places in CRS84."""

    where: Node | None
    spatial: tuple[Spatial, ...]
    box: tuple[float, float, float, float] | None
    limit: int
    crs: str
    order: tuple[tuple[str, bool], ...]
    after: tuple[object, ...]
    skip: int
    properties: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Features:
    """Features of a page, the token of the page that follows, how many there are in all where that is cheap to say."""

    features: list[dict[str, Any]]
    token: str
    matched: int | None


def time_field(table: Table) -> str:
    """The field that `datetime` looks at."""
    return {TableKind.CURRENT: "modifiedAt", TableKind.SERIES: "observedAt"}.get(table.kind, "start")


def read(table: Table, query: Mapping[str, str]) -> Asked:
    """Read and check every parameter; one that nobody knows is refused (part 1, /req/core/query-param-unknown)."""
    where: list[Node] = []
    for name, text in query.items():
        if name in _OWN:
            continue
        field = table.find(name)
        if field is None or field.type is FieldType.GEOMETRY:
            raise BadFilter(msg("O parâmetro “{name}” não existe nesta coleção."), name=name[:60])
        where.append(Binary("eq", Name(name), _value(field.type, text)))
    if "datetime" in query:
        where += _period(time_field(table), query["datetime"])
    asked = _filter(query)
    rest, spatial = places(together(*where, asked))
    crs = systems.checked(query.get("filter-crs", ""))
    spatial = tuple(Spatial(one.relation, tuple(json.loads(shapely.to_geojson(systems.from_system(_shape(one), crs))).items())) for one in spatial)
    box = _box(query)
    if (spatial or box) and not table.within.shows("location"):
        raise BadFilter(msg("O seu acesso não abrange os lugares desta tabela."))
    after, skip = _token(table, query)
    properties = frozenset(name for name in query.get("properties", "").split(",") if name) or None
    return Asked(rest, spatial, box, _limit(query.get("limit", "")), systems.checked(query.get("crs", "")), _order(table, query), after, skip, properties)


def _shape(one: Spatial) -> shapely.Geometry:
    return shapely.from_geojson(json.dumps(one.geojson))


def _value(kind: FieldType, text: str) -> Literal:
    try:
        if kind in {FieldType.NUMBER, FieldType.INTEGER}:
            return Literal(float(text))
    except ValueError as reason:
        raise BadFilter(msg("“{text}” não é um número."), text=text[:40]) from reason
    return Literal(text.lower() == "true") if kind is FieldType.BOOLEAN else Literal(text)


def _filter(query: Mapping[str, str]) -> Node | None:
    text, language = query.get("filter", "").strip(), query.get("filter-lang", "")
    if not text:
        return None
    if language not in {"", "cql2-text", "cql2-json"}:
        raise BadFilter(msg("`filter-lang` é cql2-text ou cql2-json."))
    return cql2.parse_json(text) if language == "cql2-json" or (not language and text.startswith("{")) else cql2.parse(text)


def _period(field: str, text: str) -> list[Node]:
    start, slash, end = text.partition("/")
    ends = [None if part in {"", ".."} else cql2.instant("timestamp" if "T" in part else "date", part) for part in (start, end if slash else start)]
    if ends == [None, None]:
        return []
    if not slash and ends[0] is not None:
        return [Binary("eq", Name(field), ends[0])]
    return [Binary(operator, Name(field), value) for operator, value in zip(("ge", "le"), ends, strict=True) if value is not None]


def _box(query: Mapping[str, str]) -> tuple[float, float, float, float] | None:
    text = query.get("bbox", "")
    if not text:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as reason:
        raise BadFilter(msg("`bbox` são quatro números: oeste, sul, este, norte.")) from reason
    if any(number != number or abs(number) > 1e9 for number in numbers):  # noqa: PLR0124 -- not a number
        raise BadFilter(msg("`bbox` são quatro números: oeste, sul, este, norte."))
    shape = systems.from_system(cql2.box(numbers), systems.checked(query.get("bbox-crs", "")))
    west, south, east, north = shape.bounds
    return west, south, east, north


def _limit(text: str) -> int:
    if not text:
        return LIMIT
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise BadFilter(msg("`limit` é um número inteiro a partir de 1."))
    return min(MOST, int(text))


def _order(table: Table, query: Mapping[str, str]) -> tuple[tuple[str, bool], ...]:
    found = []
    for part in query.get("sortby", "").split(","):
        if part.strip():
            name = part.strip().lstrip("+-")
            if table.find(name) is None:
                raise BadFilter(msg("O parâmetro “{name}” não existe nesta coleção."), name=name[:60])
            found.append((name, part.strip().startswith("-")))
    return tuple(found)


def _token(table: Table, query: Mapping[str, str]) -> tuple[tuple[object, ...], int]:
    offset = query.get("offset", "0")
    if not offset.isascii() or not offset.isdigit():
        raise BadFilter(msg("`offset` é um número inteiro, 0 ou mais."))
    if "token" not in query:
        return (), int(offset)
    said = signing.unseal("page", query["token"])
    order = [name for name, _ in _order(table, query)]
    kinds = [field.type for name in [*order, *(key for key in table.key if key not in order)] if (field := table.find(name))]
    last = list(said.get("a", []))
    return tuple(
        turned(value, kind) if isinstance(value, str) else value for value, kind in zip(last, [*kinds, *[FieldType.TEXT] * len(last)], strict=False)
    ), 0


def answer(conn: psycopg.Connection[Any], reader: Reader, table: Table, asked: Asked) -> Features:
    """The features of a page."""
    return _of_entities(conn, reader, table, asked) if table.kind is TableKind.CURRENT else _of_history(conn, reader, table, asked)


def _of_entities(conn: psycopg.Connection[Any], reader: Reader, table: Table, asked: Asked) -> Features:
    if asked.order:
        if asked.spatial or asked.box:
            raise BadFilter(msg("`sortby` não se junta a uma condição de lugar; ordene do seu lado."))
        found, last = rows.page_and_one(conn, reader, table, asked.where, asked.order, after=asked.after, skip=asked.skip, limit=asked.limit + 1)
        where_is = _places_of(conn, reader, table, [str(row[0]) for row in found[: asked.limit]])
        made = _features(table, found[: asked.limit], [where_is.get(str(row[0])) for row in found[: asked.limit]], asked)
        return Features(made, signing.seal("page", {"a": last}) if len(found) > asked.limit else "", rows.count(conn, reader, table, asked.where))
    after = int(str(asked.after[-1])) if asked.after else 0
    placed = current.placed(conn, reader.tenant_id, table, asked.where, asked.spatial, asked.box, after=after, skip=asked.skip, limit=asked.limit + 1)
    shown = placed[: asked.limit]
    token = signing.seal("page", {"a": [shown[-1][0]]}) if len(placed) > asked.limit else ""
    matched = None if asked.spatial or asked.box else rows.count(conn, reader, table, asked.where)
    return Features(_features(table, [row for _, row, _ in shown], [place for _, _, place in shown], asked), token, matched)


def _of_history(conn: psycopg.Connection[Any], reader: Reader, table: Table, asked: Asked) -> Features:
    where, base = asked.where, _current_of(table)
    if asked.spatial or asked.box:
        near = current.placed(conn, reader.tenant_id, base, None, asked.spatial, asked.box, limit=NEAR + 1)
        if len(near) > NEAR:
            raise BadFilter(msg("Há mais de {count} entidades nesse lugar; escolha um mais pequeno."), count=NEAR)
        where = together(where, In(Name("entity"), tuple(Literal(str(row[0])) for _, row, _ in near)))
    found, last = rows.page_and_one(conn, reader, table, where, asked.order, after=asked.after, skip=asked.skip, limit=asked.limit + 1)
    shown = found[: asked.limit]
    where_is = _places_of(conn, reader, base, sorted({str(row[0]) for row in shown}))
    made = _features(table, shown, [where_is.get(str(row[0])) for row in shown], asked)
    return Features(made, signing.seal("page", {"a": last}) if len(found) > asked.limit else "", None)


def _current_of(table: Table) -> Table:
    """The table of the entities whose history `table` is, as narrow as it gets."""
    from malha.share.questions.contracts import Field  # noqa: PLC0415 -- only here

    return Table(table.entity_type, TableKind.CURRENT, table.entity_type, (Field("id", FieldType.TEXT),), ("id",), "", "", within=table.within)


def _places_of(conn: psycopg.Connection[Any], reader: Reader, table: Table, uris: list[str]) -> dict[str, shapely.Geometry | None]:
    if not uris:
        return {}
    where = In(Name("id"), tuple(Literal(uri) for uri in uris))
    return {str(row[0]): place for _, row, place in current.placed(conn, reader.tenant_id, table, where, (), None, limit=len(uris) + 1)}


def _features(table: Table, found: list[list[object]], shapes: list[shapely.Geometry | None], asked: Asked) -> list[dict[str, Any]]:
    shapes = shapes if table.within.shows("location") else [None] * len(shapes)
    given = systems.to_system(shapes, asked.crs) if any(shape is not None for shape in shapes) else shapes
    texts = shapely.to_geojson(list(given)) if given else []
    left_out = {"id", "longitude", "latitude", "location"} if table.kind is TableKind.CURRENT else set()
    names = [
        (at, field.name) for at, field in enumerate(table.fields) if field.name not in left_out and (asked.properties is None or field.name in asked.properties)
    ]
    keys = [at for at, field in enumerate(table.fields) if field.name in table.key]
    made = []
    for row, text in zip(found, texts, strict=True):
        number = row[0] if table.kind is TableKind.CURRENT else "/".join(_plain(row[at]) for at in keys)
        geometry = json.loads(text) if text is not None else None
        made.append({"type": "Feature", "id": number, "geometry": geometry, "properties": {name: row[at] for at, name in names}})
    return made


def _plain(value: object) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def only(asked: Asked, where: Node) -> Asked:
    """The same question about one row."""
    return Asked(together(asked.where, where), asked.spatial, asked.box, 1, asked.crs, (), (), 0, asked.properties)
