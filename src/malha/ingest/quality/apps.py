"""Django's name for this room."""

from django.apps import AppConfig


class QualityConfig(AppConfig):
    """What could not be loaded, and why."""

    name = "malha.ingest.quality"
    label = "ingest_quality"
