"""What the subject of a token may do now, without the token, and what it is called. Django-free."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg.rows import tuple_row

from malha.foundation.access import queries, reach
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.language import service as language
from malha.kernel.text import msg

# a machine that is neither revoked nor past its day
MACHINE = """
SELECT name, capabilities, types, scope FROM machine_client
WHERE tenant_id = %s AND client_id = %s AND revoked_at IS NULL AND expires_at > now()
"""
# a machine of another tenant that made this one by its first write
FOUNDER = "SELECT name, capabilities, types, scope FROM founding_machine(%s, %s)"
NAMES = """
SELECT 'person:' || id, coalesce(nullif(name, ''), email) FROM person WHERE id = ANY (%(people)s::bigint[])
UNION ALL SELECT 'client:' || client_id, name FROM machine_client WHERE client_id = ANY (%(clients)s::text[])
"""
SOMEBODY = msg("alguém que trabalha neste município")
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


def may_name(who: Principal) -> bool:
    """Whether a reader gets the names of the people who work in the tenant: they do themselves, and whoever may read what is about people or the trail."""
    return (who.person_id is not None and who.reach is None) or who.may(Capability.PERSONAL_READ) or who.may(Capability.AUDIT_READ)


def names(connection: psycopg.Connection, actors: Iterable[str], tongue: str, *, people: bool = True) -> dict[str, str]:
    """What to call those who did something (`person:<number>`, `client:<id>`, or a word of ours), in the tenant's transaction.

    Programs by their name; people by theirs, or only as somebody of the tenant (`may_name` says for whom). One who is not there any more keeps no name.
    """
    apart: dict[str, list[str]] = {"person": [], "client": []}
    found = {}
    for actor in actors:
        kind, _, number = actor.partition(":")
        if kind in apart:
            apart[kind].append(number)
        elif actor:
            found[actor] = actor
    if not people:
        found |= {f"person:{number}": language.translate(SOMEBODY, tongue) for number in apart.pop("person")}
    given = {"people": [int(number) for number in apart.get("person", []) if number.isdigit()], "clients": apart["client"]}
    return found | dict(psycopg.Cursor(connection, row_factory=tuple_row).execute(NAMES, given).fetchall())
