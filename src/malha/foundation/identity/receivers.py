"""What follows when allauth tells that something happened."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.account.signals import email_changed
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from django.contrib.auth.signals import user_logged_out
from django.http import HttpRequest

from malha.foundation.identity import service
from malha.foundation.identity.models import Person


def connect() -> None:
    """Listen."""
    authenticator_added.connect(_proved, dispatch_uid="identity.proved")
    user_logged_out.connect(_left, dispatch_uid="identity.left")
    email_changed.connect(_moved, dispatch_uid="identity.moved")


def _proved(request: HttpRequest, user: Person, authenticator: Authenticator, **_kwargs: Any) -> None:
    """Who just made a key has just shown it: the recovery codes that come with it are not asked for with a second proof."""
    if authenticator.type != Authenticator.Type.RECOVERY_CODES:
        record_authentication(request, user, method="mfa", id=authenticator.pk, type=authenticator.type, reauthenticated=True)


def _left(user: Person | None, **_kwargs: Any) -> None:
    """What the browser keeps for the plane dies with the session, in every tenant."""
    if user is not None:
        service.revoke_tokens(user.pk)


def _moved(user: Person, to_email_address: Any, **_kwargs: Any) -> None:
    """One spelling of an address, so that invitations find it."""
    if to_email_address and user.email != to_email_address.email.lower():
        user.email = to_email_address.email.lower()
        user.save(update_fields=["email"])
