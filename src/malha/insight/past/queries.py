"""SQL of the room. Every function takes a connection inside a tenant transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg


def first_known(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str = "") -> datetime | None:
    """When the first thing (of a type) that there still is came; None where there is none."""
    of_type = " AND type_id = (SELECT id FROM entity_type WHERE name = %(type)s)" if entity_type else ""
    row: Any = conn.execute(
        f"SELECT created_at FROM entities WHERE tenant_id = %(tenant)s{of_type} ORDER BY id LIMIT 1", {"tenant": tenant_id, "type": entity_type}
    ).fetchone()
    return row[0] if row else None
