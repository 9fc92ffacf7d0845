"""Find and make organisations; say whose rows the current transaction may touch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from zoneinfo import ZoneInfo

from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import OrganisationKind, Tenant, UnknownTenant
from malha.foundation.tenancy.models import Organisation
from malha.kernel.text import msg


def _tenant(row: Organisation) -> Tenant:
    return Tenant(
        id=row.pk, slug=row.slug, name=row.name, kind=OrganisationKind(row.kind), zone=ZoneInfo(row.time_zone), crs=row.crs,
        centre=(row.centre[0], row.centre[1]) if row.centre else None, extent=(row.extent[0], row.extent[1], row.extent[2], row.extent[3]) if row.extent else None,
        dico=row.dico, hostname=row.hostname, is_demo=row.is_demo, theme=row.theme,
    )  # fmt: skip


def by_slug(slug: str) -> Tenant:
    """The tenant at the address `/<slug>/`. Raises UnknownTenant."""
    row = Organisation.objects.filter(slug=slug, is_tenant=True).first()
    if row is None:
        raise UnknownTenant(msg("Não há nenhum município ou comunidade em “{slug}”."), slug=slug)
    return _tenant(row)


def by_hostname(hostname: str) -> Tenant | None:
    """The tenant that owns this host name, if any does."""
    row = Organisation.objects.filter(hostname=hostname, is_tenant=True).exclude(hostname="").first()
    return _tenant(row) if row else None


def by_id(tenant_id: int) -> Tenant:
    """The tenant with that id. Raises UnknownTenant."""
    row = Organisation.objects.filter(pk=tenant_id, is_tenant=True).first()
    if row is None:
        raise UnknownTenant(msg("Não há nenhum município ou comunidade em “{slug}”."), slug=tenant_id)
    return _tenant(row)


def all_ids() -> list[int]:
    """The ids of all tenants."""
    return list(Organisation.objects.filter(is_tenant=True).order_by("pk").values_list("pk", flat=True))


def scope(*tenant_ids: int) -> AbstractContextManager[None]:
    """A Django transaction that sees and writes only rows of these tenants.

    Streamed bodies, jobs and commands open their own; a request's is opened by the middleware.
    """
    return database.scope(*tenant_ids)


def create_tenant(*, slug: str, name: str, kind: OrganisationKind, **fields: object) -> Tenant:
    """A new tenant, ready for data at once. `fields` are columns of `Organisation` (dico, time_zone, crs, …)."""
    return _tenant(Organisation.objects.create(slug=slug, name=name, kind=kind, is_tenant=True, **fields))
