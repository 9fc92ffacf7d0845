"""Django's name for this room."""

from django.apps import AppConfig


class MapsConfig(AppConfig):
    """Map layers and the page of the map."""

    name = "malha.insight.maps"
    label = "maps"
