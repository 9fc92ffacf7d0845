"""Django's name for this room."""

from django.apps import AppConfig


class AdministrationConfig(AppConfig):
    """The manager's pages."""

    name = "malha.foundation.administration"
    label = "administration"
