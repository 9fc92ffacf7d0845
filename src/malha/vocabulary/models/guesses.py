"""What a schema does not say and a reader can tell from names and words: roles, units, aggregation, what is about people."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from malha.kernel import units
from malha.vocabulary.models import declaration
from malha.vocabulary.models.contracts import Aggregation, AttributeKind, Label, ModelProperty, Role, ValueType

_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\-.]+")
_PREFIX = re.compile(r"^\s*(Geo)?(Property|Relationship)\.\s*")
_MODEL = re.compile(r"Model:\s*'[^']*'\.?\s*")
_UNITS = re.compile(r"Units?:?\s*'([^']+)'")
_CODE = re.compile(r"\b(?:represents|e\.g\.|code)\b[^A-Z0-9]{0,12}([A-Z0-9]{2,3})\b")
_IDENTIFIER = re.compile(r"(^|[a-z])(Id|ID|Ids|Number|Num|Code|Nr)$|^(id|code|serialNumber|identifier|reference)$")
_NOT_MEASURED = re.compile(r"^(year|edition|order|row|column|floor|storey|version|relevance)|(Year|Row|Column|Floor|Order|Edition|Code|Id|ID)$")
_SUMMED = re.compile(
    r"(count|quantity|consumption|consumed|production|generated|precipitation|collected|passengers|visitors|votes|accidents|^numberOf(Entering|Leaving|Entry|Trips))",
    re.IGNORECASE,
)
_GROUPED = re.compile(
    r"(category|type|status|state|kind|class|level|mode|brand|model|provider|zone|ward|parish|municipality|district|material|priority|severity)$", re.IGNORECASE
)
_PERSONAL = re.compile(
    r"(email|telephone|phone|contactPoint|licen[cs]e_?plate|plateIdentifier|taxId|nif\b|citizen|reportedBy|requester|driverName|applicant)", re.IGNORECASE
)
#: properties that say when, the likeliest first
_TIMES = (
    "dateObserved", "observationDateTime", "observedAt", "dateObservedTo", "dateLastValueReported", "timestamp", "timeInstant", "TimeInstant",
    "dateEnergyMeteringStarted", "dateIssued", "dateStarted", "startDate", "startedAt", "validFrom", "dateFrom",
)  # fmt: skip


def words(name: str) -> str:
    """A name in camel case as words: "fillingLevel" becomes "Filling level"."""
    parts = [part for part in _HUMPS.split(name) if part]
    text = " ".join(part if part.isupper() and len(part) > 1 else part.lower() for part in parts)
    return text[:1].upper() + text[1:]


def prose(description: object) -> str:
    """A description without the marks that Smart Data Models put before it."""
    return _MODEL.sub("", _PREFIX.sub("", str(description))).strip()


def time_property(names: Sequence[str]) -> str:
    """The property that says when an observation was made, if any does."""
    return next((name for name in _TIMES if name in names), "")


def unit_of(description: str) -> str:
    """The UN/CEFACT code that a description speaks of, or nothing."""
    for pattern in (_UNITS, _CODE):
        found = pattern.search(description)
        if found:
            unit = units.find(found[1]) or units.suggest(found[1])
            if unit:
                return unit.code
    return ""


def with_role(prop: ModelProperty, description: str) -> ModelProperty:
    """`prop` with the role, unit, aggregation and personal mark that its name and type suggest."""
    role = _role(prop)
    prop = replace(prop, role=role, personal=_PERSONAL.search(prop.name) is not None)
    if prop.type in {ValueType.NUMBER, ValueType.INTEGER}:
        prop = replace(prop, unit=unit_of(description))
    if role is Role.MEASURE:
        prop = replace(prop, aggregation=_aggregation(prop))
    return replace(prop, filterable=role is Role.DIMENSION and prop.type is ValueType.TEXT and bool(prop.choices))


def _role(prop: ModelProperty) -> Role:
    if prop.type is ValueType.GEOMETRY or any(member.name == "addressLocality" for member in prop.members):
        return Role.PLACE
    if prop.type in {ValueType.INSTANT, ValueType.DATE}:
        return Role.TIME
    if prop.type in {ValueType.NUMBER, ValueType.INTEGER}:
        return Role.TEXT if _NOT_MEASURED.search(prop.name) else Role.MEASURE
    if prop.kind is AttributeKind.RELATIONSHIP or prop.choices or prop.type is ValueType.BOOLEAN:
        return Role.DIMENSION
    if prop.type is ValueType.TEXT:
        if prop.name == "name" or _IDENTIFIER.search(prop.name):
            return Role.IDENTIFIER
        if _GROUPED.search(prop.name) or prop.name in {"dataProvider", "areaServed", "responsible", "owner"}:
            return Role.DIMENSION
    return Role.TEXT


def _aggregation(prop: ModelProperty) -> Aggregation:
    name = prop.name.lower()
    if name.startswith(("max", "peak")) or name.endswith("max"):
        return Aggregation.MAXIMUM
    if name.startswith("min") and not name.startswith("minut"):
        return Aggregation.MINIMUM
    return Aggregation.SUM if _SUMMED.search(prop.name) else Aggregation.AVERAGE


@cache
def _names() -> dict[str, dict[str, Any]]:
    data: dict[str, dict[str, Any]] = tomllib.loads((declaration.DECLARATIONS / "_names.toml").read_text(encoding="utf-8"))
    return data


def type_label(entity_type: str) -> Label:
    """What a type is called: in our words where we have them, else its name as words."""
    pair = _names()["types"].get(entity_type)
    return Label(*pair) if pair else Label(words(entity_type), words(entity_type))


def property_label(name: str) -> Label:
    """What a property is called, as above."""
    return Label(_names()["properties"].get(name, words(name)), words(name))


@cache
def known_properties() -> dict[str, ModelProperty]:
    """A property of each name that a built-in model has, for its label and role."""
    return {prop.name: prop for entity_type in declaration.names() for prop in declaration.load(entity_type).properties}
