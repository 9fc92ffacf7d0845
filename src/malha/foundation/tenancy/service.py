"""Find and make organisations; say whose rows the current transaction may touch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from malha.foundation.database import django as database
from malha.foundation.tenancy import country, rules
from malha.foundation.tenancy.contracts import (
    COMMUNITIES,
    AddressTaken,
    DelegationCard,
    OrganisationKind,
    Tenant,
    UnknownOrganisation,
    UnknownTenant,
    WrongPlace,
)
from malha.foundation.tenancy.contracts import Organisation as OrganisationCard
from malha.foundation.tenancy.models import Arms, Delegation, Organisation
from malha.kernel.text import msg, sort_key
from malha.kernel.time import format_instant, now


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


def by_address(hostname: str, slug: str) -> Tenant | None:
    """The tenant that owns this host name, else the one at `/<slug>/`, if either is somebody's: one question for every request."""
    rows = list(Organisation.objects.filter((Q(hostname=hostname) & ~Q(hostname="")) | Q(slug=slug), is_tenant=True)[:2])
    row = next((one for one in rows if one.hostname == hostname), rows[0] if rows else None)
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
    """A new tenant, ready for data at once. `fields` are columns of `Organisation` (dico, time_zone, crs, …).

    Raises AddressTaken for an address that somebody has, or that the platform itself answers.
    """
    if slug in rules.RESERVED:
        raise AddressTaken(msg("O endereço “{slug}” é da própria plataforma; escolha outro."), slug=slug)
    try:
        with transaction.atomic():
            return _tenant(Organisation.objects.create(slug=slug, name=name, kind=kind, is_tenant=True, **fields))
    except IntegrityError as reason:
        raise AddressTaken(msg("O endereço “{slug}” já está ocupado; escolha outro."), slug=slug) from reason


def create_municipality(dico: str, *, slug: str = "", **fields: object) -> Tenant:
    """A tenant for one of the 308, filled from the facts: name, district's community, zone, CRS, centre, extent.

    Its community by law is put above it in the tree, which gives the community no right at all.
    """
    facts = country.municipality(dico)
    columns = {
        "parent_id": ensure_entity(facts.entity).id, "dico": dico, "time_zone": facts.time_zone, "crs": facts.crs,
        "centre": list(facts.centre), "extent": list(facts.extent),
    }  # fmt: skip
    return create_tenant(slug=slug or facts.slug, name=facts.name, kind=OrganisationKind.MUNICIPALITY, **(columns | fields))


def ensure_entity(slug: str) -> OrganisationCard:
    """The community with that address in the tree, made where it is missing."""
    facts = country.entity(slug)
    row, _made = Organisation.objects.get_or_create(slug=slug, defaults={"name": facts.name, "kind": facts.kind})
    return _card(row)


def create_entity(slug: str, **fields: object) -> Tenant:
    """A community (CIM, metropolitan area, region) as a tenant of its own; its members come into view as they delegate."""
    facts = country.entity(slug)
    towns = [one.extent for one in country.members(slug)]
    west, south, east, north = min(e[0] for e in towns), min(e[1] for e in towns), max(e[2] for e in towns), max(e[3] for e in towns)
    first = country.members(slug)[0]
    columns = {
        "name": facts.name, "kind": facts.kind, "is_tenant": True, "time_zone": first.time_zone, "crs": first.crs,
        "extent": [west, south, east, north], "centre": [round((west + east) / 2, 2), round((south + north) / 2, 2)],
    }  # fmt: skip
    if by_name(slug) is None:
        return _tenant(Organisation.objects.create(slug=slug, **(columns | fields)))
    known = Organisation.objects.get(slug=slug)
    with scope(known.pk):
        for name, value in (columns | fields).items():
            setattr(known, name, value)
        known.save()
    return _tenant(known)


def create_organisation(*, slug: str, name: str, kind: OrganisationKind, parent_id: int | None = None) -> OrganisationCard:
    """Somebody in the tree who is no tenant: a service, a parish, a company, a supplier. Raises WrongPlace, AddressTaken."""
    if parent_id is not None:
        parent = Organisation.objects.get(pk=parent_id)
        if not rules.may_stand_under(kind, OrganisationKind(parent.kind)):
            raise WrongPlace(msg("Uma organização deste tipo ({kind}) não pode estar sob {parent}."), kind=kind.value, parent=parent.name)
    try:
        with transaction.atomic():
            return _card(Organisation.objects.create(slug=slug, name=name, kind=kind, parent_id=parent_id))
    except IntegrityError as reason:
        raise AddressTaken(msg("O endereço “{slug}” já está ocupado; escolha outro."), slug=slug) from reason


def by_name(slug: str) -> OrganisationCard | None:
    """The organisation with that address, tenant or not."""
    row = Organisation.objects.filter(slug=slug).first()
    return _card(row) if row else None


def organisation(organisation_id: int) -> OrganisationCard:
    """The organisation with that id. Raises UnknownOrganisation."""
    row = Organisation.objects.filter(pk=organisation_id).first()
    if row is None:
        raise UnknownOrganisation(msg("Não há nenhuma organização em “{slug}”."), slug=organisation_id)
    return _card(row)


def organisations(*, kinds: Iterable[OrganisationKind] | None = None, tenants_only: bool = False) -> list[OrganisationCard]:
    """Who exists, by name."""
    rows = Organisation.objects.all()
    if kinds is not None:
        rows = rows.filter(kind__in=list(kinds))
    if tenants_only:
        rows = rows.filter(is_tenant=True)
    return sorted((_card(row) for row in rows), key=lambda card: sort_key(card.name))


def children(organisation_id: int) -> list[OrganisationCard]:
    """Who stands directly under an organisation."""
    return sorted((_card(row) for row in Organisation.objects.filter(parent_id=organisation_id)), key=lambda card: sort_key(card.name))


def move_to_hostname(tenant_id: int, hostname: str) -> Tenant:
    """Give a tenant a host name of its own (empty: back to its path). Old addresses lead to the new one."""
    with scope(tenant_id):
        if hostname and Organisation.objects.filter(hostname=hostname).exclude(pk=tenant_id).exists():
            raise AddressTaken(msg("O endereço “{slug}” já está ocupado; escolha outro."), slug=hostname)
        Organisation.objects.filter(pk=tenant_id).update(hostname=hostname)
    return by_id(tenant_id)


def rename(tenant_id: int, *, name: str, accent: str | None = None) -> None:
    """Change the name that stands in the top bar, and its accent colour (`#rrggbb`, empty for ours). In the tenant's scope."""
    row = Organisation.objects.get(pk=tenant_id)
    row.name = name
    if accent is not None:
        row.theme = {key: value for key, value in {**row.theme, "accent": accent}.items() if value}
    row.save(update_fields=["name", "theme"])


def set_clock(tenant_id: int, at: datetime | None) -> None:
    """Let a tenant's pages show the day of a recording: its clock stands at `at`; None lets it go again. In the tenant's scope."""
    row = Organisation.objects.get(pk=tenant_id)
    theme = {key: value for key, value in row.theme.items() if key != "clock"}
    row.theme = theme | ({"clock": format_instant(at)} if at else {})
    row.save(update_fields=["theme"])


def set_arms(tenant_id: int, data: bytes) -> None:
    """Keep an image as the tenant's arms; empty takes them away. In the tenant's scope. Raises UnusableArms."""
    row = Organisation.objects.get(pk=tenant_id)
    theme = {key: value for key, value in row.theme.items() if key != "arms"}
    if data:
        media_type = rules.image_type(data)
        digest = hashlib.sha256(data).hexdigest()
        Arms.objects.update_or_create(tenant_id=tenant_id, defaults={"media_type": media_type, "data": data, "digest": digest})
        theme["arms"] = f"/{row.slug}/armas/{digest[:16]}"  # by host name the first step is taken off by a redirect
    else:
        Arms.objects.filter(tenant_id=tenant_id).delete()
    row.theme = theme
    row.save(update_fields=["theme"])


def arms(tenant_id: int) -> tuple[str, bytes, str] | None:
    """The tenant's arms: media type, bytes, digest. In the tenant's scope."""
    row = Arms.objects.filter(tenant_id=tenant_id).first()
    return (row.media_type, bytes(row.data), row.digest) if row else None


def offered_delegate(tenant_id: int) -> OrganisationCard | None:
    """Who a municipality is offered first to run its service with: its community by law, when that is a tenant here."""
    row = Organisation.objects.filter(pk=tenant_id).select_related("parent").first()
    above = row.parent if row else None
    return _card(above) if above is not None and above.is_tenant and OrganisationKind(above.kind) in COMMUNITIES else None


def delegate(tenant_id: int, delegate_id: int, *, until: datetime | None = None, by: str = "") -> DelegationCard:
    """Let a community run the tenant's service from now. A delegation in force to it gets the new end. Raises WrongPlace."""
    target = organisation(delegate_id)
    if target.kind not in COMMUNITIES or not target.is_tenant or delegate_id == tenant_id:
        raise WrongPlace(msg("Só uma comunidade, área metropolitana, região ou associação com serviço próprio pode gerir por outros."))
    with scope(tenant_id):
        held = _in_force(Delegation.objects.filter(tenant_id=tenant_id, delegate_id=delegate_id)).first()
        if held is None:
            held = Delegation.objects.create(tenant_id=tenant_id, delegate_id=delegate_id, valid_from=now(), valid_until=until, given_by=by)
        else:
            held.valid_until = until
            held.save(update_fields=["valid_until"])
        return _delegation(Delegation.objects.select_related("tenant", "delegate").get(pk=held.pk))


def end_delegation(tenant_id: int, delegate_id: int) -> bool:
    """Take the service back at once. False when there was nothing to take."""
    with scope(tenant_id):
        return bool(_in_force(Delegation.objects.filter(tenant_id=tenant_id, delegate_id=delegate_id)).update(valid_until=now()))


def delegations(tenant_id: int) -> list[DelegationCard]:
    """To whom the tenant delegated, newest first, ended ones too. In the tenant's scope."""
    return [_delegation(row) for row in Delegation.objects.filter(tenant_id=tenant_id).select_related("tenant", "delegate").order_by("-valid_from")]


def delegating_members(community_id: int) -> list[OrganisationCard]:
    """The tenants that delegated to a community and still do: the only ones it manages. In the community's scope."""
    rows = _in_force(Delegation.objects.filter(delegate_id=community_id)).select_related("tenant")
    return sorted({row.tenant_id: _card(row.tenant) for row in rows}.values(), key=lambda card: sort_key(card.name))


def _in_force(rows: QuerySet[Delegation]) -> QuerySet[Delegation]:
    at = now()
    return rows.filter(Q(valid_until=None) | Q(valid_until__gt=at), valid_from__lte=at)


def _card(row: Organisation) -> OrganisationCard:
    return OrganisationCard(row.pk, row.slug, row.name, OrganisationKind(row.kind), row.is_tenant, row.parent_id, row.dico)


def _delegation(row: Delegation) -> DelegationCard:
    at = now()
    in_force = row.valid_from <= at and (row.valid_until is None or row.valid_until > at)
    return DelegationCard(row.pk, _card(row.tenant), _card(row.delegate), row.valid_from, row.valid_until, in_force)
