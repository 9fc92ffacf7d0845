"""What the temporal routes take, for their OpenAPI description. Source: GS CIM 009 §6.18 to §6.24."""

from __future__ import annotations

from typing import Any

from malha.context.broker.description import CHOSEN, FILTERS, JSON_KINDS, PAGING
from malha.kernel.openapi import BOOLEAN, INSTANT, INTEGER, Operation, Parameter, choice

_P = Parameter
_TIME = (
    _P("timerel", schema=choice("before", "after", "between")), _P("timeAt", schema=INSTANT), _P("endTimeAt", schema=INSTANT),
    _P("timeproperty", schema=choice("observedAt", "createdAt", "modifiedAt", "deletedAt")), _P("lastN", schema=INTEGER),
    _P("aggrMethods", example="avg,max"), _P("aggrPeriodDuration", example="PT1H"), _P("options", schema=choice("temporalValues", "aggregatedValues", "sysAttrs")),
    _P("format", schema=choice("temporalValues", "aggregatedValues", "simplified", "normalized")),
)  # fmt: skip
_PICKED = tuple(one for one in CHOSEN if one.name in {"attrs", "pick", "omit", "datasetId"})
_INSTANCE: dict[str, Any] = {"type": "object", "properties": {"type": {"const": "Property"}, "value": {}, "observedAt": {"type": "string"}}}
_EVOLUTION: dict[str, Any] = {
    "type": "object", "required": ["id", "type"], "properties": {"id": {"type": "string"}, "type": {"type": "string"}, "pm10": {"type": "array", "items": _INSTANCE}},
}  # fmt: skip
_PERIOD = (_P("from", schema=INSTANT), _P("to", schema=INSTANT))
_SERIES = (
    _P("type", required=True), _P("attribute", required=True), _P("uri"), *_PERIOD, _P("grain", schema=choice("raw", "15min", "hour", "day", "month")),
    _P("aggregation", schema=choice("average", "sum", "minimum", "maximum", "count", "last")), _P("at", schema=INSTANT),
)  # fmt: skip
OPERATIONS: dict[str, Operation] = {
    "GET /ngsi-ld/v1/temporal/entities": Operation((*_TIME, *FILTERS, *_PICKED, *PAGING)),
    "POST /ngsi-ld/v1/temporal/entities": Operation((), _EVOLUTION, JSON_KINDS),
    "GET /ngsi-ld/v1/temporal/entities/{id}": Operation((*_TIME, *_PICKED)),
    "POST /ngsi-ld/v1/temporal/entities/{id}/attrs": Operation(
        (), {"type": "object", "properties": {"pm10": {"type": "array", "items": _INSTANCE}}}, JSON_KINDS
    ),
    "DELETE /ngsi-ld/v1/temporal/entities/{id}/attrs/{attr}": Operation((_P("datasetId"), _P("deleteAll", schema=BOOLEAN))),
    "PATCH /ngsi-ld/v1/temporal/entities/{id}/attrs/{attr}/{instance}": Operation((), {"type": "object", "properties": {"pm10": _INSTANCE}}, JSON_KINDS),
    "POST /ngsi-ld/v1/temporal/entityOperations/query": Operation(
        PAGING, {"type": "object", "properties": {"type": {"const": "Query"}, "temporalQ": {"type": "object"}, "q": {"type": "string"}}}, JSON_KINDS
    ),
    "GET /history/series": Operation(_SERIES),
    "GET /history/values": Operation(
        (*_SERIES, _P("quantile", schema={"type": "number"}), _P("limit", schema=INTEGER), _P("format", schema=choice("json", "csv", "arrow", "parquet")))
    ),
    "GET /history/track": Operation(
        (_P("id", required=True), *_PERIOD, _P("at", schema=INSTANT), _P("fastest", schema={"type": "number"})), answers="application/geo+json"
    ),
}
