"""Django's name for this room."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Who may do what, where and until when."""

    name = "malha.foundation.access"
    label = "access"
