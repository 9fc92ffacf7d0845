"""The order of entities that lie in memory (GS CIM 009 §4.23), as the store orders those in its table. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from malha.context.store import shapes
from malha.context.store.contracts import Ordering, StoredEntity
from malha.kernel.text import unaccent
from malha.kernel.time import format_instant

EARTH_M = 6_371_008.8
_VALUES = ("value", "object", "vocab", "json", "languageMap", "valueList")
_SYSTEM = frozenset({"createdAt", "modifiedAt"})
_META = frozenset({"observedAt", "unitCode", "datasetId", "createdAt", "modifiedAt", "expiresAt", "objectType", "lang"})


def ordered(entities: Sequence[StoredEntity], steps: Sequence[Ordering]) -> list[StoredEntity]:
    """By the first step, where that does not tell by the next, and so on: numbers, then texts; what lacks the member comes last either way."""
    found = list(entities)
    for step in reversed(steps):
        found = _by(found, step)
    return found


def _by(entities: Sequence[StoredEntity], step: Ordering) -> list[StoredEntity]:
    numbers: list[tuple[float, StoredEntity]] = []
    texts: list[tuple[str, StoredEntity]] = []
    lacking: list[StoredEntity] = []
    for entity in entities:
        value = _value(entity, step)
        if value is None:
            lacking.append(entity)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers.append((value, entity))
        else:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            texts.append((unaccent(text).lower() if step.folded else text, entity))
    return [*_sorted(numbers, step), *_sorted(texts, step), *lacking]


def _sorted[T: (float, str)](found: list[tuple[T, StoredEntity]], step: Ordering) -> list[StoredEntity]:
    def key(pair: tuple[T, StoredEntity]) -> T:
        return pair[0]

    return [entity for _, entity in sorted(found, key=key, reverse=step.descending)]  # equal ones stay as they are


def _value(entity: StoredEntity, step: Ordering) -> Any:
    if step.point is not None:
        return _distance_m(entity, step.point)
    first, *rest = step.path
    if not rest and first in {"id", "type", "scope", "createdAt", "modifiedAt", "expiresAt"}:
        return _own(entity, first)
    one: Any = entity.attributes
    for name in step.path:  # of several instances none decides, as in the store
        one = one.get(name) if isinstance(one, dict) else None
    if rest and (last := rest[-1]) in _META:
        return format_instant(entity.created_at if last == "createdAt" else entity.modified_at) if one is None and last in _SYSTEM else one
    found = next((one[member] for member in _VALUES if isinstance(one, dict) and one.get(member) is not None), None)
    for name in step.inside:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _own(entity: StoredEntity, name: str) -> Any:
    """A member of the entity itself; instants as seconds since 1970."""
    if name in {"id", "type", "scope"}:
        return {"id": entity.uri, "type": entity.types[0], "scope": list(entity.scopes) or None}[name]
    moment = {"createdAt": entity.created_at, "modifiedAt": entity.modified_at, "expiresAt": entity.expires_at}[name]
    return moment.timestamp() if moment is not None else None


def _distance_m(entity: StoredEntity, point: tuple[float, float]) -> float | None:
    """Great-circle metres from the middle of the entity's box."""
    shape = shapes.shape_of(entity.attributes, "location")
    if shape is None:
        return None
    west, south, east, north = map(math.radians, shape.bounds)
    lon, lat = map(math.radians, point)
    half = math.sin(((south + north) / 2 - lat) / 2) ** 2 + math.cos(lat) * math.cos((south + north) / 2) * math.sin(((west + east) / 2 - lon) / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))
