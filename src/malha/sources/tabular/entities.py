"""NGSI-LD entities in a JSON file as rows of a table: one column an attribute, its value as a person would write it (GS CIM 009 §4.5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_MEMBERS = {
    "Property": "value", "GeoProperty": "value", "Relationship": "object", "LanguageProperty": "languageMap", "VocabProperty": "vocab", "JsonProperty": "json",
    "ListProperty": "valueList", "ListRelationship": "objectList",
}  # fmt: skip
_OWN = frozenset({"id", "type", "@context", "@id", "@type", "scope"})


def are_entities(first: Mapping[str, Any]) -> bool:
    """Whether the first row of a file is an entity with attributes, and no plain row."""
    return {"id", "type"} <= set(first) and any(_is_attribute(_first(value)) for name, value in first.items() if name not in _OWN)


def row(entity: Mapping[str, Any]) -> dict[str, str]:
    """The cells of one entity. Of `urn:<organisation>:<Type>:<local>` the local part names it; a place is longitude and latitude, or WKT."""
    uri = str(entity.get("id", ""))
    cells = {"id": uri.split(":", 3)[3] if uri.count(":") > 2 and uri.startswith("urn:") else uri}
    for name, thing in entity.items():
        if name in _OWN:
            continue
        attribute = _first(thing)
        if not _is_attribute(attribute):
            cells |= _cells(name, thing)
            continue
        value = attribute.get(_MEMBERS[attribute["type"]])
        cells |= _place(name, value) if attribute["type"] == "GeoProperty" else _cells(name, value)
        if isinstance(attribute.get("observedAt"), str):
            cells.setdefault("observedAt", attribute["observedAt"])
    return cells


def _is_attribute(thing: Any) -> bool:
    return isinstance(thing, Mapping) and thing.get("type") in _MEMBERS


def _first(thing: Any) -> Any:
    return thing[0] if isinstance(thing, list) and thing and _is_attribute(thing[0]) else thing


def _cells(name: str, value: Any) -> dict[str, str]:
    if value is None or value in ({}, []):
        return {}
    if isinstance(value, Mapping):
        if "@value" in value:
            return _cells(name, value["@value"])
        return {column: cell for key, inner in value.items() for column, cell in _cells(f"{name}.{key}", inner).items()}
    if isinstance(value, list):
        plain = all(isinstance(one, str | int | float) for one in value)
        return {name: "; ".join(str(one) for one in value) if plain else json.dumps(value, ensure_ascii=False)}
    return {name: str(value).lower() if isinstance(value, bool) else str(value)}


def _place(name: str, value: Any) -> dict[str, str]:
    """A point as two columns; another shape as WKT; what is no geometry as it came, so that the row waits for it."""
    if isinstance(value, Mapping) and value.get("type") == "Point" and isinstance(value.get("coordinates"), list) and len(value["coordinates"]) > 1:
        before = "" if name == "location" else f"{name}."
        return {f"{before}longitude": str(value["coordinates"][0]), f"{before}latitude": str(value["coordinates"][1])}
    import shapely  # noqa: PLC0415 -- slow to read, and few files have such shapes
    from shapely.geometry import shape  # noqa: PLC0415 -- as above

    try:
        return {name: shape(value).wkt}
    except (shapely.errors.ShapelyError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        return {name: json.dumps(value, ensure_ascii=False)}
