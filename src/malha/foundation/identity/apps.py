"""Django's name for this room."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    """People and how they prove who they are."""

    name = "malha.foundation.identity"
    label = "identity"
