"""The query of a request (GS CIM 009 §5.7.2, §6.4.3.2) as a question to the store."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import psycopg

from malha.context.broker import attributes, door, parameters, projection
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest, NotPermitted
from malha.context.store import geometry
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, GeoRelation, Ordering, Selector, UnusableEntity
from malha.foundation.access import reach
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context

DEFAULT_LIMIT, LARGEST_LIMIT = 100, 1000
FILTERS = frozenset({
    "id", "type", "idPattern", "attrs", "q", "csf", "georel", "geometry", "coordinates", "geoproperty", "scopeQ", "datasetId", "expandValues", "jsonKeys", "local",
    "bbox", "near", "text",
})  # fmt: skip
KNOWN = (
    projection.COMMON | FILTERS | {"limit", "offset", "count", "after", "orderBy", "orderFrom", "collation", "entityMap", "entityMapLifetime", "splitEntities"}
)
_NEAR = re.compile(r"near;(max|min)[dD]istance==(\d+(?:\.\d+)?)")
_ORDER = re.compile(r"([^\s;,\[\]]+)(?:\[([^\[\]]+)\])?(?:;(asc|desc|dist-asc|dist-desc))?")
#: languages whose alphabet goes by the base letter, as our order without accents does
COLLATIONS = re.compile(r"(und|pt|en|fr|it|nl|de|ca|gl)(-[A-Za-z0-9-]+)?")
SYSTEM = frozenset({"createdAt", "modifiedAt", "deletedAt", "expiresAt", "observedAt"})


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and whether its total is wanted."""

    query: EntityQuery
    count: bool


def parse(params: Mapping[str, str], context: Context) -> Question:
    """The question that query parameters ask. Raises InvalidRequest for unknown ones, BadRequestData for wrong or too wide ones."""
    unknown = [name for name in params if name not in KNOWN]
    if unknown:
        raise InvalidRequest(msg("O parâmetro “{name}” não existe."), name=unknown[0][:40])
    limit, offset = page(params)
    count = _flag(params, "count") or "count" in params.get("options", "").split(",")
    if limit == 0 and not count:
        raise BadRequestData(msg("limit=0 só serve com count=true."))
    query = replace(
        filters(params, context), limit=limit, offset=offset, after_id=parameters.number(params, "after", 0), count=count, order=_order(params, context)
    )
    if params.get("type") == "*" and params.get("local") == "false":
        raise BadRequestData(msg("type=* só serve dentro deste intermediário."))
    named = set(query.attrs) - SYSTEM or (query.q and store.names_in_question(query.q) - SYSTEM)
    narrow = params.get("type") or named or query.geo or query.bbox or query.near or query.text
    if not narrow and not _flag(params, "local"):
        raise BadRequestData(msg("A pergunta é demasiado larga: dê type, attrs, q ou georel, ou local=true."))
    return Question(query, count)


def page(params: Mapping[str, str]) -> tuple[int, int]:
    """How many entities a page has at most, and which is its first. Raises BadRequestData."""
    limit, offset = parameters.number(params, "limit", DEFAULT_LIMIT), parameters.number(params, "offset", 0)
    if limit > LARGEST_LIMIT:
        raise BadRequestData(msg("Uma página tem no máximo {limit} entidades."), limit=LARGEST_LIMIT)
    return limit, offset


def filters(params: Mapping[str, str], context: Context) -> EntityQuery:
    """Which entities the parameters mean, without pages and order. Raises BadRequestData."""
    uris = tuple(part for part in params.get("id", "").split(",") if part)
    for uri in uris:
        attributes.uri("id", uri)
    datasets = params.get("datasetId", "")
    if "csf" in params:
        store.names_in_question(params["csf"])  # no other source is asked yet; the filter has to be one
    selection = types_of(params.get("type", ""), context)
    plain = store.plain_types(selection)
    return EntityQuery(
        types=plain, type_selection="" if plain else selection, uris=uris, id_pattern=params.get("idPattern", ""),
        attrs=_attrs(params.get("attrs", ""), context), q=_q(params, context), scope_selection=params.get("scopeQ", ""),
        datasets=tuple("" if part == "@none" else part for part in datasets.split(",") if part),
        bbox=_bbox(params.get("bbox", "")), near=_near(params.get("near", "")), geo=_geo(params, context), text=params.get("text", ""),
    )  # fmt: skip


def _flag(params: Mapping[str, str], name: str) -> bool:
    said = params.get(name, "false")
    if said not in {"true", "false"}:
        raise BadRequestData(msg("“{name}” é true ou false."), name=name)
    return said == "true"


def _attrs(text: str, context: Context) -> tuple[str, ...]:
    if not text:
        return ()
    parts = text.split(",")
    for part in parts:
        if not attributes.usable_name(part.strip()) or part.strip() in {"id", "type", "scope"}:
            raise BadRequestData(msg("O nome “{name}” não serve para um atributo."), name=part[:80])
    return tuple(dict.fromkeys(context.expand(part.strip()) for part in parts))


_BODY = frozenset({"entityMap", "entityMapLifetime", "limit", "offset", "count", "options", "format", "sysAttrs", "local", "lang", "geometryProperty"})
_TEXTS = ("q", "lang", "scopeQ", "csf", "expandValues", "jsonKeys", "datasetId", "join", "joinLevel", "containedBy", "idPattern", "entityMapLifetime")
_FLAGS = ("entityMap", "splitEntities")


def of_body(payload: Any, params: Mapping[str, str]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The Query object (§5.2.23) of `POST /entityOperations/query` as the parameters of a GET, and its selectors of entities."""
    if not isinstance(payload, dict) or payload.get("type") != "Query":
        raise BadRequestData(msg("Envie um objeto com type “Query”."))
    for name in params:
        if name not in _BODY:
            raise InvalidRequest(msg("O parâmetro “{name}” não existe."), name=name[:40])
    asked = {name: value for name, value in params.items() if name in _BODY}
    if "temporalQ" in payload:
        raise BadRequestData(msg("“temporalQ” só serve na pergunta temporal."))
    for member in ("attrs", "pick", "omit"):
        if member in payload:
            asked[member] = _listed(member, payload[member])
    for member in _TEXTS:
        if member in payload:
            asked[member] = _text(member, payload[member])
    for member in _FLAGS:
        if member in payload:
            if not isinstance(payload[member], bool):
                raise BadRequestData(msg("“{name}” é true ou false."), name=member)
            asked[member] = "true" if payload[member] else "false"
    _ordering(payload.get("ordering"), asked)
    _place(payload.get("geoQ"), asked)
    selectors = payload.get("entities", [])
    if not isinstance(selectors, list) or not all(isinstance(s, dict) for s in selectors) or ("entities" in payload and not selectors):
        raise BadRequestData(msg("“entities” é uma lista de objetos com type, id ou idPattern."))
    return asked, selectors


def by_body(payload: Any, params: Mapping[str, str], context: Context) -> Question:
    """The question of a Query object, in the words of `context`. Raises as `parse` and `of_body`."""
    asked, selectors = of_body(payload, params)
    return with_selectors(asked, selectors, context)


def with_selectors(asked: Mapping[str, str], selectors: Sequence[Mapping[str, Any]], context: Context) -> Question:
    """The question of the parameters and the selectors of a Query object."""
    question = parse({**asked, **({"type": "*"} if selectors else {})}, context)
    return replace(question, query=replace(question.query, any_of=selectors_of(selectors, context)))


def _listed(member: str, said: Any) -> str:
    if not isinstance(said, list) or not said or not all(isinstance(each, str) and each for each in said):
        raise BadRequestData(msg("“{name}” é uma lista de textos que não está vazia."), name=member)
    return ",".join(said)


def _text(member: str, said: Any) -> str:
    if member == "joinLevel":
        if isinstance(said, bool) or not isinstance(said, int):
            raise BadRequestData(msg("“{name}” é um número inteiro, zero ou mais."), name=member)
        return str(said)
    if member in {"datasetId", "containedBy", "expandValues", "jsonKeys"} and isinstance(said, list):
        return _listed(member, said)
    if not isinstance(said, str) or not said:
        raise BadRequestData(msg("“{name}” é um texto."), name=member)
    return said


def _ordering(said: Any, asked: dict[str, str]) -> None:
    if said is None:
        return
    if not isinstance(said, dict) or "orderBy" not in said:
        raise BadRequestData(msg("“ordering” é um objeto com orderBy."))
    asked["orderBy"] = _listed("orderBy", said["orderBy"])
    if not isinstance(said.get("geometry", ""), str):
        raise BadRequestData(msg("“{name}” é um texto."), name="geometry")
    if "coordinates" in said:
        asked["orderFrom"] = said["coordinates"] if isinstance(said["coordinates"], str) else msgspec.json.encode(said["coordinates"]).decode()
    if "collation" in said:
        asked["collation"] = _text("collation", said["collation"])


def _place(said: Any, asked: dict[str, str]) -> None:
    if said is None:
        return
    if not isinstance(said, dict) or not {"georel", "geometry", "coordinates"} <= set(said):
        raise BadRequestData(msg("“geoQ” é um objeto com georel, geometry e coordinates."))
    if not all(isinstance(said.get(member, ""), str) for member in ("georel", "geometry", "geoproperty")):
        raise BadRequestData(msg("“geoQ” é um objeto com georel, geometry e coordinates."))
    for member in ("georel", "geometry", "coordinates", "geoproperty"):
        if member in said:
            asked[member] = said[member] if isinstance(said[member], str) else msgspec.json.encode(said[member]).decode()


def selectors_of(selectors: Sequence[Mapping[str, Any]], context: Context) -> tuple[Selector, ...]:
    """The selectors of entities of a Query (§5.2.33). Raises BadRequestData."""
    found: list[Selector] = []
    for said in selectors:
        uris = said.get("id", [])
        listed = [uris] if isinstance(uris, str) else uris
        if not isinstance(listed, list) or ("id" in said and not listed):
            raise BadRequestData(msg("O “id” da entidade tem de ser um URI, com até 2048 bytes."))
        kind, pattern = said.get("type"), said.get("idPattern", "")
        if not isinstance(kind, str) or not kind or not isinstance(pattern, str):
            raise BadRequestData(msg("“entities” é uma lista de objetos com type, id ou idPattern."))
        named = tuple(attributes.uri("id", each) for each in listed)
        found.append(Selector(types_of(kind, context), named, "" if named else pattern))  # an id goes before a pattern
    return tuple(found)


def types_of(text: str, context: Context) -> str:
    """A selection of types in internal names; "" where every type serves. Raises BadRequestData."""
    if not text or text == "*":
        return ""
    selection = store.rename_in_types(text, context.expand)
    for name in store.types_in(text):
        if not attributes.usable_name(name):
            raise BadRequestData(msg("O nome “{name}” não serve para um tipo."), name=name[:80])
    return selection


def _order(params: Mapping[str, str], context: Context) -> tuple[Ordering, ...]:
    collation = params.get("collation", "")
    if collation and not COLLATIONS.fullmatch(collation):
        raise BadRequestData(msg("Não se sabe ordenar por “{collation}”."), collation=collation[:40])
    steps: list[Ordering] = []
    for part in (params.get("orderBy") or "").split(","):
        if not part and not params.get("orderBy"):
            continue
        match = _ORDER.fullmatch(part.strip())
        if not match:
            raise BadRequestData(msg("Não se percebe a ordem “{text}”."), text=part[:80])
        path, inside, way = match[1], match[2], match[3] or "asc"
        if way.startswith("dist"):
            steps.append(Ordering((context.expand(path),), descending=way == "dist-desc", point=_point(params.get("orderFrom", ""))))
            continue
        first, *rest = path.split(".") if not path.startswith("http") else [path]
        names = (
            first if first in projection.OWN else context.expand(first),
            *(r if r in SYSTEM | {"unitCode", "datasetId"} else context.expand(r) for r in rest),
        )
        steps.append(Ordering(names, tuple(inside.split(".")) if inside else (), way == "desc", folded=bool(collation)))
    return tuple(steps)


def _point(text: str) -> tuple[float, float]:
    try:
        lon, lat = msgspec.json.decode(text, type=tuple[float, float])
    except (msgspec.DecodeError, msgspec.ValidationError) as reason:
        raise BadRequestData(msg("Para ordenar por distância diga orderFrom=[longitude,latitude].")) from reason
    return lon, lat


def narrowed(question: EntityQuery, types: frozenset[str] | None) -> EntityQuery | None:
    """The question within the reach of a principal; None when nothing of it is."""
    if types is None:
        return question
    allowed = tuple(t for t in (question.types or sorted(types)) if t in types)
    return replace(question, types=allowed) if allowed else None


def refuse_personal(conn: psycopg.Connection[Any], who: Asked, question: EntityQuery) -> None:
    """A question about an attribute that the principal may not read would tell it bit by bit."""
    if not question.q:
        return
    types = store.types_in(question.type_selection) if question.type_selection else question.types or store.type_names(conn, who.tenant_id)
    door.refuse_personal(who, types, store.names_in_question(question.q))
    refuse_beyond(conn, who, store.names_beyond_links(question.q))


def refuse_beyond(conn: psycopg.Connection[Any], who: Asked, asked: Collection[str]) -> None:
    """Refuse a condition about attributes of linked entities that the principal may not read; whoever reaches a part alone asks for none.

    What a relationship leads to may lie beyond the types, the area or the attributes of a reader, and would be told bit by bit. Raises NotPermitted.
    """
    if not asked:
        return
    if who.principal.types is not None or reach.current() is not None:
        raise NotPermitted(msg("O seu acesso é a uma parte: não se pergunta por “{name}” do outro lado de uma ligação."), name=min(asked))
    door.refuse_personal(who, store.type_names(conn, who.tenant_id), asked)


def _q(params: Mapping[str, str], context: Context) -> str:
    text = params.get("q", "")
    if not text:
        if "q" in params:
            raise BadRequestData(msg("“{name}” é um texto."), name="q")
        return ""
    links = store.links_in_question(text)
    level = params.get("joinLevel", "1")
    if links and (params.get("join", "@none") == "@none" or (level.isdigit() and links > int(level))):
        raise BadRequestData(msg("A pergunta q segue ligações para lá de join e joinLevel."))
    return store.rename_in_question(
        text, context.expand, lambda word: contexts.iri_of(context.expand(word)), frozenset(part for part in params.get("expandValues", "").split(",") if part)
    )


def _floats(text: str, count: int, name: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count or any(not abs(f) < 1e9 for f in found):
        raise BadRequestData(msg("“{name}” pede {count} números separados por vírgulas."), name=name, count=count)
    return found


def _bbox(text: str) -> tuple[float, float, float, float] | None:
    if not text:
        return None
    west, south, east, north = _floats(text, 4, "bbox")
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise BadRequestData(msg("bbox é oeste,sul,leste,norte em graus."))
    return west, south, east, north


def _near(text: str) -> tuple[float, float, float] | None:
    if not text:
        return None
    lon, lat, metres = _floats(text, 3, "near")
    return lon, lat, metres


def _require_sound(said: Mapping[str, Any]) -> None:
    try:
        geometry.require_sound(said)
    except UnusableEntity as reason:
        raise BadRequestData(reason.message, **reason.params) from reason


def _geo(params: Mapping[str, str], context: Context) -> GeoRelation | None:
    georel = params.get("georel", "")
    if not georel:
        if params.get("geometry") or params.get("coordinates"):
            raise BadRequestData(msg("Falta georel: a relação com a geometria."))
        return None
    kind = params.get("geometry", "")
    try:
        coordinates = msgspec.json.decode(params.get("coordinates", ""))
    except msgspec.DecodeError as reason:
        raise BadRequestData(msg("“coordinates” é uma lista JSON de coordenadas.")) from reason
    if kind not in {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"}:
        raise BadRequestData(msg("“geometry” é o tipo de uma geometria GeoJSON."))
    attribute = context.expand(params.get("geoproperty", "location"))
    said = {"type": kind, "coordinates": coordinates}
    _require_sound(said)
    if georel.startswith("near"):
        match = _NEAR.fullmatch(georel)
        if not match:
            raise BadRequestData(msg("georel near pede maxDistance==metros ou minDistance==metros."))
        metres = float(match[2])
        if metres <= 0:
            raise BadRequestData(msg("georel near pede maxDistance==metros ou minDistance==metros."))
        return GeoRelation("near", said, metres if match[1] == "max" else None, metres if match[1] == "min" else None, attribute)
    return GeoRelation(georel, said, attribute=attribute)
