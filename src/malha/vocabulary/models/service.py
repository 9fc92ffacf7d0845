"""Find data models, validate entities against them, keep imported ones. The only door of this room; Django-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malha.kernel.text import msg
from malha.vocabulary.models import columns as batch
from malha.vocabulary.models import declaration, sentences, validation
from malha.vocabulary.models.contracts import ColumnFindings, DataModel, Finding, UnknownModel


def get(entity_type: str, tenant_id: int | None = None) -> DataModel:
    """The model of `entity_type`: the tenant's own, else the nation's, else the built-in one. Raises UnknownModel."""
    model = find(entity_type, tenant_id)
    if model is None:
        raise UnknownModel(msg("Não há nenhum modelo de dados “{type}”. Veja os que existem em Dados › Modelos."), type=entity_type)
    return model


def find(entity_type: str, tenant_id: int | None = None) -> DataModel | None:
    """As `get`, but None where there is no such model."""
    del tenant_id
    return declaration.load(entity_type) if entity_type in declaration.names() else None


def all_models(tenant_id: int | None = None) -> list[DataModel]:
    """Every model that the tenant may use, in order of type."""
    del tenant_id
    return [declaration.load(name) for name in declaration.names()]


def validate(entity: Mapping[str, Any], model: DataModel) -> list[Finding]:
    """What is wrong with `entity` (normalized, concise or key-values), by property, and how to mend it."""
    return validation.of(model).validate(entity)


def validate_columns(model: DataModel, columns: Mapping[str, batch.Values], *, row_count: int, units: Mapping[str, str] | None = None) -> ColumnFindings:
    """What is wrong with a batch of one type, column by column; rows count from 0, null is an omitted property.

    `columns` are sequences of plain values or Arrow arrays, each with `row_count` rows; geometries WKB bytes or
    GeoJSON dicts; `units` the UN/CEFACT code that a column's numbers are in, where it is not the model's.
    """
    return batch.validate_columns(model, columns, row_count, units or {})


def in_language(found: Finding, language: str) -> tuple[str, str]:
    """What a finding says is wrong, and how to mend it, for `language` ("pt-pt", "en", …)."""
    return sentences.in_language(found, language)
