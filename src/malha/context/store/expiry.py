"""What ends by itself (GS CIM 009 §4.22): readers stop seeing it at once; here it is taken away, with its events."""

from __future__ import annotations

from typing import Any

import psycopg

from malha.context.store import documents, records, state, undo
from malha.context.store.contracts import EntityDocument, WriteOptions
from malha.kernel.time import now

BATCH = 500
DUE = f"""
SELECT {records.COLUMNS} FROM entities e WHERE e.tenant_id = %s AND e.next_expiry <= now() ORDER BY e.uri LIMIT %s FOR NO KEY UPDATE OF e SKIP LOCKED
"""


def take_ended(conn: psycopg.Connection[Any], tenant_id: int) -> int:
    """Delete entities that have ended and instances of attributes that have; see `service.take_ended`."""
    rows = state.execute(conn, DUE, [tenant_id, BATCH]).fetchall()
    moment = now()
    gone = [row[2] for row in rows if row[9] is not None and row[9] <= moment]
    if gone:
        undo.delete(conn, tenant_id, gone)
    changed: list[EntityDocument] = []
    for row in rows:
        if row[2] in gone:
            continue
        attributes: dict[str, object] = {}
        for name, attribute in state.whole(row[4], row[5]).items():
            for instance in documents.instances(attribute):
                if records.ended(instance, moment):
                    attributes[name] = [*_listed(attributes.get(name)), documents.emptied(instance)]
        changed.append(EntityDocument(row[2], records.names_of_types(conn, row[3]), attributes))
    documents.upsert_documents(conn, tenant_id, changed, WriteOptions())
    return len(rows)


def _listed(found: object) -> list[object]:
    return found if isinstance(found, list) else []
