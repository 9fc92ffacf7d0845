"""A JSON Schema (2020-12) of one entity type read as a data model; what has no place in the model becomes a constraint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from malha.kernel.text import msg, slug
from malha.vocabulary.models import declaration, guesses
from malha.vocabulary.models.contracts import AttributeKind, DataModel, Label, ModelProperty, Role, UnusableModel, ValueType
from malha.vocabulary.models.simplified import GEOMETRIES

type Schema = Mapping[str, Any]

_NOT_PROPERTIES = frozenset({"id", "type", "@context", "scope", "createdAt", "modifiedAt"})
_RULES = ("if", "not", "dependentRequired", "dependentSchemas", "patternProperties", "propertyNames", "maxProperties", "minProperties")
#: keywords of a property that a model can say; others make a constraint of their own
_SAID = frozenset({
    "type", "format", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minLength", "items", "minItems", "uniqueItems",
    "properties", "required", "description", "title", "oneOf", "anyOf", "x-link", "x-ngsi", "units", "unitCode", "$comment",
})  # fmt: skip
_SAID_OF_OPTIONS = frozenset({"type", "format", "pattern", "enum", "minimum", "description", "x-link", "minLength", "items", "minItems"})
_FORMATS = {
    "date-time": ValueType.INSTANT,
    "date": ValueType.DATE,
    "uri": ValueType.URI,
    "iri": ValueType.URI,
    "uri-reference": ValueType.URI,
    "duration": ValueType.DURATION,
}
_TYPES = {
    "number": ValueType.NUMBER,
    "integer": ValueType.INTEGER,
    "boolean": ValueType.BOOLEAN,
    "string": ValueType.TEXT,
    "array": ValueType.LIST,
    "object": ValueType.OBJECT,
}


def read(schema: Schema, *, theme: str, source: str, name: str = "") -> DataModel:
    """The data model that a resolved `schema` describes, of type `name` where it does not say its own. Raises UnusableModel with the reason."""
    properties, required = dict[str, Schema](), set[str]()
    for part in _parts(schema):
        properties.update(part.get("properties", {}))
        required.update(part.get("required", ()))
    entity_type = _entity_type(properties, schema, name)
    made: list[ModelProperty] = []
    constraints: list[dict[str, object]] = [dict(rule) for rule in _rules(schema)]
    for inner, spec in properties.items():
        if inner in _NOT_PROPERTIES:
            continue
        made.append(read_property(inner, spec, required=inner in required))
        if not _is_said(spec):
            constraints.append({"properties": {inner: _bare(spec)}})
    made += [_undeclared(inner) for inner in sorted(required - set(properties) - _NOT_PROPERTIES)]
    model = DataModel(
        type=entity_type,
        version=str(schema.get("$schemaVersion", "")),
        label=guesses.type_label(entity_type),
        description=Label(guesses.prose(schema.get("description", "")) or guesses.type_label(entity_type).pt),
        properties=tuple(made),
        theme=slug(theme),
        source=source,
        time_property=guesses.time_property([prop.name for prop in made]),
        constraints=tuple(constraints),
    )
    return with_our_words(model)


def _undeclared(name: str) -> ModelProperty:
    """What a schema demands without saying what it is: as a built-in model has it, an instant where the name says so, else a text."""
    known = guesses.known_properties().get(name)
    if known is not None:
        return replace(known, required=True)
    is_time = name.startswith("date") or name.endswith(("At", "Date", "DateTime"))
    return read_property(name, {"type": "string", "format": "date-time"} if is_time else {"type": "string"}, required=True)


def _parts(schema: Schema) -> Iterator[Schema]:
    """The schema and everything that it adds by `allOf`."""
    yield schema
    for part in schema.get("allOf", ()):
        yield from _parts(part)


def _rules(schema: Schema) -> Iterator[Schema]:
    """Rules between properties: conditions, and alternatives of what is mandatory."""
    for part in _parts(schema):
        rule = {key: part[key] for key in _RULES if key in part}
        if "if" in part:
            rule |= {key: part[key] for key in ("then", "else") if key in part}
        rule |= {key: part[key] for key in ("anyOf", "oneOf") if key in part}
        if rule:
            yield _bare(rule)


def _entity_type(properties: Mapping[str, Schema], schema: Schema, name: str) -> str:
    spec = properties.get("type", {})
    values = [spec["const"]] if "const" in spec else spec.get("enum", [])
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    if "@type" in properties or "dcterms:title" in properties:
        raise UnusableModel(msg("É um esquema de metadados (DCAT-AP), não de entidades: valida catálogos, não faz um modelo de dados."))
    if name and "id" in properties and not values:
        return name
    title = str(schema.get("title", ""))
    raise UnusableModel(msg("O esquema “{title}” não diz o tipo da entidade (falta “type” com um só valor)."), title=title)


def read_property(name: str, spec: Schema, *, required: bool) -> ModelProperty:
    """One property, its kind taken from the first word of its description, as Smart Data Models write it."""
    value_type, also = _value_types(spec)
    kind = _kind(spec, value_type)
    items = _items(spec)
    choices = _choices(spec) or (_choices(items) if items else ())
    item_type = _value_types(items)[0] if items is not None and value_type is ValueType.LIST else None
    prop = ModelProperty(
        name=name,
        kind=kind,
        type=value_type,
        label=guesses.property_label(name),
        description=Label(guesses.prose(spec.get("description", ""))),
        required=required,
        choices=choices,
        choice_labels=tuple(Label(choice, choice) for choice in choices),
        minimum=_bound(spec, "minimum", "exclusiveMinimum"),
        maximum=_bound(spec, "maximum", "exclusiveMaximum"),
        open_minimum="exclusiveMinimum" in spec,
        open_maximum="exclusiveMaximum" in spec,
        pattern=str(spec.get("pattern", "")),
        item_type=item_type,
        also=also,
        minimum_items=int(spec.get("minItems", 0)) if value_type is ValueType.LIST else 0,
        unique_items=bool(spec.get("uniqueItems")),
        members=_members(spec, items),
    )
    return guesses.with_role(prop, str(spec.get("description", "")))


def _items(spec: Schema) -> Schema | None:
    """The schema of the items of a list, also where a list is one of the alternatives."""
    for candidate in (spec, *(spec.get("oneOf") or spec.get("anyOf") or ())):
        if isinstance(candidate.get("items"), Mapping):
            return candidate["items"]  # type: ignore[no-any-return]  # a Mapping, as just asked
    return None


def _value_types(spec: Schema) -> tuple[ValueType, tuple[ValueType, ...]]:
    """What the value is, and what else it may be."""
    if is_geometry(spec):
        return ValueType.GEOMETRY, ()
    options = spec.get("oneOf") or spec.get("anyOf")
    if options and "properties" not in spec:
        found: list[ValueType] = []
        for option in options:
            value_type, _ = _value_types({**{key: spec[key] for key in ("type",) if key in spec}, **option})
            if value_type not in found:
                found.append(value_type)
        if set(found) == {ValueType.DATE, ValueType.INSTANT}:
            return ValueType.DATE, ()
        if set(found) == {ValueType.TEXT, ValueType.URI}:
            return (ValueType.URI, ()) if spec.get("x-link") or _says(spec, "Relationship") else (ValueType.TEXT, ())
        return found[0], tuple(found[1:])
    named = spec.get("type")
    if isinstance(named, list):
        kinds = [_TYPES[each] for each in named if each in _TYPES]
        return (kinds[0], tuple(kinds[1:])) if kinds else (ValueType.TEXT, ())
    if named == "string":
        return (ValueType.URI if spec.get("x-link") else _FORMATS.get(str(spec.get("format")), ValueType.TEXT)), ()
    if named is None:
        if "properties" in spec or "additionalProperties" in spec:
            return ValueType.OBJECT, ()
        constant = spec.get("const", (spec.get("enum") or [""])[0])
        return (ValueType.NUMBER if isinstance(constant, int | float) and not isinstance(constant, bool) else ValueType.TEXT), ()
    return _TYPES.get(named, ValueType.TEXT), ()


def is_geometry(spec: Schema) -> bool:
    """Whether a schema describes a GeoJSON geometry, or a choice of them."""
    properties = spec.get("properties")
    if isinstance(properties, Mapping) and "coordinates" in properties:
        kind = properties.get("type", {})
        return kind.get("const") in GEOMETRIES or bool(GEOMETRIES & set(kind.get("enum", ())))
    options = spec.get("oneOf") or spec.get("anyOf") or ()
    return bool(options) and all(is_geometry(option) for option in options)


def _kind(spec: Schema, value_type: ValueType) -> AttributeKind:
    if value_type is ValueType.GEOMETRY:
        return AttributeKind.GEO_PROPERTY
    if _says(spec, "Relationship"):
        return AttributeKind.RELATIONSHIP
    return AttributeKind.PROPERTY


def _says(spec: Schema, word: str) -> bool:
    said = str(spec.get("description", "")) or str((spec.get("x-ngsi") or {}).get("type", ""))
    return said.lstrip().startswith(word)


def _choices(spec: Schema) -> tuple[str, ...]:
    for candidate in (spec, *(spec.get("oneOf") or spec.get("anyOf") or ())):
        values = candidate.get("enum") or ([candidate["const"]] if "const" in candidate else [])
        if values and all(isinstance(value, str) for value in values):
            return tuple(values)
    return ()


def _bound(spec: Schema, closed: str, open_: str) -> float | None:
    values = [spec[key] for key in (closed, open_) if isinstance(spec.get(key), int | float)]
    if values:
        return float(values[0])
    options = [
        option
        for option in spec.get("oneOf") or spec.get("anyOf") or ()
        if option.get("type") in {"number", "integer"} or closed in option or "const" in option
    ]
    bounds = [option.get(closed, option.get("const")) for option in options]
    if not options or not all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in bounds):
        return None
    return float(min(bounds) if closed == "minimum" else max(bounds))


def _members(spec: Schema, items: Schema | None) -> tuple[ModelProperty, ...]:
    holder = items if items is not None and "properties" in items else spec
    if is_geometry(holder):
        return ()
    required = set(holder.get("required", ()))
    return tuple(read_property(name, inner, required=name in required) for name, inner in holder.get("properties", {}).items() if isinstance(inner, Mapping))


def _is_said(spec: Schema) -> bool:
    """Whether the model says everything that `spec` demands, so that no constraint is needed."""
    if set(spec) - _SAID:
        return False
    if is_geometry(spec):
        return all(set(option) <= _SAID | {"bbox"} for option in spec.get("oneOf", ()))
    if spec.get("minLength", 0) > 1 or (spec.get("enum") and not _choices(spec)):
        return False
    options = spec.get("oneOf") or spec.get("anyOf") or ()
    if any(set(option) - _SAID_OF_OPTIONS or not _is_said(option.get("items", {})) for option in options):
        return False
    if sum(option.get("type") in {"number", "integer"} for option in options) > 1:
        return False
    inner = [*spec.get("properties", {}).values(), *([spec["items"]] if isinstance(spec.get("items"), Mapping) else [])]
    return all(isinstance(each, Mapping) and _is_said(each) for each in inner)


def _bare(node: Any) -> Any:
    """A schema without the words for people, so that a kept model is small."""
    if isinstance(node, Mapping):
        return {key: _bare(value) for key, value in node.items() if not (key in {"description", "title", "$comment"} and isinstance(value, str))}
    if isinstance(node, list):
        return [_bare(each) for each in node]
    return node


def with_our_words(model: DataModel) -> DataModel:
    """`model` with the labels, units and roles of the built-in model of the same type, or of a property of the same name."""
    ours = declaration.load(model.type) if model.type in declaration.names() else None
    known = guesses.known_properties()
    properties: list[ModelProperty] = []
    for prop in model.properties:
        same = ours.find(prop.name) if ours else None
        properties.append(_merged(prop, same) if same else _labelled(prop, known.get(prop.name)))
    if ours is None:
        return replace(model, properties=tuple(properties))
    have = {prop.name for prop in properties}
    properties += [replace(prop, required=False) for prop in ours.properties if prop.name not in have]
    return replace(
        model, properties=tuple(properties), label=ours.label, description=ours.description, theme=ours.theme, time_property=ours.time_property,
    )  # fmt: skip


def _merged(prop: ModelProperty, ours: ModelProperty) -> ModelProperty:
    labels = dict(zip(ours.choices, ours.choice_labels, strict=True))
    return replace(
        prop, label=ours.label, description=ours.description, role=ours.role, unit=ours.unit, aggregation=ours.aggregation, personal=ours.personal,
        filterable=ours.filterable, code_list=ours.code_list, choice_labels=tuple(labels.get(value, Label(value, value)) for value in prop.choices),
        members=tuple(_merged(inner, same) if (same := _inside(ours, inner.name)) else inner for inner in prop.members),
    )  # fmt: skip


def _inside(prop: ModelProperty, name: str) -> ModelProperty | None:
    return next((member for member in prop.members if member.name == name), None)


def _labelled(prop: ModelProperty, known: ModelProperty | None) -> ModelProperty:
    if known is None or known.type is not prop.type:
        return prop
    members = tuple(_merged(inner, same) if (same := _inside(known, inner.name)) else inner for inner in prop.members)
    unit = prop.unit or (known.unit if prop.role is Role.MEASURE and known.role is Role.MEASURE else "")
    return replace(prop, label=known.label, role=known.role, aggregation=known.aggregation, personal=known.personal, unit=unit, members=members)
