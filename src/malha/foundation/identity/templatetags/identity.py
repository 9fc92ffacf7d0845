"""Tags of the sign-in pages: `{% load identity %}`."""

from __future__ import annotations

from typing import Any

from allauth.mfa.webauthn.forms import LoginWebAuthnForm
from allauth.socialaccount.adapter import get_adapter
from django import template
from django.template.context import Context
from django.urls import get_script_prefix
from django.utils.translation import gettext as _

from malha.foundation.identity import service
from malha.foundation.mail import service as mail
from malha.foundation.mail.rules import beyond_loopback
from malha.foundation.settings import service as settings

register = template.Library()


@register.simple_tag
def demo_mail_url() -> str:
    """Where mail that cannot leave is read; empty when it leaves."""
    return "" if mail.has_server() or beyond_loopback(settings.current()) else "/correio/"


@register.simple_tag(takes_context=True)
def sign_in_choices(context: Context) -> dict[str, Any]:
    """What the sign-in page offers besides code and password: providers that are set, and people of the demonstration."""
    request = context["request"]
    tenant = getattr(request, "tenant", None)
    prefix = get_script_prefix()
    # A provider knows one address of ours to come back to: the platform's, whichever tenant the person came from.
    providers = [
        {"name": one.name, "url": one.get_login_url(request).removeprefix(prefix.rstrip("/"))}
        for one in get_adapter(request).list_providers(request)
        if one.app
    ]
    return {
        "place": _("Vai entrar em {place}.").format(place=tenant.name) if tenant else "",
        "providers": providers,
        "next": request.GET.get("next") or prefix,
        "demo": service.demo_people(tenant.id if tenant else None),
        "credential": LoginWebAuthnForm(),
    }
