"""What the routes of snapshots take, for their OpenAPI description. Source: GS CIM 009 v1.9.1 §5.2.41, §6.36–6.38."""

from __future__ import annotations

from typing import Any

from malha.kernel.openapi import INTEGER, Operation, Parameter

_JSON = ("application/json", "application/ld+json")
_CHANGED: dict[str, Any] = {
    "type": {"const": "Snapshot"},
    "snapshotPriority": {**INTEGER, "minimum": 1, "maximum": 10},
    "snapshotLifetime": {"type": "string"},
    "endpoint": {"type": "string", "format": "uri"},
}
_MEMBERS: dict[str, Any] = {"type": {"const": "Query"}, "entities": {"type": "array"}, "q": {"type": "string"}}
_QUERY = {"type": "object", "required": ["type"], "properties": _MEMBERS}
_PERIOD = {"type": "object", "properties": {name: {"type": "string"} for name in ("timerel", "timeAt", "endTimeAt", "timeproperty")} | {"lastN": INTEGER}}
_TEMPORAL = {"type": "object", "required": ["type", "temporalQ"], "properties": _MEMBERS | {"temporalQ": _PERIOD}}
_SNAPSHOT: dict[str, Any] = {
    "type": "object", "required": ["type"], "anyOf": [{"required": ["snapshotQueries"]}, {"required": ["snapshotTemporalQueries"]}],
    "properties": {
        **_CHANGED, "snapshotQueries": {"type": "array", "minItems": 1, "maxItems": 10, "items": _QUERY},
        "snapshotTemporalQueries": {"type": "array", "minItems": 1, "maxItems": 10, "items": _TEMPORAL},
    },
    "example": {"type": "Snapshot", "snapshotQueries": [{"type": "Query", "entities": [{"type": "AirQualityObserved"}]}], "snapshotLifetime": "P1D"},
}  # fmt: skip
_CHANGE = {"type": "object", "properties": _CHANGED}
OPERATIONS: dict[str, Operation] = {
    "POST ": Operation((), _SNAPSHOT, _JSON),
    "DELETE ": Operation((Parameter("q", example="snapshotPriority<3"),)),
    "PATCH /{id}": Operation((), _CHANGE, _JSON),
    "POST /{id}/clone": Operation((), _CHANGE, _JSON),
}
