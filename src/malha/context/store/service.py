"""The door of the store: write entities in batches, read them back, find them, undo a load.

Every function takes a connection inside a tenant's transaction (`foundation.database.service.tenant_transaction`, or
Django's own by `foundation.database.django.current`). State, history and event of a write share that transaction.
"""

from __future__ import annotations

from typing import Any

import psycopg

from malha.context.store import table as tables
from malha.context.store.contracts import EntityTable, WriteOptions, WriteOutcome

_DEFAULTS = WriteOptions()


def upsert_table(conn: psycopg.Connection[Any], tenant_id: int, table: EntityTable, options: WriteOptions = _DEFAULTS) -> WriteOutcome:
    """Write a batch of one type given as columns: made for 5,000 rows and more at a time.

    The outcome counts entities; `observations` counts new values. A value that an entity has already makes no row, no
    history and no event; one older than the present is history only; one at the same instant corrects it. Rows that
    cannot be stored are named in `refused` and the rest goes in. Raises UnusableEntity where columns differ in length.
    """
    return tables.upsert_table(conn, tenant_id, table, options)


def partitions_ahead(conn: psycopg.Connection[Any], days: int = 7) -> int:
    """Make the hot partitions of the coming days; run by the tick. Returns how many were new."""
    row = conn.execute("SELECT observation_partitions_ahead(%s)", [days]).fetchone()
    return int(row[0]) if row else 0
