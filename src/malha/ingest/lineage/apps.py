"""Django's name for this room."""

from django.apps import AppConfig


class LineageConfig(AppConfig):
    """Files as they came, and where each value came from."""

    name = "malha.ingest.lineage"
    label = "ingest_lineage"
