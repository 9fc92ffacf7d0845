"""Sources of context information as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from malha.context.federation import sealing
from malha.context.federation.contracts import Registration, State

_COLUMNS = "r.tenant_id, r.id, r.uri, r.document, r.sealed, r.context, r.agreement_id, r.giver_id, r.expires_at, r.created_at, r.modified_at"
_STATE = "coalesce(s.times_sent, 0), coalesce(s.times_failed, 0), s.last_success, s.last_failure, s.failing_since, coalesce(s.error, '')"
#: every source of a tenant, or the one of a URI, with how it answers
FIND = f"""
SELECT {_COLUMNS}, {_STATE} FROM csource_registration r LEFT JOIN csource_state s ON s.tenant_id = r.tenant_id AND s.registration_id = r.id
WHERE r.tenant_id = %(tenant)s AND (%(uri)s::text IS NULL OR r.uri = %(uri)s) AND (r.expires_at IS NULL OR r.expires_at > now()) ORDER BY r.id
"""
INSERT = """
INSERT INTO csource_registration (tenant_id, uri, document, sealed, context, agreement_id, giver_id, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, uri) DO UPDATE
SET document = excluded.document, sealed = excluded.sealed, context = excluded.context, expires_at = excluded.expires_at, created_at = now(), modified_at = now()
WHERE csource_registration.expires_at <= now() RETURNING id
"""
UPDATE = "UPDATE csource_registration SET document = %s, sealed = %s, context = %s, expires_at = %s, modified_at = now() WHERE tenant_id = %s AND id = %s"
DELETE = "DELETE FROM csource_registration WHERE tenant_id = %s AND uri = %s AND (expires_at IS NULL OR expires_at > now()) RETURNING id"
#: a new revision, and how many there are, for those who remember
TOUCH = """
INSERT INTO csource_revision (tenant_id, revision, sources) VALUES (%(tenant)s, 1, 0)
ON CONFLICT (tenant_id) DO UPDATE SET revision = csource_revision.revision + 1
"""
COUNTED = "UPDATE csource_revision SET sources = (SELECT count(*) FROM csource_registration WHERE tenant_id = %(tenant)s) WHERE tenant_id = %(tenant)s"
FEDERATED = "SELECT tenant_id, revision FROM federated_tenants()"
ANSWERED = """
INSERT INTO csource_state AS s (tenant_id, registration_id, times_sent, times_failed, last_success, last_failure, failing_since, error)
SELECT %(tenant)s, r.id, n.sent, n.failed, n.success, n.failure, CASE WHEN n.ok THEN NULL ELSE n.failure END, n.error
FROM unnest(%(ids)s::bigint[], %(sent)s::bigint[], %(failed)s::bigint[], %(success)s::timestamptz[], %(failure)s::timestamptz[], %(ok)s::bool[], %(error)s::text[])
  AS n(id, sent, failed, success, failure, ok, error) JOIN csource_registration r ON r.tenant_id = %(tenant)s AND r.id = n.id
ON CONFLICT (tenant_id, registration_id) DO UPDATE SET times_sent = s.times_sent + excluded.times_sent, times_failed = s.times_failed + excluded.times_failed,
  last_success = greatest(s.last_success, excluded.last_success), last_failure = greatest(s.last_failure, excluded.last_failure),
  failing_since = CASE WHEN excluded.failing_since IS NULL THEN NULL ELSE coalesce(s.failing_since, excluded.failing_since) END, error = excluded.error
"""


def _cursor(conn: psycopg.Connection[Any]) -> psycopg.Cursor[tuple[Any, ...]]:
    return psycopg.Cursor(conn, row_factory=tuple_row)


def find(conn: psycopg.Connection[Any], tenant_id: int, uri: str | None = None) -> list[tuple[Registration, State]]:
    """Sources of a tenant that have not ended, in order of their making."""
    rows = _cursor(conn).execute(FIND, {"tenant": tenant_id, "uri": uri}).fetchall()
    return [(_registration(row), State(*row[11:])) for row in rows]


def _registration(row: Sequence[Any]) -> Registration:
    return Registration(row[0], row[1], row[2], row[3], sealing.unseal(row[4]), *row[5:11])


def insert(
    conn: psycopg.Connection[Any], tenant_id: int, uri: str, document: Mapping[str, Any], headers: Mapping[str, str], context: Any, expires: datetime | None,
    *, agreement_id: int | None = None, giver_id: int | None = None,
) -> int | None:  # fmt: skip
    """Keep a source; its id, or None when the URI is taken."""
    row = _cursor(conn).execute(INSERT, [
        tenant_id, uri, Jsonb(document), sealing.seal(headers), None if context is None else Jsonb(context), agreement_id, giver_id, expires,
    ]).fetchone()  # fmt: skip
    return int(row[0]) if row else None


def update(conn: psycopg.Connection[Any], one: Registration) -> None:
    """Write what a source says now."""
    context = None if one.context is None else Jsonb(one.context)
    _cursor(conn).execute(UPDATE, [Jsonb(one.document), sealing.seal(one.headers), context, one.expires_at, one.tenant_id, one.id])


def delete(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> bool:
    """Take a source away."""
    return _cursor(conn).execute(DELETE, [tenant_id, uri]).fetchone() is not None


def touch(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Give the tenant's sources a new revision; other writers of them wait until this transaction ends."""
    _cursor(conn).execute(TOUCH, {"tenant": tenant_id})


def counted(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Say how many sources there are after a change."""
    _cursor(conn).execute(COUNTED, {"tenant": tenant_id})


def federated(conn: psycopg.Connection[Any]) -> dict[int, int]:
    """The tenants that have sources, with their revisions."""
    return dict(_cursor(conn).execute(FEDERATED).fetchall())


def answered(conn: psycopg.Connection[Any], tenant_id: int, rows: Iterable[tuple[int, int, int, datetime | None, datetime | None, bool, str]]) -> None:
    """Write how sources answered: (id, sent, failed, last success, last failure, ok now, error)."""
    columns = list(zip(*rows, strict=True))
    if columns:
        names = ("ids", "sent", "failed", "success", "failure", "ok", "error")
        _cursor(conn).execute(ANSWERED, {"tenant": tenant_id, **{name: list(each) for name, each in zip(names, columns, strict=True)}})
