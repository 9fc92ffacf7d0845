"""Django's name for this room."""

from django.apps import AppConfig


class MailConfig(AppConfig):
    """Outgoing mail."""

    name = "malha.foundation.mail"
    label = "mail"
