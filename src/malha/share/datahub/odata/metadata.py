"""The service document and `$metadata`: CSDL 4.0 in XML and CSDL JSON 4.01, from the tables that the reader gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from malha.share.datahub.contracts import Table
from malha.share.datahub.odata import navigation
from malha.share.datahub.tables import SUFFIX
from malha.share.questions.contracts import Field, FieldType

NAMESPACE = "Malha"
EDM = {
    FieldType.TEXT: "Edm.String",
    FieldType.NUMBER: "Edm.Double",
    FieldType.INTEGER: "Edm.Int64",
    FieldType.BOOLEAN: "Edm.Boolean",
    FieldType.INSTANT: "Edm.DateTimeOffset",
    FieldType.DATE: "Edm.Date",
    FieldType.GEOMETRY: "Edm.String",
}
_CORE = "Org.OData.Core.V1"
_CAPABILITIES = "Org.OData.Capabilities.V1"
_MEASURES = "Org.OData.Measures.V1"
_VOCABULARIES = "https://oasis-tcs.github.io/odata-vocabularies/vocabularies"


def about(field: Field) -> str:
    """What a field is, in a sentence: its label, its unit, its description."""
    label = field.label if field.label and field.label != field.name else ""
    return ". ".join(part for part in (f"{label} ({field.unit})" if field.unit and label else label or field.unit, field.description) if part)


def service(base: str, tables: Sequence[Table]) -> dict[str, Any]:
    """The service document (OData JSON 4.01 §5)."""
    sets = [{"name": table.name, "kind": "EntitySet", "url": table.name, "title": table.label} for table in tables]
    return {"@odata.context": f"{base}/$metadata", "value": sets}


def xml(tables: Sequence[Table]) -> bytes:
    """CSDL XML 4.0."""
    types = "".join(_type_xml(table) for table in tables)  # every type comes with its history, so what a link names is there
    sets = "".join(_set_xml(table) for table in tables)
    references = "".join(
        f'<edmx:Reference Uri="{_VOCABULARIES}/{name}.xml"><edmx:Include Namespace="{name}" Alias="{alias}"/></edmx:Reference>'
        for name, alias in ((_CORE, "Core"), (_CAPABILITIES, "Capabilities"), (_MEASURES, "Measures"))
    )
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">{references}<edmx:DataServices>'
        f'<Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="{NAMESPACE}">{types}<EntityContainer Name="Container">{sets}</EntityContainer></Schema>'
        "</edmx:DataServices></edmx:Edmx>"
    )
    return text.encode()


def _type_xml(table: Table) -> str:
    keys = "".join(f"<PropertyRef Name={quoteattr(name)}/>" for name in table.key)
    properties = "".join(_property_xml(field) for field in table.fields)
    properties += "".join(_navigation_xml(table, one) for one in navigation.of(table))
    return f"<EntityType Name={quoteattr(table.name)}><Key>{keys}</Key>{properties}{_note('Core.Description', table.label)}</EntityType>"


def target(table: Table, one: navigation.Navigation) -> str:
    """The name of the table that a navigation property leads to."""
    return table.name.removesuffix(SUFFIX.get(table.kind, "")) + SUFFIX.get(one.target, "")


def _navigation_xml(table: Table, one: navigation.Navigation) -> str:
    kind = f"{NAMESPACE}.{target(table, one)}"
    if one.many:
        return f'<NavigationProperty Name="{one.name}" Type="Collection({kind})" Partner="current"/>'
    return f'<NavigationProperty Name="{one.name}" Type="{kind}" Nullable="false"><ReferentialConstraint Property="entity" ReferencedProperty="id"/></NavigationProperty>'


def _property_xml(field: Field) -> str:
    nullable = ' Nullable="false"' if field.required else ""
    precise = ' Precision="6"' if field.type is FieldType.INSTANT else ""
    notes = _note("Core.Description", about(field)) + _note("Measures.Unit", field.unit)
    return f'<Property Name={quoteattr(field.name)} Type="{EDM[field.type]}"{nullable}{precise}' + (f">{notes}</Property>" if notes else "/>")


def _set_xml(table: Table) -> str:
    no = "".join(
        f'<Annotation Term="Capabilities.{term}"><Record><PropertyValue Property="{name}" Bool="false"/></Record></Annotation>'
        for term, name in (("InsertRestrictions", "Insertable"), ("UpdateRestrictions", "Updatable"), ("DeleteRestrictions", "Deletable"))
    )
    notes = _note("Core.Description", table.label) + _note("Core.LongDescription", table.description)
    bound = "".join(f'<NavigationPropertyBinding Path="{one.name}" Target={quoteattr(target(table, one))}/>' for one in navigation.of(table))
    return f'<EntitySet Name={quoteattr(table.name)} EntityType="{NAMESPACE}.{table.name}">{no}{notes}{bound}</EntitySet>'


def _note(term: str, text: str) -> str:
    return f'<Annotation Term="{term}" String={quoteattr(text)}/>' if text else ""


def json(tables: Sequence[Table]) -> dict[str, Any]:
    """CSDL JSON 4.01."""
    schema: dict[str, Any] = {table.name: _type_json(table) for table in tables}
    schema["Container"] = {"$Kind": "EntityContainer", **{table.name: _set_json(table) for table in tables}}
    reference = {
        f"{_VOCABULARIES}/{name}.json": {"$Include": [{"$Namespace": name, "$Alias": alias}]} for name, alias in ((_CORE, "Core"), (_MEASURES, "Measures"))
    }
    return {"$Version": "4.01", "$EntityContainer": f"{NAMESPACE}.Container", "$Reference": reference, NAMESPACE: schema}


def _set_json(table: Table) -> dict[str, Any]:
    return {
        "$Collection": True,
        "$Type": f"{NAMESPACE}.{table.name}",
        "$NavigationPropertyBinding": {one.name: target(table, one) for one in navigation.of(table)},
    }


def _type_json(table: Table) -> dict[str, Any]:
    properties = {}
    for field in table.fields:
        one: dict[str, Any] = {} if field.type in {FieldType.TEXT, FieldType.GEOMETRY} else {"$Type": EDM[field.type]}
        one |= {} if field.required else {"$Nullable": True}
        one |= {"@Core.Description": about(field)} if about(field) else {}
        properties[field.name] = one | ({"@Measures.Unit": field.unit} if field.unit else {})
    for link in navigation.of(table):
        kind = {"$Kind": "NavigationProperty", "$Type": f"{NAMESPACE}.{target(table, link)}"}
        properties[link.name] = kind | ({"$Collection": True, "$Partner": "current"} if link.many else {"$ReferentialConstraint": {"entity": "id"}})
    return {"$Kind": "EntityType", "$Key": list(table.key), "@Core.Description": table.label, **properties}
