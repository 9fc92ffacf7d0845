"""What SensorThings' addresses take, for their OpenAPI description: one for each kind, in the place of the one route that answers them all."""

from __future__ import annotations

from typing import Any

from malha.kernel.openapi import BOOLEAN, INTEGER, Operation, Parameter
from malha.share.sensorthings.contracts import SETS

_ROOT = "/sensorthings/v1.1"
_P = Parameter
_SHOWN = (_P("$select"), _P("$expand", example="Datastreams($top=1)"))
_LIST = (
    _P("$filter", example="name ne ''"),
    _P("$orderby", example="id desc"),
    _P("$top", schema=INTEGER),
    _P("$skip", schema=INTEGER),
    _P("$count", schema=BOOLEAN),
    *_SHOWN,
)
_SAID: dict[str, Any] = {"name": {"type": "string"}, "description": {"type": "string"}, "properties": {"type": "object"}}
_BODIES: dict[str, dict[str, Any]] = {
    "Things": {
        "type": "object",
        "required": ["name", "description"],
        "properties": {**_SAID, "Locations": {"type": "array"}, "Datastreams": {"type": "array"}},
    },
    "Sensors": {
        "type": "object",
        "required": ["name", "description", "encodingType", "metadata"],
        "properties": {**_SAID, "encodingType": {"type": "string"}, "metadata": {}},
    },
    "Observations": {
        "type": "object",
        "required": ["result", "Datastream"],
        "properties": {"result": {}, "phenomenonTime": {"type": "string"}, "Datastream": {"type": "object"}},
    },
}
_ARRAYS = {
    "type": "array",
    "items": {"type": "object", "properties": {"Datastream": {"type": "object"}, "components": {"type": "array"}, "dataArray": {"type": "array"}}},
}
OPERATIONS: dict[str, Operation] = {
    **{f"GET {_ROOT}/{name}": Operation((*_LIST, *([_P("$resultFormat")] if name == "Observations" else [])), says=f"Page of {name}.") for name in SETS},
    **{f"GET {_ROOT}/{name}({{key}})": Operation((_P("key", where="path"), *_SHOWN), says=f"One {one.one}.") for name, one in SETS.items()},
    **{
        f"POST {_ROOT}/{name}": Operation((), _BODIES.get(name, {"type": "object"}), says=f"New {one.one}.")
        for name, one in SETS.items()
        if name not in {"HistoricalLocations", "Locations"}
    },
    f"POST {_ROOT}/CreateObservations": Operation((), _ARRAYS),
    f"POST {_ROOT}/$batch": Operation((), media=("multipart/mixed",), says="Several requests in one."),
}
#: the route in whose place these stand
BEHIND = f"{_ROOT}/{{path:path}}"
