"""Models that a tenant or the nation keeps in tables, read when they change and remembered in between.

`get` is asked for on every request and batch, so it must not cost a query: what was read serves for a few seconds,
then one cheap question says whether anything is new. A model saved in this process serves at once.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg

from malha.foundation.database import service as database
from malha.foundation.database.contracts import DatabaseError, Role
from malha.vocabulary.models import writing
from malha.vocabulary.models.contracts import DataModel

FRESH_SECONDS = 5.0

_NEWEST_OF_TENANT = "SELECT coalesce(max(id), 0), count(*) FROM data_model WHERE tenant_id = %s"
_OF_TENANT = "SELECT DISTINCT ON (type) type, document FROM data_model WHERE tenant_id = %s ORDER BY type, revision DESC"
_NEWEST_OF_NATION = "SELECT coalesce(max(id), 0), count(*) FROM national_data_model"
_OF_NATION = "SELECT DISTINCT ON (type) type, document FROM national_data_model ORDER BY type, revision DESC"


@dataclass(slots=True)
class Shelf:
    """The models of one tenant, or of the nation; each is understood when first asked for."""

    mark: tuple[int, int] = (-1, -1)
    looked_at: float = 0.0
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, DataModel] = field(default_factory=dict)

    def find(self, entity_type: str) -> DataModel | None:
        """The model of that type on this shelf."""
        model = self.models.get(entity_type)
        if model is None and entity_type in self.documents:
            model = self.models[entity_type] = writing.from_json(self.documents[entity_type])
        return model


_shelves: dict[int | None, Shelf] = {}
_lock = threading.Lock()
_connection: psycopg.Connection | None = None


def shelf(tenant_id: int | None) -> Shelf:
    """The shelf of `tenant_id` (None: the nation's), at most a few seconds old."""
    known = _shelves.get(tenant_id)
    if known is not None and time.monotonic() - known.looked_at < FRESH_SECONDS:
        return known
    with _lock:
        known = _shelves.setdefault(tenant_id, Shelf())
        with contextlib.suppress(DatabaseError):  # no database is running (a command before `up`): only what is built in
            _refresh(known, tenant_id)
        known.looked_at = time.monotonic()
    return known


def remember(tenant_id: int | None, model: DataModel) -> None:
    """Let `model` serve at once in this process, before its transaction ends."""
    known = shelf(tenant_id)
    known.models[model.type] = model
    known.documents[model.type] = writing.to_json(model)


def forget() -> None:
    """Read everything again when next asked (after an import for the nation)."""
    _shelves.clear()


def _refresh(known: Shelf, tenant_id: int | None) -> None:
    newest, everything, params = (_NEWEST_OF_NATION, _OF_NATION, []) if tenant_id is None else (_NEWEST_OF_TENANT, _OF_TENANT, [tenant_id])
    connection = _reader()
    with connection.transaction():
        connection.execute("SELECT set_config('malha.tenants', %s, true)", [database.scope_value([tenant_id] if tenant_id else [])])
        row = connection.execute(newest, params).fetchone()
        assert row is not None
        mark = (int(row[0]), int(row[1]))
        if mark != known.mark:
            known.documents = {entity_type: _document(document) for entity_type, document in connection.execute(everything, params)}
            known.models = {}
            known.mark = mark


def _document(value: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return document


def _reader() -> psycopg.Connection:
    """One connection of this process for these small questions, made anew when it was lost."""
    global _connection  # noqa: PLW0603 -- one per process, under the lock
    if _connection is None or _connection.closed or _connection.broken:
        _connection = database.connect(Role.APP, autocommit=True)
    return _connection
