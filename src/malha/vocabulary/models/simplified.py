"""One attribute, whichever of the three NGSI-LD forms it comes in, as value, unit and members (GS CIM 009 §4.5).

Normalized `{"type": "Property", "value": 21}`, concise `{"value": 21}` and key-values `21` say the same. So do the
typed values of JSON-LD (`{"@type": "DateTime", "@value": "…"}`) that national examples use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malha.vocabulary.models.contracts import AttributeKind

GEOMETRIES = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"})
#: member that holds what an attribute of each kind says
VALUE_MEMBERS = {
    "value": AttributeKind.PROPERTY,
    "object": AttributeKind.RELATIONSHIP,
    "languageMap": AttributeKind.LANGUAGE_PROPERTY,
    "vocab": AttributeKind.VOCAB_PROPERTY,
    "json": AttributeKind.JSON_PROPERTY,
    "valueList": AttributeKind.LIST_PROPERTY,
    "objectList": AttributeKind.LIST_RELATIONSHIP,
}
KINDS = frozenset(kind.value for kind in AttributeKind)
_MEMBER_OF = {kind: member for member, kind in VALUE_MEMBERS.items()} | {AttributeKind.GEO_PROPERTY: "value"}


class Missing:
    """The value of an attribute that names its kind and then says nothing."""


MISSING = Missing()


def is_attribute(thing: object) -> bool:
    """Whether `thing` is an attribute with members (normalized or concise) and not a bare value."""
    if not isinstance(thing, Mapping):
        return False
    kind = thing.get("type")
    if kind in KINDS:
        return True
    return (kind is None or kind not in GEOMETRIES) and any(member in thing for member in VALUE_MEMBERS) and "coordinates" not in thing


def unwrap(thing: object) -> tuple[Any, Mapping[str, Any] | None]:
    """The plain value of an attribute and the attribute itself (None for a bare value)."""
    if is_attribute(thing):
        assert isinstance(thing, Mapping)
        member = _MEMBER_OF.get(thing.get("type", ""))
        if member is None or member not in thing:
            member = next((name for name in VALUE_MEMBERS if name in thing), "")
        return (plain(thing[member]) if member else MISSING), thing
    return plain(thing), None


def plain(value: Any) -> Any:
    """`value` without the wrapping of JSON-LD typed values, at any depth."""
    if isinstance(value, Mapping):
        if "@value" in value:
            return value["@value"]
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def key_values(entity: Mapping[str, Any]) -> dict[str, Any]:
    """The entity in key-values form (GS CIM 009 §4.5.4); of several instances of an attribute the first."""
    simple: dict[str, Any] = {}
    for name, thing in entity.items():
        if name in {"id", "type", "@id", "@type", "@context", "scope"}:
            if name != "@context":
                simple[name.removeprefix("@")] = thing
            continue
        first = thing[0] if isinstance(thing, list) and thing and is_attribute(thing[0]) else thing
        value, _ = unwrap(first)
        if not isinstance(value, Missing):
            simple[name] = value
    return simple
