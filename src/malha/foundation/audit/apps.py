"""Django's name for this room."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Who did what, kept so that a change shows."""

    name = "malha.foundation.audit"
    label = "audit"
