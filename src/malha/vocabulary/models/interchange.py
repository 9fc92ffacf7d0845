"""A data model said in the forms that others read: JSON Schema 2020-12 (key-values), a JSON-LD context, an example."""

from __future__ import annotations

from typing import Any

from malha.kernel import units
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.models.contracts import AttributeKind, DataModel, ModelProperty, ValueType

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: dict[ValueType, dict[str, Any]] = {
    ValueType.NUMBER: {"type": "number"},
    ValueType.INTEGER: {"type": "integer"},
    ValueType.BOOLEAN: {"type": "boolean"},
    ValueType.TEXT: {"type": "string"},
    ValueType.URI: {"type": "string", "format": "uri"},
    ValueType.INSTANT: {"type": "string", "format": "date-time"},
    ValueType.DATE: {"type": "string", "format": "date"},
    ValueType.DURATION: {"type": "string", "format": "duration"},
    ValueType.OBJECT: {"type": "object"},
    ValueType.LIST: {"type": "array"},
    ValueType.GEOMETRY: {"type": "object", "required": ["type", "coordinates"], "properties": {"type": {"type": "string"}, "coordinates": {"type": "array"}}},
}


def json_schema(model: DataModel, address: str = "") -> dict[str, Any]:
    """The model as a JSON Schema of the key-values form; `address` is where it is served from, its `$id`."""
    schema: dict[str, Any] = {
        "$schema": DIALECT,
        **({"$id": address} if address else {}),
        "$schemaVersion": model.version,
        "title": model.label.pt,
        "description": model.description.pt,
        "type": "object",
        "required": ["id", "type", *(prop.name for prop in model.properties if prop.required)],
        "properties": {
            "id": {"type": "string", "format": "uri"},
            "type": {"const": model.type},
            **{prop.name: _property(prop) for prop in model.properties},
        },
    }
    if model.constraints:
        schema["allOf"] = [dict(rule) for rule in model.constraints]
    return schema


def _property(prop: ModelProperty) -> dict[str, Any]:
    own = _value(prop, prop.type)
    schema: dict[str, Any] = {"anyOf": [own, *(_value(prop, other) for other in prop.also)]} if prop.also else own
    schema["description"] = f"{prop.kind.value}. {prop.label.pt}." + (f" {prop.description.pt}." if prop.description.pt not in {"", prop.label.pt} else "")
    if prop.unit:
        schema["unitCode"] = prop.unit
    return schema


def _value(prop: ModelProperty, value_type: ValueType) -> dict[str, Any]:
    schema: dict[str, Any] = {key: (dict(value) if isinstance(value, dict) else value) for key, value in _TYPES[value_type].items()}
    if value_type in {ValueType.NUMBER, ValueType.INTEGER}:
        if prop.minimum is not None:
            schema["exclusiveMinimum" if prop.open_minimum else "minimum"] = prop.minimum
        if prop.maximum is not None:
            schema["exclusiveMaximum" if prop.open_maximum else "maximum"] = prop.maximum
    elif value_type is ValueType.TEXT:
        schema |= {"enum": list(prop.choices)} if prop.choices else {"pattern": prop.pattern} if prop.pattern else {"minLength": 1}
    elif value_type is ValueType.OBJECT:
        schema |= _members(prop)
    elif value_type is ValueType.LIST:
        schema |= {"minItems": prop.minimum_items} if prop.minimum_items else {}
        schema |= {"uniqueItems": True} if prop.unique_items else {}
        if prop.item_type is ValueType.OBJECT:
            schema["items"] = {"type": "object", **_members(prop)}
        elif prop.item_type is not None:
            schema["items"] = _value(prop, prop.item_type)
    return schema


def _members(prop: ModelProperty) -> dict[str, Any]:
    if not prop.members:
        return {}
    required = [member.name for member in prop.members if member.required]
    return {"properties": {member.name: _property(member) for member in prop.members}, **({"required": required} if required else {})}


def context(model: DataModel) -> dict[str, Any]:
    """A JSON-LD context with a term for the type and for each property (GS CIM 009 §5.5.7)."""
    terms: dict[str, Any] = {model.type: model.iri or contexts.iri_of(model.type)}
    for prop in model.properties:
        iri = prop.iri or contexts.iri_of(prop.name)
        terms[prop.name] = {"@id": iri, "@type": "@id"} if prop.kind is AttributeKind.RELATIONSHIP else iri
    return {"@context": terms}


def example(model: DataModel, organisation: str = "municipio") -> dict[str, Any]:
    """One entity of this model: the example that came with it, or one made of its mandatory and measured properties."""
    if model.example is not None:
        return dict(model.example)
    entity: dict[str, Any] = {"id": f"urn:{organisation}:{model.type}:1", "type": model.type}
    measures = {prop.name for prop in model.measures[:3]}
    for prop in model.properties:
        if prop.required or prop.name in measures or prop.name == model.time_property:
            entity[prop.name] = _example_attribute(prop)
    return entity


def _example_attribute(prop: ModelProperty) -> dict[str, Any]:
    value = _example_value(prop, prop.type)
    if prop.kind is AttributeKind.RELATIONSHIP:
        return {"type": prop.kind.value, "object": value}
    attribute: dict[str, Any] = {"type": prop.kind.value, "value": value}
    if prop.unit and units.find(prop.unit):
        attribute["unitCode"] = prop.unit
    return attribute


def _example_value(prop: ModelProperty, value_type: ValueType) -> Any:
    if prop.choices and value_type is ValueType.TEXT:
        return prop.choices[0]
    if value_type in {ValueType.NUMBER, ValueType.INTEGER}:
        low = prop.minimum if prop.minimum is not None else 0.0
        middle = (low + prop.maximum) / 2 if prop.maximum is not None else low + 1
        return round(middle) if value_type is ValueType.INTEGER else middle
    if value_type is ValueType.OBJECT:
        return {member.name: _example_value(member, member.type) for member in prop.members if member.required} or {"valor": 1}
    if value_type is ValueType.LIST:
        return [_example_value(prop, prop.item_type or ValueType.TEXT)]
    return {
        ValueType.BOOLEAN: True,
        ValueType.URI: f"urn:municipio:{prop.name}:1",
        ValueType.INSTANT: "2026-11-23T14:05:00Z",
        ValueType.DATE: "2026-11-23",
        ValueType.DURATION: "PT15M",
        ValueType.GEOMETRY: {"type": "Point", "coordinates": [-8.4265, 40.2115]},
    }.get(value_type, prop.label.pt)
