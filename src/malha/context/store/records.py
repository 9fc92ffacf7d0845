"""Rows of the view of entities, and the entities that they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from malha.context.store import names, state
from malha.context.store.contracts import StoredEntity
from malha.kernel.time import now

COLUMNS = "e.id, e.tenant_id, e.uri, e.types, e.doc::text, e.geom, e.scopes, e.created_at, e.modified_at, e.expires_at, e.next_expiry"
#: what has ended is not there, whether or not the job has been (§4.22)
ALIVE = "(e.expires_at IS NULL OR e.expires_at > now())"


def entity_of_row(conn: psycopg.Connection[Any], row: Sequence[Any]) -> StoredEntity:
    """The entity in a row of COLUMNS, for a reader without limits."""
    return entities(conn, [tuple(row)])[0]


def entities(conn: psycopg.Connection[Any], rows: Sequence[tuple[Any, ...]]) -> list[StoredEntity]:
    """The entities in rows of COLUMNS."""
    types = names.names(conn, "entity_type", {id_ for row in rows for id_ in row[3]})
    return [_entity(row, types) for row in rows]


def _entity(row: tuple[Any, ...], types: dict[int, str]) -> StoredEntity:
    attributes = state.whole(row[4], row[5])
    if row[10] is not None:
        attributes = _living(attributes)
    location = attributes.get("location")
    if isinstance(location, list):
        location = location[0] if location else None
    place = location.get("value") if isinstance(location, dict) else None
    return StoredEntity(
        id=row[0], tenant_id=row[1], uri=row[2], types=tuple(types[id_] for id_ in row[3]), attributes=attributes,
        location=place if isinstance(place, dict) else None, created_at=row[7], modified_at=row[8], scopes=tuple(row[6] or ()), expires_at=row[9],
    )  # fmt: skip


def names_of_types(conn: psycopg.Connection[Any], ids: Sequence[int]) -> tuple[str, ...]:
    """The names of an entity's types, in its order."""
    found = names.names(conn, "entity_type", ids)
    return tuple(found[id_] for id_ in ids)


def living(entity: StoredEntity) -> StoredEntity | None:
    """The entity without attributes that have ended, None where it has ended itself."""
    if entity.expires_at is not None and entity.expires_at <= now():
        return None
    attributes = _living(entity.attributes)
    return entity if attributes == entity.attributes else replace(entity, attributes=attributes)


def _living(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes without instances that have ended."""
    moment = now()
    living: dict[str, Any] = {}
    for name, attribute in attributes.items():
        kept = [i for i in (attribute if isinstance(attribute, list) else [attribute]) if not ended(i, moment)]
        if kept:
            living[name] = kept[0] if len(kept) == 1 else kept
    return living


def ended(instance: Any, moment: datetime) -> bool:
    """Whether an instance of an attribute has an expiresAt that is not after `moment`."""
    text = instance.get("expiresAt") if isinstance(instance, dict) else None
    return isinstance(text, str) and datetime.fromisoformat(text) <= moment
