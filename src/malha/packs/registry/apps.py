"""Django's name for this room."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """Packs and what they switch on."""

    name = "malha.packs.registry"
    label = "packs"
