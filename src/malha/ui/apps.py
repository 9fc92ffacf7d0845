"""Django's name for the design system."""

from django.apps import AppConfig


class UiConfig(AppConfig):
    """Frame, components and assets."""

    name = "malha.ui"
    label = "ui"
