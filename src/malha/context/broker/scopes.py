"""The limits of people and programs that may see a part of a tenant, looked up at each request: a token has no room for an area."""

from __future__ import annotations

from typing import Any

import psycopg

from malha.foundation.access import queries, reach
from malha.foundation.access.contracts import Principal, Reach
from malha.foundation.database import service as database

_MACHINE = "SELECT scope || jsonb_build_object('types', types) FROM machine_client WHERE tenant_id = %s AND client_id = %s AND revoked_at IS NULL"


def of(conn: psycopg.Connection[Any], who: Principal) -> tuple[Reach, ...] | None:
    """The parts of the tenant that the principal is limited to now; none at all once it has no right there."""
    assert who.tenant_id is not None
    with database.tenant_transaction(conn, [who.tenant_id]):
        if who.person_id is not None:
            roles = queries.held(conn, who.person_id, who.tenant_id)
            return queries.reach_of(roles, who.tenant_id) if roles else ()
        row = conn.execute(_MACHINE, [who.tenant_id, who.client_id]).fetchone()
    if row is None:
        return ()
    part = reach.of_scope(row[0], who.tenant_id)
    return None if part is None else (part,)
