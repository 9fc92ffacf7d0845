"""What is tidied every night: what has expired and would only pile up."""

from __future__ import annotations

from allauth.idp.oidc.models import Token
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session

from malha.foundation.jobs.service import periodic
from malha.kernel.time import now


@periodic("17 3 * * *", "identity.tidy")
def tidy() -> None:
    """Forget sessions, their list and token hashes whose time is over."""
    Session.objects.filter(expire_date__lt=now()).delete()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
    Token.objects.expired().delete()
