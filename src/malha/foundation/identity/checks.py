"""What the operator can have set wrongly about signing in and mail."""

from __future__ import annotations

import re
from typing import Any

from django.core import checks

from malha.foundation.mail.rules import beyond_loopback
from malha.foundation.settings import service as settings
from malha.foundation.settings.contracts import Settings

DOMAIN = re.compile(r"(?:localhost|(?:[a-z0-9-]+\.)+[a-z0-9-]+)\Z")


def register() -> None:
    """Run with Django's system checks, which `./malha up` enforces."""
    checks.register(_check, checks.Tags.security)


def _check(**_kwargs: Any) -> list[checks.CheckMessage]:
    return found(settings.current())


def found(conf: Settings) -> list[checks.CheckMessage]:
    """What is wrong with these settings, each with what to do."""
    wrong: list[checks.CheckMessage] = []
    if beyond_loopback(conf) and not conf.smtp_url:
        wrong.append(
            checks.Error(
                "A Malha está aberta a outros computadores, mas não tem servidor de correio: códigos e convites não chegariam a ninguém.",
                hint="Defina MALHA_SMTP_URL=smtps://utilizador:senha@servidor, ou deixe MALHA_HOST e MALHA_PUBLIC_URL só neste computador.",
                id="identity.E001",
            )
        )
    if beyond_loopback(conf) and not conf.public_url.startswith("https://"):
        wrong.append(
            checks.Warning(
                "O endereço público não é https: os navegadores recusam chaves de acesso e os segredos viajam à vista.",
                hint="Ponha um servidor com certificado à frente (veja deploy/) e defina MALHA_PUBLIC_URL=https://….",
                id="identity.W001",
            )
        )
    if conf.passkey_domain and not DOMAIN.match(conf.passkey_domain):
        wrong.append(
            checks.Error(
                f"MALHA_PASSKEY_DOMAIN={conf.passkey_domain!r} não é um nome de domínio.",
                hint="Escreva só o domínio, por exemplo malha.pt, sem https:// nem porta.",
                id="identity.E002",
            )
        )
    if bool(conf.oidc_url) != bool(conf.oidc_client_id):
        wrong.append(
            checks.Error(
                "A entrada por OpenID Connect está definida por metade.", hint="Defina MALHA_OIDC_URL e MALHA_OIDC_CLIENT_ID, ou nenhuma.", id="identity.E003"
            )
        )
    return wrong
