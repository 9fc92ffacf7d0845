"""Programs that enter a tenant: their client, what they may do, and the claims of their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg
from allauth.idp.oidc.models import Client
from django.contrib.auth.hashers import make_password
from django.db import connection as django_connection
from django.db import transaction

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.identity import rules
from malha.foundation.identity.contracts import Machine, UnknownMachine
from malha.foundation.identity.hashers import MachineSecretHasher
from malha.foundation.identity.models import MachineClient
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tokens import service as tokens
from malha.kernel.text import msg
from malha.kernel.time import now

SCOPE = "malha"
#: writing "last used" at every token would be noise
SEEN_EVERY = timedelta(minutes=5)


@contextmanager
def connection() -> Iterator[psycopg.Connection]:
    """The psycopg face of Django's transaction, with one opened where none is (a savepoint would cost two round trips a page)."""
    if django_connection.in_atomic_block:
        yield database.current()
        return
    with transaction.atomic():
        yield database.current()


def told(row: MachineClient) -> Machine:
    """A machine as other rooms see it."""
    return Machine(
        id=row.pk, client_id=row.client_id, name=row.name, capabilities=frozenset(Capability(name) for name in row.capabilities),
        types=frozenset(row.types) if row.types is not None else None, created_at=row.created_at, expires_at=row.expires_at,
        last_used_at=row.last_used_at, revoked_at=row.revoked_at, scope=row.scope,
    )  # fmt: skip


def create(
    tenant_id: int, *, name: str, capabilities: Iterable[Capability], types: Iterable[str] | None, created_by: int | None, scope: Mapping[str, Any] | None = None
) -> tuple[Machine, str]:  # fmt: skip
    """A new machine and its secret, which is told this once. `scope` limits it further (`access.grant` says how)."""
    secret = rules.new_secret()
    client = Client(
        name=name, type=Client.Type.CONFIDENTIAL, scopes=SCOPE, default_scopes=SCOPE, grant_types=Client.GrantType.CLIENT_CREDENTIALS, redirect_uris=""
    )
    client.data = {"tenant_id": tenant_id}
    client.secret = make_password(secret, hasher=MachineSecretHasher.algorithm)
    client.save()
    row = MachineClient.objects.create(
        tenant_id=tenant_id, client_id=client.pk, name=name, capabilities=sorted(capabilities), types=sorted(types) if types is not None else None,
        scope=dict(scope or {}), created_by=created_by, expires_at=now() + rules.MACHINE_LASTS,
    )  # fmt: skip
    return told(row), secret


def renew(tenant_id: int, machine_id: int) -> tuple[Machine, str]:
    """Another secret and another year; tokens and the old secret stop at once. Raises UnknownMachine."""
    row = _row(tenant_id, machine_id)
    client = Client.objects.get(pk=row.client_id)
    secret = rules.new_secret()
    client.secret = make_password(secret, hasher=MachineSecretHasher.algorithm)
    client.save(update_fields=["secret"])
    row.expires_at = now() + rules.MACHINE_LASTS
    row.save(update_fields=["expires_at"])
    tokens.revoke(database.current(), f"client:{row.client_id}")
    return told(row), secret


def prolong(tenant_id: int, machine_id: int) -> Machine:
    """Another year with the secret it has. Raises UnknownMachine."""
    row = _row(tenant_id, machine_id)
    row.expires_at = now() + rules.MACHINE_LASTS
    row.save(update_fields=["expires_at"])
    return told(row)


def revoke(tenant_id: int, machine_id: int) -> Machine:
    """End a machine: no more tokens, and those it holds are refused. Raises UnknownMachine."""
    row = _row(tenant_id, machine_id)
    row.revoked_at = now()
    row.save(update_fields=["revoked_at"])
    Client.objects.filter(pk=row.client_id).delete()
    tokens.revoke(database.current(), f"client:{row.client_id}")
    return told(row)


def _row(tenant_id: int, machine_id: int) -> MachineClient:
    row = MachineClient.objects.filter(tenant_id=tenant_id, pk=machine_id, revoked_at=None).first()
    if row is None:
        raise UnknownMachine(msg("Essa ligação não existe ou já foi revogada."))
    return row


def claims(client: Client, person: Any, here: int | None) -> dict[str, Any] | None:
    """What a token for `client` says, or None when it may have none.

    `here` is the tenant at whose address it was asked for (None: the platform's). A person who signs in to an
    application through Malha lends it, at most, what both of them may.
    """
    tenant_id = (client.data or {}).get("tenant_id")
    if tenant_id is None or (here is not None and here != tenant_id):
        return None
    with tenancy.scope(tenant_id):
        row = MachineClient.objects.filter(tenant_id=tenant_id, client_id=client.pk, revoked_at=None, expires_at__gt=now()).first()
        if row is None:
            return None
        allowed = {Capability(name) for name in row.capabilities}
        subject, scoped = f"client:{client.pk}", bool(row.scope)
        if person is not None:
            allowed &= set(access.capabilities_of(person.pk, tenant_id))
            subject, scoped = f"person:{person.pk}", access.reach_of(person.pk, tenant_id) is not None
        seen(row)
        return tokens.claims_of(database.current(), subject=subject, tenants=[tenant_id], capabilities=allowed, types=row.types, name=row.name, scoped=scoped)


def seen(row: MachineClient, moment: datetime | None = None) -> None:
    """Remember that the machine came by."""
    moment = moment or now()
    if row.last_used_at is None or moment - row.last_used_at > SEEN_EVERY:
        row.last_used_at = moment
        row.save(update_fields=["last_used_at"])
