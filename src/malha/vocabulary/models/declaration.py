"""The one form in which data models are written down: TOML in `declarations/`, read into `DataModel`.

A property says what it `is` in one word, which stands for its NGSI-LD kind, value type and role:

    no2 = { is = "measure", unit = "GQ", min = 0, say = ["Dióxido de azoto (NO₂)", "Nitrogen dioxide (NO₂)"] }

`say` is the label and `tell` the description, Portuguese first; `of` are allowed values (or `list` names a code
list, which `open = true` only suggests). `use` takes groups of properties from `_commons.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from malha.vocabulary.codelists import service as codelists
from malha.vocabulary.models.contracts import Aggregation, AttributeKind, DataModel, Label, ModelProperty, Role, ValueType

DECLARATIONS = Path(__file__).resolve().parent / "declarations"

_P, _R, _G = AttributeKind.PROPERTY, AttributeKind.RELATIONSHIP, AttributeKind.GEO_PROPERTY
_T = ValueType

#: word → kind, type, role, type of the items of a list
WORDS: dict[str, tuple[AttributeKind, ValueType, Role, ValueType | None]] = {
    "measure": (_P, _T.NUMBER, Role.MEASURE, None),
    "count": (_P, _T.INTEGER, Role.MEASURE, None),
    "number": (_P, _T.NUMBER, Role.TEXT, None),
    "integer": (_P, _T.INTEGER, Role.TEXT, None),
    "choice": (_P, _T.TEXT, Role.DIMENSION, None),
    "choices": (_P, _T.LIST, Role.DIMENSION, _T.TEXT),
    "category": (_P, _T.TEXT, Role.DIMENSION, None),
    "code": (_P, _T.INTEGER, Role.DIMENSION, None),
    "flag": (_P, _T.BOOLEAN, Role.DIMENSION, None),
    "text": (_P, _T.TEXT, Role.TEXT, None),
    "texts": (_P, _T.LIST, Role.TEXT, _T.TEXT),
    "name": (_P, _T.TEXT, Role.IDENTIFIER, None),
    "identifier": (_P, _T.TEXT, Role.IDENTIFIER, None),
    "identifiers": (_P, _T.LIST, Role.IDENTIFIER, _T.TEXT),
    "instant": (_P, _T.INSTANT, Role.TIME, None),
    "date": (_P, _T.DATE, Role.TIME, None),
    "duration": (_P, _T.DURATION, Role.TEXT, None),
    "uri": (_P, _T.URI, Role.TEXT, None),
    "uris": (_P, _T.LIST, Role.TEXT, _T.URI),
    "object": (_P, _T.OBJECT, Role.TEXT, None),
    "objects": (_P, _T.LIST, Role.TEXT, _T.OBJECT),
    "address": (_P, _T.OBJECT, Role.PLACE, None),
    "link": (_R, _T.URI, Role.DIMENSION, None),
    "links": (_R, _T.LIST, Role.DIMENSION, _T.URI),
    "geometry": (_G, _T.GEOMETRY, Role.PLACE, None),
}


@cache
def names() -> tuple[str, ...]:
    """The types that are built in, in order."""
    return tuple(sorted(path.stem for path in DECLARATIONS.glob("[!_]*.toml")))


@cache
def load(entity_type: str) -> DataModel:
    """The built-in model of that type. Raises FileNotFoundError where there is none."""
    data = tomllib.loads((DECLARATIONS / f"{entity_type}.toml").read_text(encoding="utf-8"))
    specs: dict[str, dict[str, Any]] = {}
    for group in data.get("use", []):
        specs.update(_commons()[group])
    for name, spec in data["properties"].items():
        specs[name] = {**specs.get(name, {}), **spec}
    required = frozenset(data.get("required", ()))
    labels: dict[str, dict[str, list[str]]] = data.get("choices", {})
    return DataModel(
        type=data["type"],
        version=data["version"],
        label=_label(data["label"]),
        description=_label(data["description"]),
        properties=tuple(_property(name, spec, labels.get(name, {}), required=name in required) for name, spec in specs.items()),
        theme=data["theme"],
        time_property=data.get("time", ""),
        source=data.get("source", "CNMD"),
    )


@cache
def _commons() -> dict[str, dict[str, dict[str, Any]]]:
    data: dict[str, dict[str, dict[str, Any]]] = tomllib.loads((DECLARATIONS / "_commons.toml").read_text(encoding="utf-8"))
    return data


def _property(name: str, spec: Mapping[str, Any], labels: Mapping[str, list[str]], *, required: bool) -> ModelProperty:
    word = spec["is"]
    kind, value_type, role, item_type = WORDS[word]
    choices, choice_labels = _choices(spec, labels)
    return ModelProperty(
        name=name,
        kind=kind,
        type=value_type,
        label=_label(spec["say"]),
        description=_label(spec.get("tell", spec["say"])),
        role=role,
        unit=spec.get("unit", ""),
        required=required,
        personal=spec.get("personal", False),
        aggregation=_aggregation(word, spec),
        choices=choices,
        choice_labels=choice_labels,
        code_list=spec.get("list", ""),
        minimum=spec.get("min"),
        maximum=spec.get("max"),
        pattern=spec.get("pattern", ""),
        item_type=item_type,
        members=tuple(_property(inner, each, labels={}, required=each.get("need", False)) for inner, each in spec.get("members", {}).items()),
        also=tuple(ValueType(other) for other in spec.get("also", ())),
        minimum_items=1 if value_type is ValueType.LIST and not spec.get("empty") else 0,
        filterable=spec.get("filter", role is Role.DIMENSION and value_type is ValueType.TEXT and bool(choices)),
    )


def _choices(spec: Mapping[str, Any], labels: Mapping[str, list[str]]) -> tuple[tuple[str, ...], tuple[Label, ...]]:
    if spec.get("open"):  # the list has the usual values; others are taken too
        return (), ()
    if spec.get("list"):
        codes = codelists.get(spec["list"]).codes
        return tuple(code.value for code in codes), tuple(Label(code.pt, code.en) for code in codes)
    values = tuple(spec.get("of", labels.keys()))
    return values, tuple(_label(labels[value]) if value in labels else Label(value, value) for value in values)


def _aggregation(word: str, spec: Mapping[str, Any]) -> Aggregation | None:
    if "agg" in spec:
        return Aggregation(spec["agg"])
    return {"measure": Aggregation.AVERAGE, "count": Aggregation.SUM}.get(word)


def _label(pair: list[str]) -> Label:
    return Label(pair[0], pair[1])
