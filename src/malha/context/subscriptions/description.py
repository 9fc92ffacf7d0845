"""What the routes of subscriptions take, for their OpenAPI description. Source: GS CIM 009 §5.2.12, §6.10, §6.11."""

from __future__ import annotations

from typing import Any

from malha.kernel.openapi import INTEGER, Operation, Parameter

_JSON = ("application/json", "application/ld+json")
_ENDPOINT = {
    "type": "object",
    "required": ["uri"],
    "properties": {"uri": {"type": "string", "format": "uri"}, "accept": {"type": "string"}, "timeout": {"type": "number"}},
}
_SUBSCRIPTION: dict[str, Any] = {
    "type": "object", "required": ["type", "notification"],
    "properties": {
        "type": {"const": "Subscription"}, "entities": {"type": "array", "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}, "idPattern": {"type": "string"}}}},
        "watchedAttributes": {"type": "array", "items": {"type": "string"}}, "q": {"type": "string"}, "throttling": {"type": "number"}, "timeInterval": {"type": "number"},
        "expiresAt": {"type": "string"}, "isActive": {"type": "boolean"},
        "notification": {"type": "object", "required": ["endpoint"], "properties": {"endpoint": _ENDPOINT, "format": {"type": "string"}, "attributes": {"type": "array", "items": {"type": "string"}}}},
    },
    "example": {"type": "Subscription", "entities": [{"type": "AirQualityObserved"}], "notification": {"endpoint": {"uri": "https://exemplo.pt/aviso"}}},
}  # fmt: skip
OPERATIONS: dict[str, Operation] = {
    "GET ": Operation((Parameter("limit", schema=INTEGER), Parameter("offset", schema=INTEGER), Parameter("count", schema={"type": "boolean"}))),
    "POST ": Operation((), _SUBSCRIPTION, _JSON),
    "PATCH /{id}": Operation((), {**_SUBSCRIPTION, "required": []}, _JSON),
}
