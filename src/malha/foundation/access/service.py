"""Ask what somebody may do, and give or take roles."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connections
from django.http import HttpRequest

from malha.foundation.access import queries, reach
from malha.foundation.access.contracts import Capability, Principal, Reach, RoleName
from malha.foundation.access.models import Membership, PlatformOperator
from malha.foundation.access.queries import Door
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.tokens import service as tokens
from malha.kernel.time import now


def principal(request: HttpRequest) -> Principal:
    """Who acts in this request and what they may do in its tenant; worked out once per request."""
    known = getattr(request, "malha_principal", None)
    if known is None:
        known = _principal(request)
        request.malha_principal = known  # type: ignore[attr-defined]
    assert isinstance(known, Principal)
    return known


def _principal(request: HttpRequest) -> Principal:
    tenant = getattr(request, "tenant", None)
    tenant_id = tenant.id if tenant else None
    person = getattr(request, "user", None)
    if person is None or not person.is_authenticated:
        return Principal(tenant_id)
    roles = _held(person.pk, tenant_id)
    parts = queries.reach_of(roles, tenant_id)
    return Principal(
        tenant_id=tenant_id,
        capabilities=queries.sum_up(roles),
        person_id=person.pk,
        name=str(person),
        types=reach.types_of(parts),
        reach=parts,
        datasets=queries.datasets_of(roles),
    )


def reach_of(person_id: int, tenant_id: int) -> tuple[Reach, ...] | None:
    """The parts of the tenant that the person's roles are limited to now; None without a limit."""
    return queries.reach_of(_held(person_id, tenant_id), tenant_id)


def rights_end(person_id: int, tenant_id: int | None) -> datetime | None:
    """When the first of the person's roles in the tenant ends by itself."""
    return queries.ends_at(_held(person_id, tenant_id))


def _held(person_id: int, tenant_id: int | None) -> list[queries.Held]:
    with database.glance(*([] if tenant_id is None else [tenant_id])) as conn:
        return queries.held(conn, person_id, tenant_id)


def capabilities_of(person_id: int, tenant_id: int | None) -> frozenset[Capability]:
    """What the person may do in the tenant now (None: on the platform itself)."""
    return queries.sum_up(_held(person_id, tenant_id))


def grant(
    person_id: int,
    tenant_id: int,
    role: RoleName,
    scope: Mapping[str, Any] | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    by: str = "",
) -> None:
    """Give a person a role in a tenant, from now or `since`, `until` then; the same role again changes its scope and end.

    `scope` limits it: `types`, `categories` (themes of data models), `attributes` and `datasets` are lists of names,
    `area` a GeoJSON (Multi)Polygon in EPSG:4326 and `places` the names of what it was made of.
    """
    limits = {name: dict(value) if isinstance(value, Mapping) else list(value) for name, value in (scope or {}).items() if value}
    values = {"scope": limits, "valid_until": until, "granted_by": by}
    with database.scope(tenant_id):
        Membership.objects.update_or_create(
            person_id=person_id, tenant_id=tenant_id, role=role, defaults=values, create_defaults=values | {"valid_from": since or now()}
        )
        tokens.revoke(database.current(), f"person:{person_id}")  # the plane's cookie of before says too much or too little
        audit.record(
            tenant_id,
            by,
            "access.grant",
            f"person:{person_id}",
            {"role": role, "scope": {k: v for k, v in limits.items() if k != "area"}, "until": until and until.isoformat()},
        )


def make_operator(person_id: int, *, by: str = "") -> None:
    """Let a person run the platform itself: make tenants, and read none. Only a command on the machine does this."""
    PlatformOperator.objects.using("owner").update_or_create(person_id=person_id, defaults={"granted_by": by})
    connections["owner"].close()
    with database.scope():
        audit.record(None, by, "access.operator", f"person:{person_id}")


def revoke(person_id: int, tenant_id: int, role: RoleName | None = None, *, by: str = "") -> int:
    """Take a role (all, when not named) from a person at once; returns how many were taken."""
    with database.scope(tenant_id):
        rows = Membership.objects.filter(person_id=person_id, tenant_id=tenant_id)
        count, _ = (rows.filter(role=role) if role else rows).delete()
        if count:
            tokens.revoke(database.current(), f"person:{person_id}")
            audit.record(tenant_id, by, "access.revoke", f"person:{person_id}", {"role": role or "*"})
        return count


def members(tenant_id: int) -> list[Membership]:
    """Who has a role in the tenant, by name. In the tenant's scope."""
    return list(Membership.objects.filter(tenant_id=tenant_id).select_related("person").order_by("person__name", "person__email", "role"))


def tenants_of(person_id: int) -> list[Door]:
    """The tenants that a person may enter: by a role of their own, or because the tenant delegated to their community."""
    with database.glance() as conn:
        own = queries.own_tenants(conn, person_id)
    if not own:
        return []
    seen = {door.id for door in own}
    with database.glance(*(door.id for door in own)) as conn:
        delegated = [door for door in queries.delegated_tenants(conn, sorted(seen)) if door.id not in seen]
    return sorted(own, key=lambda door: door.name) + sorted(delegated, key=lambda door: door.name)
