"""An entity against its model, in any of the three NGSI-LD forms: what is wrong, by property, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from malha.kernel import units
from malha.vocabulary.models import checks, constraints, geometry
from malha.vocabulary.models.contracts import AttributeKind, DataModel, Finding, ModelProperty, ValueType
from malha.vocabulary.models.sentences import finding, show
from malha.vocabulary.models.simplified import Missing, is_attribute, key_values, unwrap

#: members of an entity that are no attributes of its model
RESERVED = frozenset({"id", "type", "@id", "@type", "@context", "scope", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})
_URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$")
_NATIONAL_ID = re.compile(r"^urn:(?!ngsi-ld:)[^:\s]+:[^:\s]+:\S+$")
_LINKS = frozenset({AttributeKind.RELATIONSHIP, AttributeKind.LIST_RELATIONSHIP})


class Validator:
    """One model compiled: a check per property, made once and kept."""

    def __init__(self, model: DataModel) -> None:
        self.model = model
        self.properties = {prop.name: (prop, checks.compile_check(prop)) for prop in model.properties}
        self.required = tuple(prop.name for prop in model.properties if prop.required)
        self.rules = constraints.compile_rules(model)

    def validate(self, entity: Any) -> list[Finding]:
        """Everything that is wrong with `entity`, errors and warnings, in the order of its members."""
        if not isinstance(entity, Mapping):
            return [finding("entity", "", value=show(entity))]
        report: list[Finding] = []
        self._identity(entity, report)
        report.extend(finding("missing", name) for name in self.required if name not in entity)
        for name, thing in entity.items():
            if name not in RESERVED:
                self.attribute(name, thing, report)
        if self.rules and not any(found.severity == "error" for found in report):
            report.extend(self.rules(key_values(entity)))
        return report

    def _identity(self, entity: Mapping[str, Any], report: list[Finding]) -> None:
        uri, types = entity.get("id", entity.get("@id")), entity.get("type", entity.get("@type"))
        if not isinstance(uri, str) or not _URI.match(uri):
            report.append(finding("id", "id", value=show(uri), type=self.model.type))
        elif not _NATIONAL_ID.match(uri):
            report.append(finding("id-form", "id", value=show(uri), type=self.model.type))
        named = types if isinstance(types, list) else [types]
        if self.model.type not in named and not any(isinstance(each, str) and re.split(r"[/#:]", each)[-1] == self.model.type for each in named):
            report.append(finding("type", "type", value=show(types), type=self.model.type))

    def attribute(self, name: str, thing: Any, report: list[Finding]) -> None:
        """Report what is wrong with one attribute, in any form; an array of instances is checked one by one."""
        if isinstance(thing, list) and thing and is_attribute(thing[0]):
            for each in thing:
                self.attribute(name, each, report)
            return
        known = self.properties.get(name)
        value, attribute = unwrap(thing)
        if known is None:
            self._unknown(name, attribute, report)
            return
        prop, check = known
        if isinstance(value, Missing) or checks.is_empty(value):
            if not (value is None and checks.is_open_end(name)) and not (value == [] and prop.type is ValueType.LIST and not prop.minimum_items):
                report.append(finding("empty", name, value=show(None if isinstance(value, Missing) else value)))
            return
        if attribute is not None:
            if not _kind_fits(prop, attribute, report):
                return
            value = _in_model_unit(prop, value, attribute.get("unitCode"), report)
            if prop.kind is AttributeKind.GEO_PROPERTY:
                geometry.check_crs(attribute, name, report)
        check(value, name, report)

    def _unknown(self, name: str, attribute: Mapping[str, Any] | None, report: list[Finding]) -> None:
        if attribute is not None and "unitCode" in attribute:
            check_unit(name, "", attribute["unitCode"], report)
        near = checks.nearest(name, tuple(self.properties), likeness=0.88) if name.isidentifier() else ""
        report.append(finding("unknown-near", name, near=near) if near else finding("unknown", name))


def _kind_fits(prop: ModelProperty, attribute: Mapping[str, Any], report: list[Finding]) -> bool:
    """A relationship sent as a property, or a geometry as a relationship, is said; what only looks different passes."""
    sent = attribute.get("type")
    is_link = "object" in attribute or "objectList" in attribute
    if (prop.kind in _LINKS) == is_link or (sent is None and not is_link and prop.kind in _LINKS):
        return True
    if prop.kind in _LINKS and prop.type in {ValueType.URI, ValueType.LIST}:
        return True  # the catalogue's own examples send links as properties; the value is what counts
    if is_link and prop.type in {ValueType.URI, ValueType.TEXT, ValueType.LIST}:
        return True
    report.append(finding("kind", prop.name, expected=prop.kind.value, value=show(sent)))
    return False


def _in_model_unit(prop: ModelProperty, value: Any, code: Any, report: list[Finding]) -> Any:
    """The number in the unit of the model, so that its range can be checked; the unit itself is checked too."""
    if code is None or not check_unit(prop.name, prop.unit, code, report):
        return value
    if type(value) not in {int, float} or code == prop.unit or (not prop.unit and prop.maximum != 1):
        return value
    return units.convert(value, code, prop.unit) if units.compatible(code, prop.unit) else value


def check_unit(path: str, expected: str, code: Any, report: list[Finding]) -> bool:
    """Whether `code` is a unit that fits one measured in `expected`; reports what is wrong with it otherwise."""
    if isinstance(code, Mapping):  # written as a property of its own
        code = code.get("value")
    unit = units.find(code) if isinstance(code, str) else None
    if unit is None:
        meant = units.suggest(code) if isinstance(code, str) else None
        if expected:
            report.append(finding("unit-unknown", path, value=show(code), near=meant.code if meant and units.compatible(meant.code, expected) else expected))
        else:
            report.append(finding("unit-odd", path, value=show(code)))
        return False
    if expected and not units.compatible(unit.code, expected):
        report.append(finding("unit-other", path, value=f"{unit.code} ({unit.symbol or unit.pt})", expected=f"{expected} ({units.REGISTRY[expected].symbol})"))
        return False
    return True


_validators: dict[int, tuple[DataModel, Validator]] = {}


def of(model: DataModel) -> Validator:
    """The compiled validator of `model`, made when first asked for."""
    known = _validators.get(id(model))
    if known is None or known[0] is not model:
        if len(_validators) > 2_000:
            _validators.clear()
        known = (model, Validator(model))
        _validators[id(model)] = known
    return known[1]
