"""Where allauth asks us: sign-in, second factor, tokens for machines, sign-in elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from allauth.idp.oidc.models import Client, PrivateKey
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings as django_settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from oauthlib.oauth2 import InvalidClientError

from malha.foundation.identity import machines, rules
from malha.foundation.identity.messages import ACCOUNT_ERRORS, SECOND_FACTOR_ERRORS
from malha.foundation.settings import service as settings
from malha.foundation.tokens import keys
from malha.foundation.tokens import service as tokens
from malha.kernel.time import now

#: ways to prove again who one is, best first
PROOFS = {
    "mfa_reauthenticate:webauthn": _("Com a chave de acesso"),
    "mfa_reauthenticate": _("Com um código da aplicação ou de recuperação"),
    "reauthenticate": _("Com a palavra-passe"),
}


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is untyped
    """Signing in with e-mail address; nobody makes an account without an invitation."""

    error_messages = {**DefaultAccountAdapter.error_messages, **ACCOUNT_ERRORS}

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 -- allauth's signature
        return False

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse | None:
        """Every road in (password, code, passkey, provider) passes here."""
        if not rules.may_enter(user, settings.current()):
            return self.respond_user_inactive(request, user)  # type: ignore[no-any-return]
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return response

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """A passkey first, where there is one; the words are ours."""
        order = {name: place for place, name in enumerate(PROOFS)}
        methods = sorted(super().get_reauthentication_methods(user), key=lambda one: order.get(one["id"], 9))
        return [{**one, "description": PROOFS.get(one["id"], one["description"])} for one in methods]

    def format_email_subject(self, subject: str) -> str:
        return str(subject)

    def get_logout_redirect_url(self, request: HttpRequest) -> str:
        """Back to the sign-in page, which returns to the page that was open: one changes person without losing the place."""
        target = request.POST.get("next") or request.GET.get("next") or ""
        login = reverse("account_login")
        return f"{login}?{urlencode({'next': target})}" if target and self.is_safe_url(target) else login


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is untyped
    """Passkeys under the domain that the installation names."""

    error_messages = {**DefaultMFAAdapter.error_messages, **SECOND_FACTOR_ERRORS}

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The relying party (WebAuthn §5.4.2): a set domain, where the request is under it, else the request's host.

        A passkey made at `malha.pt` then works at `evora.malha.pt` too.
        """
        host = context.request.get_host().partition(":")[0]
        domain = settings.current().passkey_domain
        inside = domain and (host == domain or host.endswith(f".{domain}"))
        return {"id": domain if inside else host, "name": "Malha"}

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:  # noqa: A002 -- allauth's name
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1
        return gettext("Chave de acesso {number}").format(number=number)

    def encrypt(self, text: str) -> str:
        """Secrets of authenticator apps are sealed with the installation's secret."""
        return keys.seal(text, django_settings.SECRET_KEY).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return keys.unseal(encrypted_text.encode(), django_settings.SECRET_KEY)


class ProviderAdapter(DefaultOIDCAdapter):  # type: ignore[misc]  # allauth is untyped
    """Malha as OpenID Connect provider: our issuer, our keys, our claims (the plane verifies them without Django)."""

    scope_display = {**DefaultOIDCAdapter.scope_display, "malha": _("Ler e escrever dados com as permissões que lhe foram dadas")}

    def get_issuer(self) -> str:
        return tokens.issuer()

    def list_private_keys(self, *, did_activate: Literal[True] | None = None, is_active: Literal[True] | None = None) -> list[PrivateKey]:  # noqa: ARG002 -- keys past their end are never listed
        with machines.connection() as conn:
            known = tokens.private_keys(conn, django_settings.SECRET_KEY)
        moment = now()  # after the keys: the first one is made by whoever asks first, and begins at once
        return [
            PrivateKey(pem=key.pem, not_before=key.not_before, expires_at=key.expires_at, issued_at=key.not_before)
            for key in known
            if not did_activate or key.not_before <= moment
        ]

    def populate_access_token(
        self, access_token: dict[str, Any], *, client: Client, scopes: Iterable[str], user: AbstractBaseUser | None, **kwargs: Any  # noqa: ARG002 -- allauth's signature
    ) -> None:  # fmt: skip
        """Say whose data and what for. Refuses a machine that was revoked, expired, or knocks at another tenant's address."""
        here = getattr(context.request, "tenant", None)
        claims = machines.claims(client, user, here.id if here else None)
        if claims is None:
            raise InvalidClientError(description=gettext("Esta ligação foi revogada, expirou ou é de outro município."))
        access_token.update(claims)


class ProviderLoginAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth is untyped
    """Signing in elsewhere (OpenID Connect): only who is already known here, or was invited, comes in."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:  # noqa: ARG002 -- allauth's signature
        return False
