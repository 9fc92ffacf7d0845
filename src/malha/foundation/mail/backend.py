"""Where mail goes while no server is set: a table that one page of this computer shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from malha.foundation.mail.models import DemoMail
from malha.kernel.time import now

LASTS = timedelta(days=1)


class DemoMailBackend(BaseEmailBackend):
    """Keeps messages for a day instead of sending them, and forgets those of the day before."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        moment = now()
        DemoMail.objects.filter(expires_at__lt=moment).delete()
        rows = [
            DemoMail(recipients=", ".join(one.recipients())[:1000], subject=str(one.subject)[:300], body=str(one.body), expires_at=moment + LASTS)
            for one in email_messages
        ]
        return len(DemoMail.objects.bulk_create(rows))
