"""Send mail; read what stayed here because no server is set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings as django_settings
from django.core.mail import EmailMessage

from malha.foundation.mail.models import DemoMail
from malha.foundation.settings import service as settings
from malha.kernel.time import now


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that the page *Correio de demonstração* shows."""

    id: int
    recipients: str
    subject: str
    body: str
    created_at: datetime


def has_server() -> bool:
    """Whether mail really leaves (`MALHA_SMTP_URL` is set)."""
    return bool(settings.current().smtp_url)


def send(to: str | Sequence[str], subject: str, text: str) -> int:
    """Send a plain message to each of `to`, one apart from the other. Returns how many were taken.

    Without a server it lands on *Correio de demonstração*. Raises what the server answers (`smtplib.SMTPException`, `OSError`).
    """
    recipients = [to] if isinstance(to, str) else list(to)
    return sum(EmailMessage(subject, text, django_settings.DEFAULT_FROM_EMAIL, [one]).send() for one in recipients)


def kept(recipient: str = "") -> list[Kept]:
    """Messages of the last day that stayed here, newest first; only those to `recipient` when one is named."""
    rows = DemoMail.objects.filter(expires_at__gt=now()).order_by("-created_at", "-id")
    if recipient:
        rows = rows.filter(recipients__icontains=recipient)
    return [Kept(row.pk, row.recipients, row.subject, row.body, row.created_at) for row in rows[:200]]
