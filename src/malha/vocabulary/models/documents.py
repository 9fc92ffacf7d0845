"""An entity as it came, in any of the three forms, as the internal document: normalized, keyed by short names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malha.vocabulary.models.contracts import AttributeKind, DataModel
from malha.vocabulary.models.simplified import GEOMETRIES, KINDS, VALUE_MEMBERS, is_attribute, plain

_NOT_ATTRIBUTES = frozenset({"id", "type", "@id", "@type", "@context", "scope"})
#: members of an attribute that are no sub-attributes; `coordinateSystem` is the national catalogue's own
_PLAIN_MEMBERS = frozenset(VALUE_MEMBERS) | {
    "type", "unitCode", "observedAt", "datasetId", "createdAt", "modifiedAt", "deletedAt", "instanceId", "lang", "objectType", "expiresAt",
    "coordinateSystem", "previousValue", "previousObject", "previousLanguageMap", "entity", "entityList", "valueType", "ngsildproof",
}  # fmt: skip
_MEMBER = {
    AttributeKind.RELATIONSHIP: "object",
    AttributeKind.LANGUAGE_PROPERTY: "languageMap",
    AttributeKind.VOCAB_PROPERTY: "vocab",
    AttributeKind.JSON_PROPERTY: "json",
    AttributeKind.LIST_PROPERTY: "valueList",
    AttributeKind.LIST_RELATIONSHIP: "objectList",
}


def to_document(entity: Mapping[str, Any], model: DataModel | None) -> dict[str, Any]:
    """`{"uri", "types", "scopes", "attributes"}` of `entity`, the attributes normalized; `model` says what bare values are."""
    types = entity.get("type", entity.get("@type"))
    scopes = entity.get("scope", ())
    kinds = {prop.name: prop.kind for prop in model.properties} if model else {}
    return {
        "uri": entity.get("id", entity.get("@id")),
        "types": tuple(types) if isinstance(types, list) else (types,),
        "scopes": tuple(scopes) if isinstance(scopes, list | tuple) else (scopes,),
        "attributes": {name: _attribute(thing, kinds.get(name)) for name, thing in entity.items() if name not in _NOT_ATTRIBUTES},
    }


def _attribute(thing: Any, kind: AttributeKind | None) -> Any:
    if isinstance(thing, list) and thing and is_attribute(thing[0]):
        return [_attribute(each, kind) for each in thing]
    if not is_attribute(thing):
        return _bare(thing, kind)
    named = thing.get("type")
    if named not in KINDS:
        named = next(each.value for member, each in VALUE_MEMBERS.items() if member in thing)
        if named == "Property" and _is_geometry(thing.get("value")):
            named = AttributeKind.GEO_PROPERTY.value
    normal: dict[str, Any] = {"type": named}
    for member, value in thing.items():
        if member == "type":
            continue
        if member in _PLAIN_MEMBERS:
            normal[member] = plain(value) if member in VALUE_MEMBERS or member == "observedAt" else value
        else:
            normal[member] = _attribute(value, None)
    return normal


def _bare(value: Any, kind: AttributeKind | None) -> dict[str, Any]:
    value = plain(value)
    if kind is None:
        kind = AttributeKind.GEO_PROPERTY if _is_geometry(value) else AttributeKind.PROPERTY
    return {"type": kind.value, _MEMBER.get(kind, "value"): value}


def _is_geometry(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("type") in GEOMETRIES and ("coordinates" in value or "geometries" in value)
