"""Keep a model: every revision stays, the same declaration again adds none."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from malha.vocabulary.models import kept, writing
from malha.vocabulary.models.contracts import DataModel

_LAST = sql.SQL("SELECT revision, document FROM {table} WHERE {own} type = %(type)s ORDER BY revision DESC LIMIT 1")
_ADD = sql.SQL(
    "INSERT INTO {table} ({column} type, revision, version, origin, document, schema)"
    " VALUES ({value} %(type)s, %(revision)s, %(version)s, %(origin)s, %(document)s, %(schema)s)"
)


def save(connection: psycopg.Connection, tenant_id: int | None, model: DataModel, *, origin: str, schema: dict[str, Any] | None) -> tuple[DataModel, int]:
    """Keep `model` for a tenant (inside its transaction) or, as owner of the tables, for everybody; the revision it has now."""
    model = replace(model, tenant_id=tenant_id)
    document = writing.to_json(model)
    names = _names(tenant_id)
    params: dict[str, Any] = {"tenant": tenant_id, "type": model.type, "version": model.version, "origin": origin}
    last = connection.execute(_LAST.format(**names), params).fetchone()
    if last is not None and json.dumps(last[1], sort_keys=True) == json.dumps(document, sort_keys=True):
        revision = int(last[0])
    else:
        revision = int(last[0]) + 1 if last else 1
        params |= {"revision": revision, "document": Jsonb(document), "schema": Jsonb(schema) if schema else None}
        connection.execute(_ADD.format(**names), params)
    kept.remember(tenant_id, model)
    return model, revision


def _names(tenant_id: int | None) -> dict[str, sql.Composable]:
    if tenant_id is None:
        return {"table": sql.Identifier("national_data_model"), "own": sql.SQL(""), "column": sql.SQL(""), "value": sql.SQL("")}
    return {
        "table": sql.Identifier("data_model"),
        "own": sql.SQL("tenant_id = %(tenant)s AND"),
        "column": sql.SQL("tenant_id,"),
        "value": sql.SQL("%(tenant)s,"),
    }


def revisions(connection: psycopg.Connection, tenant_id: int, entity_type: str) -> list[tuple[int, str, str]]:
    """The revisions that `tenant_id` keeps of a type: (revision, version, origin), newest first."""
    rows = connection.execute(
        "SELECT revision, version, origin FROM data_model WHERE tenant_id = %s AND type = %s ORDER BY revision DESC", [tenant_id, entity_type]
    )
    return [(int(revision), str(version), str(origin)) for revision, version, origin in rows]
