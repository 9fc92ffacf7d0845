"""The door of snapshots: keep, fill, find, change, copy and end them. Django-free; in the tenant's transaction."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from malha.context.snapshots import keeping, reading
from malha.context.snapshots.contracts import Evolved, Missing, NotReady, Said, Snapshot, Status, Unusable
from malha.context.store.contracts import StoredEntity
from malha.context.store.q import names, parse
from malha.context.subscriptions import conditions
from malha.kernel.text import msg

#: snapshots that a tenant may have at a time
MOST = 50
_COLUMNS = "s.tenant_id, s.id, s.uri, s.subject, s.document, s.priority, s.status, s.details, s.temporal_details, s.created_at, s.modified_at, s.last_used_at, s.expires_at"
_ALIVE = "s.tenant_id = %(tenant)s AND s.expires_at > now() AND (%(subject)s::text IS NULL OR s.subject = %(subject)s)"
FIND = f"SELECT {_COLUMNS} FROM snapshot s WHERE {_ALIVE} AND (%(uri)s::text IS NULL OR s.uri = %(uri)s) ORDER BY s.id"
#: whoever reads does not wait for somebody who writes inside
USED = """
UPDATE snapshot SET last_used_at = now() WHERE (tenant_id, id) IN (
    SELECT tenant_id, id FROM snapshot WHERE tenant_id = %s AND id = %s AND last_used_at < now() - interval '1 second' FOR NO KEY UPDATE SKIP LOCKED)
"""
LOCK = f"UPDATE snapshot s SET last_used_at = now() WHERE {_ALIVE} AND s.uri = %(uri)s RETURNING {_COLUMNS}"
INSERT = f"""
INSERT INTO snapshot AS s (tenant_id, uri, subject, document, priority, expires_at, status, details, temporal_details)
VALUES (%s, %s, %s, %s, %s, now() + %s, %s, %s, %s) ON CONFLICT (tenant_id, uri) DO NOTHING RETURNING {_COLUMNS}
"""
CHANGE = f"""
UPDATE snapshot s SET priority = coalesce(%(priority)s, priority), document = document || %(document)s, modified_at = now(),
    expires_at = CASE WHEN %(lifetime)s::interval IS NULL THEN expires_at ELSE greatest(now(), created_at + %(lifetime)s) END
WHERE {_ALIVE} AND s.uri = %(uri)s RETURNING {_COLUMNS}
"""


def create(conn: psycopg.Connection[Any], tenant_id: int, subject: str, said: Said) -> Snapshot:
    """A snapshot that is to be filled. Raises Unusable for one too many, and for an id that is taken."""
    document: dict[str, Any] = {name: list(asked) for name, asked in (("snapshotQueries", said.queries), ("snapshotTemporalQueries", said.temporal)) if asked}
    document |= ({"snapshotLifetime": said.lifetime} if said.lifetime else {}) | dict(said.told)
    return _insert(conn, tenant_id, subject, said, document)


def _insert(
    conn: psycopg.Connection[Any], tenant_id: int, subject: str, said: Said, document: Mapping[str, Any], like: Snapshot | None = None
) -> Snapshot:  # fmt: skip
    take_ended(conn, tenant_id)
    uri = said.uri or f"urn:ngsi-ld:Snapshot:{secrets.token_hex(12)}"
    conn.execute("SELECT pg_advisory_xact_lock(8741, hashint8(%s))", [tenant_id])  # counted and added by one at a time
    row = conn.execute("SELECT count(*) FROM snapshot WHERE tenant_id = %s", [tenant_id]).fetchone()
    if row is not None and int(row[0]) >= MOST:
        raise Unusable(msg("O município já tem {most} instantâneos; apague os que não usa."), most=MOST)
    lifetime = reading.USUAL if said.lifetime_seconds is None else timedelta(seconds=said.lifetime_seconds)
    priority = said.priority if said.priority is not None else like.priority if like else reading.PRIORITY
    status, details, temporal = (like.status, like.details, like.temporal_details) if like else (Status.PREPARING, (), ())
    made = _one(conn, INSERT, [tenant_id, uri, subject, Jsonb(document), priority, lifetime, status, Jsonb(list(details)), Jsonb(list(temporal))])
    if made is None:
        raise Unusable(msg("Já existe um instantâneo “{uri}”."), uri=uri)
    return made


def find(conn: psycopg.Connection[Any], tenant_id: int, uri: str, subject: str | None = None) -> Snapshot:
    """One that has not ended, of a subject where that is given. Raises Missing."""
    found = _one(conn, FIND, {"tenant": tenant_id, "uri": uri, "subject": subject})
    if found is None:
        raise Missing(msg("Não há nenhum instantâneo “{uri}”, ou já acabou."), uri=uri[:200])
    return found


def use(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> Snapshot:
    """As `find`, noting that it was used. Raises Missing, and NotReady while it is being filled."""
    one = _ready(find(conn, tenant_id, uri))
    conn.execute(USED, [tenant_id, one.id])
    return one


def lock(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> Snapshot:
    """As `use`, kept from other writers to the end of the transaction: one writes inside at a time. Raises Missing, NotReady."""
    found = _one(conn, LOCK, {"tenant": tenant_id, "uri": uri, "subject": None})
    return _ready(found if found is not None else find(conn, tenant_id, uri))


def _ready(one: Snapshot) -> Snapshot:
    if one.status is Status.PREPARING:
        raise NotReady(msg("O instantâneo “{uri}” ainda se está a fazer."), uri=one.uri[:200])
    return one


def change(conn: psycopg.Connection[Any], tenant_id: int, uri: str, said: Said, subject: str | None = None) -> Snapshot:
    """One with another priority, or another life counted from its making. Raises Missing, Unusable."""
    if said.uri not in {None, uri}:
        raise Unusable(msg("O id de um instantâneo não muda."))
    lifetime = None if said.lifetime_seconds is None else timedelta(seconds=said.lifetime_seconds)
    document = ({"snapshotLifetime": said.lifetime} if said.lifetime else {}) | dict(said.told)
    given = {"tenant": tenant_id, "uri": uri, "subject": subject, "priority": said.priority, "lifetime": lifetime, "document": Jsonb(document)}
    found = _one(conn, CHANGE, given)
    return found if found is not None else find(conn, tenant_id, uri, subject)


def copy(conn: psycopg.Connection[Any], tenant_id: int, uri: str, said: Said, subject: str) -> Snapshot:
    """A new one with the entities of another, which goes on without it. Raises Missing, NotReady, Unusable."""
    before = use(conn, tenant_id, uri)
    document = {name: each for name, each in before.document.items() if name not in reading.OWN}
    document |= ({"snapshotLifetime": said.lifetime} if said.lifetime else {}) | dict(said.told)
    made = _insert(conn, tenant_id, subject, said, document, like=before)
    keeping.copy(conn, before, made)
    return made


def delete(conn: psycopg.Connection[Any], tenant_id: int, uri: str, subject: str | None = None) -> Snapshot:
    """End one, and say what it was. Raises Missing."""
    one = find(conn, tenant_id, uri, subject)
    conn.execute("DELETE FROM snapshot WHERE tenant_id = %s AND id = %s", [tenant_id, one.id])
    return one


def purge(conn: psycopg.Connection[Any], tenant_id: int, q: str, subject: str | None = None) -> list[Snapshot]:
    """End those for whose own members `q` holds, all without one, and say what they were (§5.16.7). Raises Unusable for other members, UnusableQuery."""
    node = parse(q) if q else None
    if node is not None and (wrong := names(node) - reading.COMPUTED - {"id", "snapshotPriority", "snapshotLifetime"}):
        raise Unusable(msg("“{member}” não é membro de um instantâneo."), member=min(wrong)[:80])
    gone = [one for one in _many(conn, FIND, {"tenant": tenant_id, "uri": None, "subject": subject}) if node is None or conditions.holds(node, _as_entity(one))]
    conn.execute("DELETE FROM snapshot WHERE tenant_id = %s AND id = ANY (%s::bigint[])", [tenant_id, [one.id for one in gone]])
    return gone


def _as_entity(one: Snapshot) -> StoredEntity:
    members = {name: {"type": "Property", "value": value} for name, value in reading.document(one).items() if not isinstance(value, list)}
    return StoredEntity(0, one.tenant_id, one.uri, (reading.TYPE,), dict(members), None, one.created_at, one.modified_at)


def filled(
    conn: psycopg.Connection[Any], one: Snapshot, entities: Sequence[StoredEntity], evolved: Sequence[Evolved], status: Status,
    details: Sequence[Mapping[str, Any]], temporal_details: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    """Put entities in and how they evolved, and say how it went; nothing where it was ended meanwhile. Raises Full."""
    statement = "UPDATE snapshot SET status = %s, details = %s, temporal_details = %s, modified_at = now() WHERE tenant_id = %s AND id = %s"
    if conn.execute(statement, [status, Jsonb(list(details)), Jsonb(list(temporal_details)), one.tenant_id, one.id]).rowcount != 1:
        return
    keeping.put(conn, one, entities)
    keeping.evolved(conn, one, evolved)
    keeping.require_room(conn, one)


def take_ended(conn: psycopg.Connection[Any], tenant_id: int) -> int:
    """Take away those that have ended. Returns how many."""
    return conn.execute("DELETE FROM snapshot WHERE tenant_id = %s AND expires_at <= now()", [tenant_id]).rowcount


def _one(conn: psycopg.Connection[Any], statement: str, given: Any) -> Snapshot | None:
    found = _many(conn, statement, given)
    return found[0] if found else None


def _many(conn: psycopg.Connection[Any], statement: str, given: Any) -> list[Snapshot]:
    rows = psycopg.Cursor(conn, row_factory=tuple_row).execute(statement.encode(), given)
    return [Snapshot(row[0], row[1], row[2], row[3], row[4], row[5], Status(row[6]), row[7], *row[8:]) for row in rows]
