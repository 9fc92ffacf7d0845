"""Rights as rows, read by psycopg: both planes use this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from malha.foundation.access import reach, rules
from malha.foundation.access.contracts import Capability, Reach, RoleName

#: kinds of tenants above municipalities (`tenancy.contracts.OrganisationKind`)
COMMUNITIES = ("nation", "intermunicipal_community", "metropolitan_area", "autonomous_region", "association")

# roles of one person in one tenant: their own, and those that the tenant delegated to an organisation of theirs
ROLES_IN_TENANT = """
SELECT m.role, m.scope, false AS delegated, o.kind = ANY(%(communities)s) AS of_community, m.valid_until AS until
FROM membership m JOIN organisation o ON o.id = m.tenant_id
WHERE m.tenant_id = %(tenant)s AND m.person_id = %(person)s AND m.valid_from <= now() AND (m.valid_until IS NULL OR m.valid_until > now())
UNION ALL
SELECT m.role, m.scope, true, true, least(m.valid_until, d.valid_until)
FROM delegation d JOIN membership m ON m.tenant_id = d.delegate_id
WHERE d.tenant_id = %(tenant)s AND d.valid_from <= now() AND (d.valid_until IS NULL OR d.valid_until > now())
  AND m.person_id = %(person)s AND m.valid_from <= now() AND (m.valid_until IS NULL OR m.valid_until > now())
"""

# the platform's own role
ROLES_ON_PLATFORM = """
SELECT 'platform_operator' AS role, '{}'::jsonb AS scope, false AS delegated, false AS of_community, NULL::timestamptz AS until
FROM platform_operator WHERE person_id = %(person)s
"""

# tenants that one person may enter by a role of their own
OWN_TENANTS = """
SELECT DISTINCT o.id, o.slug, o.name, o.kind, o.hostname, '' AS via
FROM membership m JOIN organisation o ON o.id = m.tenant_id
WHERE m.person_id = %(person)s AND o.is_tenant AND m.valid_from <= now() AND (m.valid_until IS NULL OR m.valid_until > now())
"""

# tenants that delegated to one of these organisations (which are the scope)
DELEGATED_TENANTS = """
SELECT DISTINCT o.id, o.slug, o.name, o.kind, o.hostname, c.name AS via
FROM delegation d JOIN organisation o ON o.id = d.tenant_id JOIN organisation c ON c.id = d.delegate_id
WHERE d.delegate_id = ANY(%(organisations)s) AND o.is_tenant AND d.valid_from <= now() AND (d.valid_until IS NULL OR d.valid_until > now())
"""


@dataclass(frozen=True, slots=True)
class Held:
    """One role that a person holds, with its scope."""

    role: str
    scope: dict[str, Any]
    delegated: bool
    of_community: bool
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Door:
    """One tenant that a person may enter; `via` names the community that it was delegated to."""

    id: int
    slug: str
    name: str
    kind: str
    hostname: str
    via: str


def act_as(connection: psycopg.Connection, person_id: int) -> None:
    """Let this transaction see the person's own memberships, whatever the tenant."""
    connection.execute("SELECT set_config('malha.person', %s, true)", [str(int(person_id))])


def held(connection: psycopg.Connection, person_id: int, tenant_id: int | None) -> list[Held]:
    """The roles that count now. The transaction's scope holds `tenant_id`."""
    act_as(connection, person_id)
    with connection.cursor(row_factory=class_row(Held)) as cursor:
        cursor.execute(
            ROLES_ON_PLATFORM if tenant_id is None else ROLES_IN_TENANT, {"tenant": tenant_id, "person": person_id, "communities": list(COMMUNITIES)}
        )
        return cursor.fetchall()


def capabilities(connection: psycopg.Connection, person_id: int, tenant_id: int | None) -> frozenset[Capability]:
    """What the person may do in the tenant (None: on the platform). The transaction's scope holds `tenant_id`."""
    return sum_up(held(connection, person_id, tenant_id))


def sum_up(roles: list[Held]) -> frozenset[Capability]:
    """All capabilities of these roles."""
    own = [rules.capabilities(RoleName(one.role), of_community=one.of_community) for one in roles if not one.delegated]
    return frozenset().union(*own, rules.delegated(RoleName(one.role) for one in roles if one.delegated))


def reach_of(roles: list[Held], tenant_id: int | None) -> tuple[Reach, ...] | None:
    """The parts of the tenant that these roles are limited to; None when one of those that read has no limit."""
    parts = [reach.of_scope(one.scope, tenant_id) for one in roles if Capability.DATA_READ in rules.ROLES[RoleName(one.role)]]
    if not parts or None in parts:
        return None
    return tuple(part for part in parts if part is not None)


def datasets_of(roles: list[Held]) -> frozenset[str] | None:
    """The datasets that these roles are limited to in publishing; None when one of those that publish has no limit."""
    scopes = [one.scope.get("datasets") for one in roles if Capability.DATASETS_PREPARE in rules.ROLES[RoleName(one.role)]]
    return frozenset(str(slug) for scope in scopes for slug in scope or ()) if scopes and all(scopes) else None


def ends_at(roles: list[Held]) -> datetime | None:
    """When the first of these roles ends by itself; None when none does."""
    return min((one.until for one in roles if one.until is not None), default=None)


def own_tenants(connection: psycopg.Connection, person_id: int) -> list[Door]:
    """Tenants that the person has a role in."""
    act_as(connection, person_id)
    with connection.cursor(row_factory=class_row(Door)) as cursor:
        return cursor.execute(OWN_TENANTS, {"person": person_id}).fetchall()


def delegated_tenants(connection: psycopg.Connection, organisation_ids: list[int]) -> list[Door]:
    """Tenants that delegated to one of these organisations. The transaction's scope holds the organisations."""
    with connection.cursor(row_factory=class_row(Door)) as cursor:
        return cursor.execute(DELEGATED_TENANTS, {"organisations": organisation_ids}).fetchall()
