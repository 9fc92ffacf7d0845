"""Invitations: a way in for one address, once, for seven days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.audit import service as audit
from malha.foundation.identity import rules
from malha.foundation.identity.contracts import AlreadyMember, InvitationCard, InvitationForAnother, InvitationSpent, PersonCard
from malha.foundation.identity.models import Invitation, Person
from malha.foundation.mail import service as mail
from malha.foundation.tenancy.contracts import Tenant
from malha.foundation.tokens import service as tokens
from malha.kernel.text import msg
from malha.kernel.time import now


def told(row: Invitation) -> InvitationCard:
    """An invitation as other rooms see it."""
    return InvitationCard(
        id=row.pk, tenant_id=row.tenant_id, email=row.email, name=row.name, role=row.role, created_at=row.created_at, expires_at=row.expires_at,
        accepted_at=row.accepted_at, revoked_at=row.revoked_at, role_until=row.role_until,
    )  # fmt: skip


def address(tenant: Tenant, path: str = "") -> str:
    """The public address of a tenant's page: under its own host name where it has one."""
    public = tokens.issuer()
    root = f"{urlsplit(public).scheme}://{tenant.hostname}" if tenant.hostname else f"{public}/{tenant.slug}"
    return f"{root}/{path}"


def invite(
    tenant: Tenant, *, email: str, role: RoleName, name: str = "", until: datetime | None = None,
    scope: Mapping[str, Any] | None = None, by: PersonCard | None = None,
) -> tuple[InvitationCard, str]:  # fmt: skip
    """Invite an address; the mail goes out at once. Returns the invitation and its link. In the tenant's scope.

    `until` is when the role itself ends, `scope` what it is limited to (`access.grant`).

    An open invitation of the same address is replaced. Raises AlreadyMember when the person has that role.
    """
    email = email.strip().lower()
    if any(one.person.email == email and one.role == role for one in access.members(tenant.id)):
        raise AlreadyMember(msg("{email} já tem essa função aqui."), email=email)
    Invitation.objects.filter(tenant_id=tenant.id, email=email, accepted_at=None, revoked_at=None).update(revoked_at=now())
    secret = rules.new_secret()
    row = Invitation.objects.create(
        tenant_id=tenant.id, email=email, name=name, role=role, secret_hash=rules.hash_secret(secret), invited_by=by.id if by else None,
        expires_at=now() + rules.INVITATION_LASTS, role_until=until, scope=dict(scope or {}),
    )  # fmt: skip
    audit.record(tenant.id, f"person:{by.id}" if by else "system", "identity.invite", f"invitation:{row.pk}", {"role": role})
    return told(row), _send(tenant, row, secret, by)


def resend(tenant: Tenant, invitation_id: int, *, by: PersonCard | None = None) -> tuple[InvitationCard, str]:
    """Another link and another seven days; the old link stops. Raises InvitationSpent."""
    row = Invitation.objects.filter(tenant_id=tenant.id, pk=invitation_id, accepted_at=None, revoked_at=None).first()
    if row is None:
        raise InvitationSpent(msg("Esse convite já foi aceite ou retirado."))
    secret = rules.new_secret()
    row.secret_hash, row.expires_at = rules.hash_secret(secret), now() + rules.INVITATION_LASTS
    row.save(update_fields=["secret_hash", "expires_at"])
    return told(row), _send(tenant, row, secret, by)


def revoke(tenant: Tenant, invitation_id: int, *, by: PersonCard | None = None) -> None:
    """Withdraw an invitation that nobody accepted yet."""
    Invitation.objects.filter(tenant_id=tenant.id, pk=invitation_id, accepted_at=None).update(revoked_at=now())
    audit.record(tenant.id, f"person:{by.id}" if by else "system", "identity.invite_revoke", f"invitation:{invitation_id}", None)


def waiting(tenant_id: int) -> list[InvitationCard]:
    """Invitations that nobody accepted or withdrew, newest first, expired ones among them."""
    rows = Invitation.objects.filter(tenant_id=tenant_id, accepted_at=None, revoked_at=None).order_by("-created_at")
    return [told(row) for row in rows]


def find(tenant_id: int, secret: str) -> InvitationCard:
    """The open invitation behind a link. Raises InvitationSpent saying why it is not."""
    row = Invitation.objects.filter(tenant_id=tenant_id, secret_hash=rules.hash_secret(secret)).first()
    if row is None or row.revoked_at is not None:
        raise InvitationSpent(msg("Este convite foi retirado, ou substituído por outro mais recente. Procure-o no correio, ou peça outro."))
    if row.accepted_at is not None:
        raise InvitationSpent(msg("Este convite já foi usado. Se foi por si, entre com o seu endereço."))
    if row.expires_at <= now():
        raise InvitationSpent(msg("Este convite passou dos sete dias. Peça outro a quem lho enviou."))
    return told(row)


def accept(tenant_id: int, secret: str, person: Person) -> InvitationCard:
    """Give the person the role and close the invitation. Raises InvitationSpent, InvitationForAnother."""
    known = find(tenant_id, secret)
    if person.email != known.email:
        raise InvitationForAnother(msg("O convite é para {email}. Entre com essa conta para o aceitar."), email=known.email)
    closed = Invitation.objects.filter(pk=known.id, accepted_at=None).update(accepted_at=now(), accepted_by=person.pk)
    if not closed:
        raise InvitationSpent(msg("Este convite já foi usado. Se foi por si, entre com o seu endereço."))
    scope = Invitation.objects.values_list("scope", flat=True).get(pk=known.id)
    access.grant(person.pk, tenant_id, RoleName(known.role), scope, until=known.role_until, by=f"invitation:{known.id}")
    return known


def _send(tenant: Tenant, row: Invitation, secret: str, by: PersonCard | None) -> str:
    link = address(tenant, f"conta/convite/{secret}/")
    who = by.name or by.email if by else _("Quem gere a plataforma")
    text = _(
        "{who} enviou-lhe um convite para {tenant} na Malha.\n\n"
        "Abra esta ligação para aceitar; serve uma vez e até {days} dias:\n\n{link}\n\n"
        "Se não esperava este convite, não precisa de fazer nada."
    ).format(who=who, tenant=tenant.name, link=link, days=rules.INVITATION_LASTS.days)
    mail.send(row.email, _("Convite para {tenant}").format(tenant=tenant.name), text)
    return link
