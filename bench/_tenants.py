"""Municipalities for `bench/broker.py`, with the tokens of those who ask."""

from __future__ import annotations

from dataclasses import replace

from _town import Town


def make_town(slug: str) -> Town:
    """A tenant, a client of it and its token."""
    from malha.foundation.access.contracts import Capability, Principal
    from malha.foundation.identity import machines
    from malha.foundation.identity import service as people
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind

    tenant = tenancy.create_tenant(slug=slug, name=slug.title(), kind=OrganisationKind.MUNICIPALITY)
    both = (Capability.DATA_READ, Capability.DATA_WRITE)
    with tenancy.scope(tenant.id):
        machine, _ = machines.create(tenant.id, name="bench", capabilities=both, types=None, created_by=None)
    return Town(tenant.id, slug, people.issue_token(Principal(tenant.id, frozenset(both), client_id=machine.client_id)), machine.client_id)


def renewed(town: Town) -> Town:
    """The town with a new token: one holds for a quarter of an hour, a full run takes longer."""
    from malha.foundation.access.contracts import Capability
    from malha.foundation.database import service as database
    from malha.foundation.settings import service as settings
    from malha.foundation.tokens import service as tokens

    both = [Capability.DATA_READ, Capability.DATA_WRITE]
    with database.connect(autocommit=True) as conn:
        return replace(town, token=tokens.issue(conn, settings.secret_key(), subject=f"client:{town.client}", tenants=[town.id], capabilities=both))


def make_founder() -> Town:
    """A client that may make towns by its first write to them, and its token."""
    from malha.foundation.access.contracts import Capability, Principal
    from malha.foundation.identity import machines
    from malha.foundation.identity import service as people
    from malha.foundation.tenancy import service as tenancy

    home = make_quiet_town("fundadora")
    may = (Capability.DATA_READ, Capability.DATA_WRITE, Capability.TENANT_CREATE)
    with tenancy.scope(home.id):
        machine, _ = machines.create(home.id, name="founder", capabilities=may, types=None, created_by=None)
    return Town(home.id, home.slug, people.issue_token(Principal(home.id, frozenset(may), client_id=machine.client_id)), machine.client_id)


def make_quiet_town(slug: str) -> Town:
    """A tenant and a token for it, without a client that would have a secret to hash."""
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind

    tenant = tenancy.create_tenant(slug=slug, name=slug.title(), kind=OrganisationKind.MUNICIPALITY)
    return renewed(Town(tenant.id, slug, "", slug))
