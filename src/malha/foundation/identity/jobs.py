"""What is tidied every night: what has expired and would only pile up."""

from __future__ import annotations

from datetime import timedelta

from allauth.idp.oidc.models import Token
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session

from malha.foundation.identity.models import Invitation
from malha.foundation.jobs.service import periodic
from malha.foundation.tenancy import service as tenancy
from malha.kernel.time import now

#: how long the address of somebody who never answered is kept
KEEP_UNANSWERED = timedelta(days=90)


@periodic("17 3 * * *", "identity.tidy")
def tidy() -> None:
    """Forget sessions, their list, token hashes and invitations whose time is over."""
    Session.objects.filter(expire_date__lt=now()).delete()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
    Token.objects.expired().delete()
    for tenant_id in tenancy.all_ids():
        with tenancy.scope(tenant_id):
            Invitation.objects.filter(accepted_at=None, expires_at__lt=now() - KEEP_UNANSWERED).delete()
