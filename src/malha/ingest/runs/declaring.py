"""Make the type of a load known to the rest of the house: a model of one's own, made from the columns."""

from __future__ import annotations

from typing import Any

import psycopg

from malha.foundation.tenancy.contracts import Tenant
from malha.ingest.mapping import names
from malha.ingest.mapping.contracts import Answers, ColumnAnswer, PlaceKind, RowKind
from malha.sources.tabular.contracts import CellType
from malha.vocabulary.models.contracts import Aggregation, AttributeKind, DataModel, Label, ModelProperty, Role, ValueType

_TYPES = {
    CellType.TEXT: ValueType.TEXT, CellType.INTEGER: ValueType.INTEGER, CellType.NUMBER: ValueType.NUMBER, CellType.BOOLEAN: ValueType.BOOLEAN,
    CellType.DATE: ValueType.DATE, CellType.INSTANT: ValueType.INSTANT,
}  # fmt: skip


def model_of(answers: Answers) -> DataModel:
    """The data model that a table's columns make: figures are measures, dates times, the key identifies, the rest groups."""
    properties = [_property(column, answers) for column in answers.columns if column.comes_in]
    if answers.place.kind not in {PlaceKind.NONE, PlaceKind.ADDRESS}:
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
    """Keep the model of a table or of a model of one's own among the tenant's."""
    if answers.kind is RowKind.MODEL:
        return
    from malha.vocabulary.models import service as models  # noqa: PLC0415 -- beside its only use

    save = getattr(models, "save_own", None)
    if save is not None:
        save(conn, tenant_id, model_of(answers))


def address_of(tenant: Tenant) -> dict[str, object]:
    """The address that every thing of a tenant has at least: municipality and country."""
    return {"addressLocality": tenant.name, "addressCountry": "PT"}
