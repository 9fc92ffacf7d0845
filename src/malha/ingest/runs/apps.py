"""Django's name for this room."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """Loads: their states, progress and undoing."""

    name = "malha.ingest.runs"
    label = "ingest_runs"
