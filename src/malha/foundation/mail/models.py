"""Mail that could not leave. Private: other rooms use `service`."""

from __future__ import annotations

from django.db import models


class DemoMail(models.Model):
    """One message that landed on the page *Correio de demonstração*, for a day."""

    recipients = models.CharField(max_length=1000)
    subject = models.CharField(max_length=300)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "demo_mail"

    def __str__(self) -> str:
        return self.subject
