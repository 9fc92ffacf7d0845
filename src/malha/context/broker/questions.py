"""The query of a request (GS CIM 009 §5.7.2, §6.4.3.2) as a question to the store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import psycopg

from malha.context.broker import door
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest, NotPermitted
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, GeoRelation
from malha.kernel.text import msg
from malha.vocabulary.contexts.service import Context

DEFAULT_LIMIT, LARGEST_LIMIT = 100, 1000
_KNOWN = frozenset({
    "id", "type", "idPattern", "attrs", "pick", "omit", "q", "csf", "georel", "geometry", "coordinates", "geoproperty", "geometryProperty", "bbox", "near", "text",
    "limit", "offset", "count", "options", "format", "sysAttrs", "lang", "datasetId", "local", "after", "scopeQ", "expandValues", "jsonKeys",
})  # fmt: skip
_UNSUPPORTED = frozenset({"csf", "scopeQ", "expandValues", "jsonKeys"})
_TYPE_PUNCTUATION = re.compile(r"[(),|;]")
_NEAR = re.compile(r"near;(max|min)[dD]istance==(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and whether its total is wanted."""

    query: EntityQuery
    count: bool


def parse(params: Mapping[str, str], context: Context) -> Question:
    """The question that query parameters ask. Raises InvalidRequest for unknown ones, BadRequestData for wrong or too wide ones."""
    unknown = [name for name in params if name not in _KNOWN]
    if unknown:
        raise InvalidRequest(msg("O parâmetro “{name}” não existe."), name=unknown[0][:40])
    unsupported = [name for name in params if name in _UNSUPPORTED]
    if unsupported:
        raise BadRequestData(msg("O parâmetro “{name}” ainda não é aceite nesta versão."), name=unsupported[0])
    limit, offset = _number(params, "limit", DEFAULT_LIMIT), _number(params, "offset", 0)
    count = params.get("count") == "true" or "count" in params.get("options", "").split(",")
    if limit > LARGEST_LIMIT:
        raise BadRequestData(msg("Uma página tem no máximo {limit} entidades."), limit=LARGEST_LIMIT)
    if limit == 0 and not count:
        raise BadRequestData(msg("limit=0 só serve com count=true."))
    query = EntityQuery(
        types=_types(params.get("type", ""), context), uris=tuple(part for part in params.get("id", "").split(",") if part), id_pattern=params.get("idPattern", ""),
        attrs=tuple(context.expand(a.strip()) for a in params.get("attrs", "").split(",") if a.strip()), q=_q(params.get("q", ""), context),
        bbox=_bbox(params.get("bbox", "")), near=_near(params.get("near", "")), geo=_geo(params, context), text=params.get("text", ""),
        limit=limit, offset=offset, after_id=_number(params, "after", 0), count=count,
    )  # fmt: skip
    narrow = query.types or query.uris or query.attrs or query.q or query.geo or query.bbox or query.near or query.id_pattern or query.text
    if not narrow and params.get("local") != "true":
        raise BadRequestData(msg("A pergunta é demasiado larga: dê type, attrs, q ou georel, ou local=true."))
    return Question(query, count)


def of_body(payload: Any, context: Context, params: Mapping[str, str]) -> Question:
    """The question of `POST /entityOperations/query`: the same, as a Query object (§5.2.23)."""
    if not isinstance(payload, dict) or payload.get("type") != "Query":
        raise BadRequestData(msg("Envie um objeto com type “Query”."))
    asked = {name: value for name, value in params.items() if name in {"limit", "offset", "count", "options", "format", "sysAttrs", "local", "lang"}}
    for member in ("attrs", "pick", "omit", "q", "lang"):
        if payload.get(member):
            asked[member] = ",".join(payload[member]) if isinstance(payload[member], list) else str(payload[member])
    if isinstance(geo := payload.get("geoQ"), dict):
        asked |= {
            k: v if isinstance(v, str) else msgspec.json.encode(v).decode() for k, v in geo.items() if k in {"georel", "geometry", "coordinates", "geoproperty"}
        }
    selectors = payload.get("entities", [])
    if not isinstance(selectors, list) or not all(isinstance(s, dict) for s in selectors):
        raise BadRequestData(msg("“entities” é uma lista de objetos com type, id ou idPattern."))
    if len(selectors) > 1 and any(set(s) != {"type"} for s in selectors):
        raise BadRequestData(msg("Vários seletores de entidades só se aceitam por tipo, nesta versão."))
    for selector in selectors:
        for member in ("id", "idPattern"):
            if selector.get(member):
                asked[member] = ",".join(selector[member]) if isinstance(selector[member], list) else str(selector[member])
    if any(s.get("type") for s in selectors):
        asked["type"] = ",".join(str(s["type"]) for s in selectors if s.get("type"))
    return parse(asked, context)


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
    types = question.types or tuple(name for name, _, _ in store.types(conn, who.tenant_id))
    asked = door.personal(who, types) & store.names_in_question(question.q)
    if asked:
        raise NotPermitted(msg("O atributo “{name}” é sobre pessoas; o seu acesso não o abrange."), name=min(asked))


def _number(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name)
    if text is None:
        return default
    if not text.isdigit() or len(text) > 18:
        raise BadRequestData(msg("“{name}” é um número inteiro, zero ou mais."), name=name)
    return int(text)


def _types(text: str, context: Context) -> tuple[str, ...]:
    if not text:
        return ()
    if ";" in text:
        raise BadRequestData(msg("A seleção de entidades de vários tipos ao mesmo tempo (;) ainda não é aceite nesta versão."))
    return tuple(dict.fromkeys(context.expand(part.strip()) for part in _TYPE_PUNCTUATION.split(text) if part.strip()))


def _q(text: str, context: Context) -> str:
    return store.rename_in_question(text, context.expand) if text else ""


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
    geometry = {"type": kind, "coordinates": coordinates}
    if georel.startswith("near"):
        match = _NEAR.fullmatch(georel)
        if not match:
            raise BadRequestData(msg("georel near pede maxDistance==metros ou minDistance==metros."))
        metres = float(match[2])
        return GeoRelation("near", geometry, metres if match[1] == "max" else None, metres if match[1] == "min" else None, attribute)
    return GeoRelation(georel, geometry, attribute=attribute)
