"""Django's name for this room."""

from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """Everything that speaks with the tenant."""

    name = "malha.share.connections"
    label = "connections"
