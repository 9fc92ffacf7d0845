"""Make the type of a load known to the rest of the house: a model of one's own, made from the columns."""

from __future__ import annotations

import dataclasses
from typing import Any

import psycopg

from malha.foundation.tenancy.contracts import Tenant
from malha.ingest.mapping import names
from malha.ingest.mapping.contracts import Answers, ColumnAnswer, PlaceKind, RowKind
from malha.sources.tabular.contracts import CellType
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import Aggregation, AttributeKind, DataModel, Label, ModelProperty, Role, ValueType
from malha.vocabulary.territory import service as territory

_TYPES = {
    CellType.TEXT: ValueType.TEXT, CellType.INTEGER: ValueType.INTEGER, CellType.NUMBER: ValueType.NUMBER, CellType.BOOLEAN: ValueType.BOOLEAN,
    CellType.DATE: ValueType.DATE, CellType.INSTANT: ValueType.INSTANT,
}  # fmt: skip


def model_of(answers: Answers) -> DataModel:
    """The data model that a table's columns make: figures are measures, dates times, the key identifies, the rest groups."""
    properties = [_property(column, answers) for column in answers.columns if column.comes_in]
    if answers.place.kind is not PlaceKind.NONE:
        properties.append(ModelProperty("location", AttributeKind.GEO_PROPERTY, ValueType.GEOMETRY, Label("Lugar", "Place"), role=Role.PLACE))
    label = Label(names.without_unit(answers.name.rsplit(".", 1)[0] if "." in answers.name else answers.name))
    return DataModel(answers.type, "1.0.0", label, Label(""), tuple(properties), source="table" if answers.kind is RowKind.TABLE else "own")


def _property(column: ColumnAnswer, answers: Answers) -> ModelProperty:
    figure = column.type in {CellType.NUMBER, CellType.INTEGER}
    role = Role.MEASURE if figure else Role.TIME if column.type in {CellType.DATE, CellType.INSTANT} else Role.DIMENSION
    if column.column in answers.key:
        role = Role.IDENTIFIER
    return ModelProperty(
        column.attribute, AttributeKind.RELATIONSHIP if column.relationship else AttributeKind.PROPERTY, _TYPES[column.type],
        Label(column.label or names.without_unit(column.column) or column.attribute), role=role, unit=column.unit, personal=column.personal is not None,
        aggregation=Aggregation.AVERAGE if role is Role.MEASURE else None, filterable=role in {Role.DIMENSION, Role.IDENTIFIER},
    )  # fmt: skip


def declare(conn: psycopg.Connection[Any], tenant_id: int, answers: Answers) -> None:
    """Keep the model of a table or of a model of one's own among the tenant's; columns that only earlier files had stay in it."""
    if answers.kind is RowKind.MODEL:
        return
    made = model_of(answers)
    before = models.find(answers.type, tenant_id)
    if before is not None and before.tenant_id == tenant_id:
        kept = tuple(prop for prop in before.properties if made.find(prop.name) is None)
        made = dataclasses.replace(made, properties=(*(_as_before(prop, before.find(prop.name)) for prop in made.properties), *kept))
    models.create_model(conn, tenant_id, made, origin="table")


def _as_before(prop: ModelProperty, before: ModelProperty | None) -> ModelProperty:
    """A figure stays one when a later file has text under its name: that text waits, and what is there stays comparable."""
    if before is None or before.type not in {ValueType.NUMBER, ValueType.INTEGER} or prop.type is not ValueType.TEXT:
        return prop
    return dataclasses.replace(before, label=prop.label, personal=prop.personal)


def address_of(conn: psycopg.Connection[Any], tenant: Tenant) -> dict[str, object]:
    """The address that every thing of a tenant has at least: municipality, region, district, country."""
    found: dict[str, str] = {}
    if tenant.centre:
        found = territory.complete_address(conn, tenant.centre, tenant.id, dico=tenant.dico)
    return {"addressLocality": tenant.name, "addressCountry": "PT", **found}
