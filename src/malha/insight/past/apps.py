"""Django's name for this room."""

from django.apps import AppConfig


class PastConfig(AppConfig):
    """Pages as they were at an instant."""

    name = "malha.insight.past"
    label = "past"
