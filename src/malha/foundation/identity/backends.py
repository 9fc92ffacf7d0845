"""Who is let in by what they present."""

from __future__ import annotations

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.base_user import AbstractBaseUser

from malha.foundation.identity import rules
from malha.foundation.settings import service as settings


class PersonBackend(AuthenticationBackend):  # type: ignore[misc]  # allauth is untyped
    """Signs people in by e-mail address; people of the demonstration only where nobody else can reach us."""

    def user_can_authenticate(self, user: AbstractBaseUser) -> bool:
        return bool(super().user_can_authenticate(user)) and rules.may_enter(user, settings.current())

    def get_user(self, user_id: int) -> AbstractBaseUser | None:
        """Also ends a session that began before the server was opened to others."""
        user: AbstractBaseUser | None = super().get_user(user_id)
        return user if user is not None and rules.may_enter(user, settings.current()) else None
