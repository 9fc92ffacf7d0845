"""Read entities back by their URI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from malha.context.store import limits, records, state
from malha.context.store.contracts import EntityNotFound, StoredEntity
from malha.foundation.access import reach
from malha.kernel.text import msg


def retrieve(conn: psycopg.Connection[Any], tenant_id: int, uri: str, *, lock: bool = False) -> StoredEntity:
    """The entity with that URI, with `lock` kept from other writers to the end of the transaction. Raises EntityNotFound."""
    kept = " FOR NO KEY UPDATE OF e" if lock else ""
    row = state.execute(
        conn, f"SELECT {records.COLUMNS} FROM entities e WHERE e.tenant_id = %s AND e.uri = %s AND {records.ALIVE}{kept}", [tenant_id, uri]
    ).fetchone()
    found = _seen(records.entities(conn, [row])) if row is not None else []
    if not found:
        raise EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
    return found[0]


def exists(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> bool:
    """Whether the entity is there."""
    return state.execute(conn, f"SELECT 1 FROM entities e WHERE e.tenant_id = %s AND e.uri = %s AND {records.ALIVE}", [tenant_id, uri]).fetchone() is not None


def existing(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str]) -> set[str]:
    """Those of `uris` that are there."""
    return {
        row[0]
        for row in state.execute(
            conn, f"SELECT uri FROM entities e WHERE e.tenant_id = %s AND e.uri = ANY (%s::text[]) AND {records.ALIVE}", [tenant_id, list(uris)]
        )
    }


def by_uris(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], *, lock: bool = False) -> dict[str, StoredEntity]:
    """The entities with those URIs that are there; with `lock` in the order of their URI, kept from other writers."""
    kept = " ORDER BY e.uri FOR NO KEY UPDATE OF e" if lock else ""
    rows = state.execute(
        conn, f"SELECT {records.COLUMNS} FROM entities e WHERE e.tenant_id = %s AND e.uri = ANY (%s::text[]) AND {records.ALIVE}{kept}", [tenant_id, list(uris)]
    ).fetchall()
    return {entity.uri: entity for entity in _seen(records.entities(conn, rows))}


def _seen(entities: list[StoredEntity]) -> list[StoredEntity]:
    """Those within the reader's reach, as they may be seen, and noted as read."""
    within = reach.parts()
    if within is None:
        return entities
    found = [entity for one in entities if (entity := limits.seen(one, within)) is not None]
    for entity in found:
        reach.note((part for part in within if part.types is None or not part.types.isdisjoint(entity.types)), entity.types)
    return found
