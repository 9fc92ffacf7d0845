"""Entities in the words of an earlier NGSI-LD, for a reader who prefers one (GS CIM 009 §4.3.6.8; RFC 7240, RFC 9110 §15.3.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from malha.context.broker import heads

type Version = tuple[int, int]
NATIVE: Version = (1, 9)
_PREFERENCE = re.compile(r'(?:^|,)\s*ngsi-ld\s*=\s*"?1\.(\d{1,2})"?\s*(?=;|,|$)', re.IGNORECASE)
#: kinds of attributes, since when they are, the member with their value, and what they were said as before
_KINDS: dict[str, tuple[Version, str, str]] = {
    "LanguageProperty": ((1, 4), "languageMap", "Property"),
    "VocabProperty": ((1, 8), "vocab", "Property"),
    "JsonProperty": ((1, 8), "json", "Property"),
    "ListProperty": ((1, 8), "valueList", "Property"),
    "ListRelationship": ((1, 8), "objectList", "Property"),
}
#: members of entities and of attributes that an earlier reader does not know
_ENTITY_SINCE: dict[str, Version] = {"scope": (1, 5), "expiresAt": (1, 9), "deletedAt": (1, 8)}
_ATTRIBUTE_SINCE: dict[str, Version] = {"objectType": (1, 8), "entity": (1, 8), "entityList": (1, 8), "expiresAt": (1, 9), "deletedAt": (1, 8)}
_SUB = frozenset({"Property", "Relationship", "GeoProperty", *_KINDS})
_HEAD = frozenset({"id", "type", "@context", "createdAt", "modifiedAt", *_ENTITY_SINCE})


@heads.by_head
def preferred(request: Request) -> Version | None:
    """The version that `Prefer: ngsi-ld=1.x` asks for, None for none or for one that is not known here."""
    if "prefer" not in request.headers:
        return None
    found = _PREFERENCE.search(", ".join(request.headers.getlist("prefer")))
    version = (1, int(found[1])) if found else None
    return version if version is not None and version <= NATIVE else None


def amended(payload: Any, version: Version) -> Any:
    """An answer of entities as a reader of `version` knows them; the very same object where nothing had to change."""
    if version >= NATIVE:
        return payload
    if isinstance(payload, list):
        return _each(payload, version)
    if payload.get("type") == "FeatureCollection":
        features = _each(payload["features"], version)
        return payload if features is payload["features"] else {**payload, "features": features}
    if payload.get("type") == "Feature":
        properties = _entity(payload["properties"], version)
        return payload if properties is payload["properties"] else {**payload, "properties": properties}
    return _entity(payload, version)


def _each(found: list[Any], version: Version) -> list[Any]:
    changed = [amended(one, version) for one in found]
    return found if all(new is old for new, old in zip(changed, found, strict=True)) else changed


def _entity(entity: Mapping[str, Any], version: Version) -> Mapping[str, Any]:
    out: dict[str, Any] = {}
    for name, value in entity.items():
        if version < _ENTITY_SINCE.get(name, (0, 0)):
            continue
        if name == "type" and isinstance(value, list) and version < (1, 5):
            out[name] = value[0]
        else:
            out[name] = value if name in _HEAD else _attribute(value, version)
    return entity if _same(out, entity) else out


def _same(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return new.keys() == old.keys() and all(value is old[name] for name, value in new.items())


def _attribute(said: Any, version: Version) -> Any:
    """An attribute, in whichever form it is; several instances are one before there were datasetIds."""
    if isinstance(said, list) and said and all(isinstance(one, dict) for one in said):
        kept = said if version >= (1, 3) else [next((one for one in said if "datasetId" not in one), said[0])]
        new = [_instance(one, version) for one in kept]
        if len(kept) == len(said):
            return said if all(a is b for a, b in zip(new, said, strict=True)) else new
        return new[0]
    return _instance(said, version) if isinstance(said, dict) else said


def _instance(said: dict[str, Any], version: Version) -> dict[str, Any]:
    kind = said.get("type") or next((name for name, (_, member, _) in _KINDS.items() if member in said), "")
    since, member, before = _KINDS.get(kind, ((0, 0), "", ""))
    out: dict[str, Any] = {}
    for name, value in said.items():
        if version < _ATTRIBUTE_SINCE.get(name, (0, 0)):
            continue
        if version < since and name in {member, "type"}:
            if name == "type":
                out["type"] = before
            else:
                out["value"] = (
                    [each["object"] if isinstance(each, dict) and "object" in each else each for each in value] if kind == "ListRelationship" else value
                )
        else:
            out[name] = _instance(value, version) if isinstance(value, dict) and value.get("type") in _SUB else value
    return said if _same(out, said) else out
