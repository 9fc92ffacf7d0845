"""What the subject of a token may do now, without the token: for work that goes on after it expired. Django-free."""

from __future__ import annotations

import psycopg
from psycopg.rows import tuple_row

from malha.foundation.access import queries, reach
from malha.foundation.access.contracts import Capability, Principal

# a machine that is neither revoked nor past its day
MACHINE = """
SELECT name, capabilities, types, scope FROM machine_client
WHERE tenant_id = %s AND client_id = %s AND revoked_at IS NULL AND expires_at > now()
"""
# a machine of another tenant that made this one by its first write
FOUNDER = "SELECT name, capabilities, types, scope FROM founding_machine(%s, %s)"
_KNOWN = {capability.value: capability for capability in Capability}


def principal(connection: psycopg.Connection, tenant_id: int, subject: str) -> Principal | None:
    """Who `client:<id>` or `person:<id>` is in the tenant, whose transaction is open; None for one who may nothing (any more)."""
    kind, _, number = subject.partition(":")
    if kind == "person" and number.isdigit():
        roles = queries.held(connection, int(number), tenant_id)
        may = queries.sum_up(roles)
        parts = queries.reach_of(roles, tenant_id)
        return Principal(tenant_id, may, person_id=int(number), types=reach.types_of(parts), reach=parts) if may else None
    row = psycopg.Cursor(connection, row_factory=tuple_row).execute(MACHINE, [tenant_id, number]).fetchone() if kind == "client" else None
    if row is None and kind == "client":
        row = psycopg.Cursor(connection, row_factory=tuple_row).execute(FOUNDER, [tenant_id, number]).fetchone()
    if row is None:
        return None
    part = reach.of_scope({**row[3], "types": row[2]}, tenant_id)
    may = frozenset(_KNOWN[c] for c in row[1] if c in _KNOWN)
    return Principal(tenant_id, may, client_id=number, name=row[0], types=None if part is None else part.types, reach=None if part is None else (part,))
