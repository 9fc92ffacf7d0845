"""What a record shows: pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from malha.context.store.contracts import StoredEntity
from malha.kernel import formats, time
from malha.vocabulary.models.contracts import DataModel, ModelProperty, Role, ValueType

#: columns of a list, in order of what helps most to tell records apart
ORDER = {Role.IDENTIFIER: 0, Role.DIMENSION: 1, Role.MEASURE: 2, Role.TIME: 3, Role.TEXT: 4, Role.PLACE: 9}
COLUMNS = 6
#: properties that are shown by other means, or say nothing to people
APART = frozenset({"name", "location", "address", "@context", "seeAlso", "owner", "dataProvider", "source"})


@dataclass(frozen=True, slots=True)
class Line:
    """One property of a record as people read it."""

    name: str
    label: str
    text: str
    observed_at: datetime | None = None
    numeric: bool = False
    measure: bool = False


def name_of(entity: StoredEntity) -> str:
    """What people call a record: its name, else the last part of its URI."""
    name = entity.value("name")
    if isinstance(name, dict):
        name = name.get("pt") or next(iter(name.values()), None)
    return str(name) if name else entity.uri.rsplit(":", 1)[-1]


def columns(model: DataModel | None, entities: Sequence[StoredEntity], *, personal: bool) -> list[str]:
    """The properties that a list shows: those that are filled most, measures and dimensions first."""
    filled: dict[str, int] = {}
    for entity in entities:
        for name in entity.attributes:
            filled[name] = filled.get(name, 0) + 1
    known = {name: model.find(name) if model else None for name in filled if name not in APART}
    usable = [name for name, found in known.items() if _listed(found, personal=personal)]
    return sorted(usable, key=lambda name: (_rank(known[name]), -filled[name], name))[:COLUMNS]


def _rank(found: ModelProperty | None) -> int:
    return ORDER[found.role] if found else 5


def _listed(found: ModelProperty | None, *, personal: bool) -> bool:
    if found is None:
        return True
    return (personal or not found.personal) and found.type not in {ValueType.OBJECT, ValueType.LIST, ValueType.GEOMETRY}


def instance(given: object) -> dict[str, Any]:
    """The first instance of an attribute."""
    one = given[0] if isinstance(given, list) and given else given
    return one if isinstance(one, dict) else {}


def text_of(value: object, found: ModelProperty | None, unit: str, zone: ZoneInfo, language: str) -> str:
    """A value as people read it: numbers with their unit, instants in the municipality's zone, choices by their label."""
    if isinstance(value, bool):
        return {"en": ("yes", "no")}.get(language[:2], ("sim", "não"))[0 if value else 1]
    if isinstance(value, (int, float)):
        return formats.quantity(value, unit or (found.unit if found else ""), None, language)
    if isinstance(value, dict):
        return _of_object(value, found, zone, language)
    if isinstance(value, list):
        return ", ".join(text_of(one, found, unit, zone, language) for one in value)
    if isinstance(value, str):
        return _of_text(value, found, zone, language)
    return formats.NO_VALUE


def _of_object(value: dict[str, Any], found: ModelProperty | None, zone: ZoneInfo, language: str) -> str:
    if "@value" in value:
        return text_of(value["@value"], found, "", zone, language)
    if {"type", "coordinates"} <= value.keys():
        return str(value["type"])
    return ", ".join(text_of(one, None, "", zone, language) for one in value.values() if one not in (None, ""))


def _of_text(value: str, found: ModelProperty | None, zone: ZoneInfo, language: str) -> str:
    if found and value in found.choices and found.choice_labels:
        return found.choice_labels[found.choices.index(value)].in_language(language)
    if found and found.type is ValueType.INSTANT:
        try:
            return formats.instant(time.parse_instant(value, zone=zone), zone, language)
        except ValueError:
            return value
    if found and found.type is ValueType.DATE:
        try:
            return formats.day(date.fromisoformat(value[:10]), language)
        except ValueError:
            return value
    return value


def line(entity: StoredEntity, name: str, model: DataModel | None, zone: ZoneInfo, language: str) -> Line:
    """One property of a record."""
    found = model.find(name) if model else None
    one = instance(entity.attributes.get(name))
    value = next((one[member] for member in ("value", "object", "vocab", "languageMap", "json", "valueList", "objectList") if member in one), None)
    if isinstance(value, dict) and "languageMap" in one:
        value = value.get(language[:2]) or value.get("pt") or next(iter(value.values()), None)
    unit = one.get("unitCode", "") if isinstance(one.get("unitCode"), str) else ""
    observed = one.get("observedAt")
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Line(
        name, found.label.in_language(language) if found else name, text_of(value, found, unit, zone, language),
        time.parse_instant(observed) if isinstance(observed, str) else None, numeric, numeric and (found is None or found.role is Role.MEASURE),
    )  # fmt: skip
