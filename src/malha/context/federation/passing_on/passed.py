"""Subscriptions passed on to sources, as rows."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from malha.context.federation import sealing
from malha.context.federation.contracts import Registration
from malha.context.federation.passing_on import passing
from malha.context.federation.registrations import discovering, matching, queries
from malha.context.federation.registrations.matching import Source
from malha.context.subscriptions import queries as subscriptions
from malha.kernel.time import now
from malha.vocabulary.contexts import service as contexts

_COLUMNS = "p.tenant_id, p.subscription_id, p.registration_id, p.uri, p.wanted, p.document, p.source, p.sealed, p.failures, p.created_at"
_DUE = "(p.wanted IS DISTINCT FROM p.document OR p.wanted IS NULL) AND p.not_before <= now()"
#: the last revisions of both; whoever changes either waits for nobody, and is looked at again
UP_TO = """
INSERT INTO subscription_passed_up_to AS u (tenant_id, sources, subscriptions)
SELECT %(tenant)s, r.revision, i.revision FROM csource_revision r JOIN subscription_interest i USING (tenant_id) WHERE r.tenant_id = %(tenant)s
ON CONFLICT (tenant_id) DO UPDATE SET sources = excluded.sources, subscriptions = excluded.subscriptions
    WHERE (u.sources, u.subscriptions) IS DISTINCT FROM (excluded.sources, excluded.subscriptions)
RETURNING tenant_id
"""
WANT = """
INSERT INTO subscription_passed AS p (tenant_id, subscription_id, registration_id, uri, wanted, source, sealed, expires_at)
VALUES (%(tenant)s, %(subscription)s, %(registration)s, %(uri)s, %(wanted)s, %(source)s, %(sealed)s, %(expires)s)
ON CONFLICT (tenant_id, subscription_id, registration_id) DO UPDATE
SET wanted = excluded.wanted, source = excluded.source, sealed = excluded.sealed, expires_at = excluded.expires_at, failures = 0, not_before = now()
WHERE (p.wanted, p.source, p.expires_at) IS DISTINCT FROM (excluded.wanted, excluded.source, excluded.expires_at)
"""
UNWANT = """
UPDATE subscription_passed SET wanted = NULL, failures = 0, not_before = now()
WHERE tenant_id = %s AND wanted IS NOT NULL AND NOT (subscription_id, registration_id) IN (SELECT * FROM unnest(%s::bigint[], %s::bigint[]))
"""
DONE = "UPDATE subscription_passed SET document = %s, failures = 0, error = NULL, not_before = now() WHERE tenant_id = %s AND subscription_id = %s AND registration_id = %s"
FAILED = """
UPDATE subscription_passed SET failures = failures + 1, error = %s, not_before = now() + %s WHERE tenant_id = %s AND subscription_id = %s AND registration_id = %s
"""


@dataclass(frozen=True, slots=True)
class Passed:
    """One subscription at one source: what it is to have there, and what it has."""

    tenant_id: int
    subscription_id: int
    registration_id: int
    uri: str
    wanted: Mapping[str, Any] | None
    document: Mapping[str, Any] | None
    source: Source
    failures: int
    created_at: datetime


def _cursor(conn: psycopg.Connection[Any]) -> psycopg.Cursor[tuple[Any, ...]]:
    return psycopg.Cursor(conn, row_factory=tuple_row)


def tenants(conn: psycopg.Connection[Any]) -> list[int]:
    """Tenants where something is to be done."""
    return [row[0] for row in _cursor(conn).execute("SELECT subscriptions_to_pass()")]


def settle(conn: psycopg.Connection[Any], tenant_id: int, own: str) -> None:
    """Say what each source is to have, where sources or subscriptions changed since this was last done. In the tenant's transaction."""
    _cursor(conn).execute("DELETE FROM subscription_passed WHERE tenant_id = %s AND expires_at <= now()", [tenant_id])
    if _cursor(conn).execute(UP_TO, {"tenant": tenant_id}).fetchone() is None:
        return
    sources = [source for one, _ in queries.find(conn, tenant_id) if (source := matching.compiled(one)).takes("createSubscription")]
    there = {(one.subscription_id, one.registration_id): one for one in _find(conn, "p.tenant_id = %s", [tenant_id])}
    kept: list[tuple[int, int]] = []
    for one in subscriptions.lasting(conn, tenant_id):
        filter_ = [discovering.csf(one.document["csf"], contexts.of_tenant(tenant_id, one.context))] if one.document.get("csf") else []
        for source in sources:
            told = passing.wanted(one, source, own) if discovering.holds(filter_, source.registration) else None
            key = (one.id, source.registration.id)
            if told is None or (not one.active and key not in there):
                continue
            kept.append(key)
            if key in there and there[key].wanted == told and _same(there[key].source, source):
                continue
            registration = source.registration
            _cursor(conn).execute(WANT, {
                "tenant": tenant_id, "subscription": one.id, "registration": registration.id, "uri": f"urn:ngsi-ld:Subscription:{secrets.token_hex(20)}",
                "wanted": Jsonb(told), "source": Jsonb({"uri": registration.uri, "document": registration.document}), "sealed": sealing.seal(registration.headers),
                "expires": one.expires_at,
            })  # fmt: skip
    _cursor(conn).execute(UNWANT, [tenant_id, [key[0] for key in kept], [key[1] for key in kept]])


def _same(before: Source, after: Source) -> bool:
    """Whether a source is asked as it was."""
    return before.registration.document == after.registration.document and before.registration.headers == after.registration.headers


def due(conn: psycopg.Connection[Any], tenant_id: int, limit: int) -> list[Passed]:
    """What sources are to be told now, oldest first."""
    return _find(conn, f"p.tenant_id = %s AND {_DUE} ORDER BY p.subscription_id LIMIT %s", [tenant_id, limit])


def find(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> Passed | None:
    """The one that a source knows by that id, as long as it is wanted there."""
    found = _find(conn, "p.tenant_id = %s AND p.uri = %s AND p.wanted IS NOT NULL", [tenant_id, uri])
    return found[0] if found else None


def _find(conn: psycopg.Connection[Any], condition: str, given: list[object]) -> list[Passed]:
    rows = _cursor(conn).execute(f"SELECT {_COLUMNS} FROM subscription_passed p WHERE {condition}".encode(), given).fetchall()
    return [Passed(row[0], row[1], row[2], row[3], row[4], row[5], _source(row), row[8], row[9]) for row in rows]


def _source(row: tuple[Any, ...]) -> Source:
    kept, moment = row[6], now()
    return matching.compiled(Registration(row[0], row[2], kept["uri"], kept["document"], sealing.unseal(row[7]), None, None, None, None, moment, moment))


def done(conn: psycopg.Connection[Any], one: Passed, document: Mapping[str, Any] | None) -> None:
    """The source has it as `document` says, or no more."""
    key = [one.tenant_id, one.subscription_id, one.registration_id]
    if document is None and one.wanted is None:
        _cursor(conn).execute("DELETE FROM subscription_passed WHERE tenant_id = %s AND subscription_id = %s AND registration_id = %s AND wanted IS NULL", key)
    else:
        _cursor(conn).execute(DONE, [None if document is None else Jsonb(document), *key])


def failed(conn: psycopg.Connection[Any], one: Passed, error: str, again: timedelta) -> None:
    """The source did not take it; it is tried again after a while."""
    _cursor(conn).execute(FAILED, [error[:500], again, one.tenant_id, one.subscription_id, one.registration_id])
