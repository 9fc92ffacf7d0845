"""Keys of people for their tools: made, shown once, found again by their digest, renewed and revoked. Django-free.

A key says its tenant (`mlh_<tenant>_<secret of 160 bits>`); only its SHA-256 is kept. What it may do is asked each
time of the roles that its person holds then: a role taken away closes every key at once.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row, tuple_row

from malha.foundation.access import queries as access
from malha.foundation.access import reach
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.database import service as database
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.share.datahub.contracts import Key, KeyNeeded

LASTS = timedelta(days=180)
#: writing "last used" at every page of a download would be noise
SEEN_EVERY = timedelta(minutes=1)
_SHAPE = re.compile(r"^mlh_(\d{1,18})_([A-Za-z0-9_-]{20,64})$")
_COLUMNS = "id, tool, hint, with_personal, created_at, expires_at, last_used_at, revoked_at"


def tenant_of(text: str) -> int | None:
    """The tenant that a key names; None where the text is no key."""
    found = _SHAPE.match(text)
    return int(found[1]) if found else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def create(conn: psycopg.Connection[Any], tenant_id: int, person_id: int, tool: str, *, with_personal: bool = False) -> tuple[Key, str]:
    """A new key of a person for a tool, in place of the one before, and its text, told this once. In the tenant's scope."""
    text = f"mlh_{tenant_id}_{secrets.token_urlsafe(20)}"
    conn.execute(
        "UPDATE hub_key SET revoked_at = now() WHERE tenant_id = %s AND person_id = %s AND tool = %s AND revoked_at IS NULL", [tenant_id, person_id, tool]
    )
    with conn.cursor(row_factory=class_row(Key)) as cursor:
        made = cursor.execute(
            f"""INSERT INTO hub_key (tenant_id, person_id, tool, digest, hint, with_personal, created_at, expires_at)
            VALUES (%s, %s, %s, %s, %s, %s, now(), %s) RETURNING {_COLUMNS}""",
            [tenant_id, person_id, tool, _digest(text), text[-4:], with_personal, now() + LASTS],
        ).fetchone()
    assert made is not None
    return made, text


def of_person(conn: psycopg.Connection[Any], tenant_id: int, person_id: int) -> list[Key]:
    """The keys that a person has not revoked, by tool."""
    with conn.cursor(row_factory=class_row(Key)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM hub_key WHERE tenant_id = %s AND person_id = %s AND revoked_at IS NULL ORDER BY tool, id", [tenant_id, person_id]
        ).fetchall()


def of_tenant(conn: psycopg.Connection[Any], tenant_id: int) -> list[tuple[Key, str, int]]:
    """The keys of a tenant that nobody has revoked: (key, whose, that person's id)."""
    text = f"""SELECT {", ".join(f"k.{name.strip()}" for name in _COLUMNS.split(","))}, p.name, k.person_id FROM hub_key k JOIN person p ON p.id = k.person_id
        WHERE k.tenant_id = %s AND k.revoked_at IS NULL ORDER BY k.id"""
    with conn.cursor(row_factory=tuple_row) as cursor:
        return [(Key(*row[:-2]), row[-2], row[-1]) for row in cursor.execute(text, [tenant_id])]


def revoke(conn: psycopg.Connection[Any], tenant_id: int, person_id: int, key_id: int) -> bool:
    """End a key of the person's own; False where there is none."""
    done = conn.execute(
        "UPDATE hub_key SET revoked_at = now() WHERE tenant_id = %s AND person_id = %s AND id = %s AND revoked_at IS NULL", [tenant_id, person_id, key_id]
    )
    return done.rowcount == 1


def identify(conn: psycopg.Connection[Any], text: str) -> tuple[Principal, int, bool]:
    """(who, the key's id, columns about people too) behind a key. Raises KeyNeeded where it does not hold."""
    tenant_id = tenant_of(text)
    if tenant_id is None:
        raise KeyNeeded(msg("Isto não é uma chave da Malha. Crie uma em Dados › Ligar as suas ferramentas."))
    with database.tenant_transaction(conn, [tenant_id]):
        row = conn.execute(
            """SELECT k.id, k.person_id, k.with_personal, k.expires_at, k.last_used_at, k.tool FROM hub_key k JOIN person p ON p.id = k.person_id
            WHERE k.tenant_id = %s AND k.digest = %s AND k.revoked_at IS NULL AND p.is_active""", [tenant_id, _digest(text)]
        ).fetchone()  # fmt: skip
        if row is None:
            raise KeyNeeded(msg("Esta chave não existe ou foi revogada. Crie outra em Dados › Ligar as suas ferramentas."))
        return _checked(conn, tenant_id, row)


def sees(conn: psycopg.Connection[Any], tenant_id: int, key_id: int) -> str | None:
    """The mark of what the reader of a key may see now; None where it holds no more. In the tenant's scope.

    Signed links end with the key that asked for them, and when its person comes to see another part.
    """
    statement = "SELECT k.person_id FROM hub_key k JOIN person p ON p.id = k.person_id WHERE k.tenant_id = %s AND k.id = %s AND k.revoked_at IS NULL AND k.expires_at > now() AND p.is_active"
    row = conn.execute(statement, [tenant_id, key_id]).fetchone()
    roles = access.held(conn, row[0], tenant_id) if row else []
    return reach.mark(access.reach_of(roles, tenant_id)) if Capability.DATA_EXPORT in access.sum_up(roles) else None


def _checked(conn: psycopg.Connection[Any], tenant_id: int, row: tuple[Any, ...]) -> tuple[Principal, int, bool]:
    key_id, person_id, with_personal, expires_at, last_used_at, tool = row
    if expires_at <= now():
        raise KeyNeeded(msg("Esta chave passou do prazo. Renove-a em Dados › Ligar as suas ferramentas."))
    roles = access.held(conn, person_id, tenant_id)
    capabilities = access.sum_up(roles)
    if Capability.DATA_EXPORT not in capabilities:
        raise KeyNeeded(msg("Quem criou esta chave já não pode levar dados daqui."))
    if last_used_at is None or now() - last_used_at > SEEN_EVERY:
        conn.execute("UPDATE hub_key SET last_used_at = now() WHERE tenant_id = %s AND id = %s", [tenant_id, key_id])
    parts = access.reach_of(roles, tenant_id)
    return Principal(tenant_id, capabilities, person_id=person_id, name=tool, types=reach.types_of(parts), reach=parts), key_id, bool(with_personal)
