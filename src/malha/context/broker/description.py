"""What the broker's routes take, for their OpenAPI description. Source: GS CIM 009 v1.9.1 §6."""

from __future__ import annotations

from typing import Any

from malha.kernel.openapi import BOOLEAN, INTEGER, Operation, Parameter, choice

_P = Parameter
JSON_KINDS = ("application/json", "application/ld+json")
FORMAT = (
    _P("options", "Form of the answer, several with commas"),
    _P("format", schema=choice("normalized", "concise", "simplified", "keyValues")),
    _P("sysAttrs", schema=BOOLEAN),
    _P("lang"),
)
CHOSEN = (
    _P("attrs"),
    _P("pick"),
    _P("omit"),
    _P("datasetId"),
    _P("geometryProperty"),
    _P("join", schema=choice("flat", "inline", "@none")),
    _P("joinLevel", schema=INTEGER),
    _P("containedBy"),
)
FILTERS = (
    _P("type", example="AirQualityObserved"), _P("id"), _P("idPattern"), _P("q", example="pm10>40"), _P("scopeQ"), _P("csf"), _P("georel", example="near;maxDistance==1000"),
    _P("geometry", schema=choice("Point", "Polygon", "LineString", "MultiPolygon")), _P("coordinates", example="[-8.6,41.1]"), _P("geoproperty"), _P("local", schema=BOOLEAN),
)  # fmt: skip
PAGING = (_P("limit", schema=INTEGER), _P("offset", schema=INTEGER), _P("count", schema=BOOLEAN))
_ORDER = (_P("orderBy"), _P("orderFrom"), _P("collation"))
_ATTRIBUTE: dict[str, Any] = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "value": {}, "observedAt": {"type": "string"}, "unitCode": {"type": "string"}, "datasetId": {"type": "string"}},
}
ENTITY: dict[str, Any] = {
    "type": "object", "required": ["id", "type"], "properties": {"id": {"type": "string"}, "type": {"type": "string"}, "location": _ATTRIBUTE, "pm10": _ATTRIBUTE},
    "example": {"id": "urn:exemplo:AirQualityObserved:1", "type": "AirQualityObserved", "pm10": {"type": "Property", "value": 21.3}},
}  # fmt: skip
_FRAGMENT = {"type": "object", "properties": {"pm10": _ATTRIBUTE, "location": _ATTRIBUTE}}
_MANY = {"type": "array", "items": ENTITY}
_ONE = Operation((*CHOSEN, *FORMAT))


def _body(schema: dict[str, Any], *parameters: Parameter, merge: bool = False) -> Operation:
    return Operation(parameters, schema, (*JSON_KINDS, "application/merge-patch+json") if merge else JSON_KINDS)


_OVERWRITE = _P("options", schema=choice("noOverwrite"))
OPERATIONS: dict[str, Operation] = {
    "GET /entities": Operation((*FILTERS, *CHOSEN, *FORMAT, *PAGING, *_ORDER)),
    "POST /entities": _body(ENTITY),
    "DELETE /entities": Operation((*FILTERS, _P("keep"), _P("drop"))),
    "GET /entities/{id}": _ONE,
    "PUT /entities/{id}": _body(ENTITY),
    "PATCH /entities/{id}": _body(_FRAGMENT, _P("observedAt"), _P("lang"), merge=True),
    "DELETE /entities/{id}": Operation((_P("type"),)),
    "POST /entities/{id}/attrs": _body(_FRAGMENT, _OVERWRITE),
    "PATCH /entities/{id}/attrs": _body(_FRAGMENT),
    "PATCH /entities/{id}/attrs/{attr}": _body(_ATTRIBUTE),
    "PUT /entities/{id}/attrs/{attr}": _body(_ATTRIBUTE),
    "DELETE /entities/{id}/attrs/{attr}": Operation((_P("datasetId"), _P("deleteAll", schema=BOOLEAN))),
    "POST /entityOperations/create": _body(_MANY),
    "POST /entityOperations/upsert": _body(_MANY, _P("options", schema=choice("update", "replace"))),
    "POST /entityOperations/update": _body(_MANY, _OVERWRITE),
    "POST /entityOperations/merge": _body(_MANY, _P("observedAt")),
    "POST /entityOperations/delete": _body({"type": "array", "items": {"type": "string"}}),
    "POST /entityOperations/query": _body({"type": "object", "required": ["type"], "properties": {"type": {"const": "Query"}, "entities": {"type": "array"}, "q": {"type": "string"}, "geoQ": {"type": "object"}}}, *PAGING, *FORMAT),
    "GET /types": Operation((_P("details", schema=BOOLEAN), _P("local", schema=BOOLEAN))),
    "GET /types/{type}": Operation((_P("local", schema=BOOLEAN),)),
    "GET /attributes": Operation((_P("details", schema=BOOLEAN), _P("local", schema=BOOLEAN))),
    "GET /attributes/{attr}": Operation((_P("local", schema=BOOLEAN),)),
    "GET /jsonldContexts": Operation((_P("details", schema=BOOLEAN), _P("kind", schema=choice("Hosted", "Cached", "ImplicitlyCreated")))),
    "POST /jsonldContexts": _body({"type": "object", "required": ["@context"], "properties": {"@context": {}}}),
    "GET /jsonldContexts/{id}": Operation((_P("details", schema=BOOLEAN),)),
    "DELETE /jsonldContexts/{id}": Operation((_P("reload", schema=BOOLEAN),)),
}  # fmt: skip
