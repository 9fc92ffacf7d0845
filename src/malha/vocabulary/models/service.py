"""Find data models, validate entities against them, keep imported ones. The only door of this room; Django-free."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from malha.kernel import units
from malha.kernel.text import msg
from malha.vocabulary.models import columns as batch
from malha.vocabulary.models import declaration, documents, interchange, kept, saving, sentences, simplified, validation
from malha.vocabulary.models.contracts import ColumnFindings, DataModel, Finding, UnknownModel, UnusableModel

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
_PROPERTY_NAME = re.compile(r"^[A-Za-z_][\w.:/#-]*$")


def get(entity_type: str, tenant_id: int | None = None) -> DataModel:
    """The model of `entity_type`: the tenant's own, else the nation's, else the built-in one. Raises UnknownModel."""
    model = find(entity_type, tenant_id)
    if model is None:
        raise UnknownModel(msg("Não há nenhum modelo de dados “{type}”. Veja os que existem em Dados › Modelos."), type=entity_type)
    return model


def find(entity_type: str, tenant_id: int | None = None) -> DataModel | None:
    """As `get`, but None where there is no such model."""
    own = kept.shelf(tenant_id).find(entity_type) if tenant_id is not None else None
    if own is not None:
        return own
    national = kept.shelf(None).find(entity_type)
    if national is not None:
        return national
    return declaration.load(entity_type) if entity_type in declaration.names() else None


def all_models(tenant_id: int | None = None) -> list[DataModel]:
    """Every model that the tenant may use, in order of type."""
    types = {*declaration.names(), *kept.shelf(None).documents}
    if tenant_id is not None:
        types.update(kept.shelf(tenant_id).documents)
    return [get(name, tenant_id) for name in sorted(types)]


def types_of_theme(theme: str, tenant_id: int | None = None) -> list[str]:
    """The types whose model belongs to a theme."""
    return [model.type for model in all_models(tenant_id) if model.theme == theme]


def create_model(connection: psycopg.Connection, tenant_id: int, model: DataModel, *, origin: str = "") -> DataModel:
    """Keep a model of the tenant's own, inside its transaction; it serves at once. The same again changes nothing."""
    check_model(model)
    return saving.save(connection, tenant_id, model, origin=origin, schema=None)[0]


def check_model(model: DataModel) -> None:
    """Raise UnusableModel where a declaration cannot serve: no name, names twice, unknown units, a time that is none."""
    names = [prop.name for prop in model.properties]
    twice = {name for name in names if names.count(name) > 1}
    if not _NAME.match(model.type):
        raise UnusableModel(msg("O tipo “{type}” não serve: comece por uma letra e use só letras, algarismos e “_”."), type=model.type)
    for name in names:
        if not _PROPERTY_NAME.match(name) or name in twice or name in validation.RESERVED:
            raise UnusableModel(msg("A propriedade “{name}” não serve: o nome repete-se ou tem sinais que não se aceitam."), name=name)
    for prop in model.properties:
        if prop.unit and units.find(prop.unit) is None:
            raise UnusableModel(msg("A unidade “{unit}” de “{name}” não é um código UN/CEFACT conhecido."), unit=prop.unit, name=prop.name)
    if model.time_property and model.find(model.time_property) is None:
        raise UnusableModel(msg("O modelo diz que o instante está em “{name}”, que não existe."), name=model.time_property)


def validate(entity: Mapping[str, Any], model: DataModel) -> list[Finding]:
    """What is wrong with `entity` (normalized, concise or key-values), by property, and how to mend it."""
    return validation.of(model).validate(entity)


def validate_columns(
    model: DataModel, columns: Mapping[str, batch.Values], *, row_count: int, units: Mapping[str, str] | None = None, stored: Sequence[Mapping[str, Any]] = ()
) -> ColumnFindings:
    """What is wrong with a batch of one type, column by column; rows count from 0, null is an omitted property.

    `columns` are sequences of plain values or Arrow arrays, each with `row_count` rows; geometries WKB bytes or
    GeoJSON dicts; `units` the UN/CEFACT code that a column's numbers are in, where it is not the model's.
    `stored` has for each row the plain values (`plain_values`) that its entity has already, for rules between properties.
    """
    return batch.validate_columns(model, columns, row_count, units or {}, stored)


def plain_values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The values of normalized attributes, without what is said about them."""
    return simplified.key_values(attributes)


def to_document(entity: Mapping[str, Any], model: DataModel | None = None) -> dict[str, Any]:
    """`{"uri", "types", "scopes", "attributes"}` of an entity in any form; the attributes normalized, keyed by short names."""
    return documents.to_document(entity, model)


def example(model: DataModel, organisation: str = "municipio") -> dict[str, Any]:
    """One entity of this model: the example that came with it, or one made of its mandatory and measured properties."""
    return interchange.example(model, organisation)


def in_language(found: Finding, language: str) -> tuple[str, str]:
    """What a finding says is wrong, and how to mend it, for `language` ("pt-pt", "en", …)."""
    return sentences.in_language(found, language)


def kept_words(found: Finding) -> tuple[str, str]:
    """As `in_language`, as sentences that can be stored and are worded for whoever reads them (`kernel.text.worded`)."""
    return sentences.kept(found)
