"""Django's name for this room."""

from django.apps import AppConfig


class FederationConfig(AppConfig):
    """Other sources of context information, and joining with other installations."""

    name = "malha.context.federation"
    label = "context_federation"
