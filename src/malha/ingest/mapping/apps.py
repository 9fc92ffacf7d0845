"""Django's name for this room."""

from django.apps import AppConfig


class MappingConfig(AppConfig):
    """Answers that turn tables into things."""

    name = "malha.ingest.mapping"
    label = "ingest_mapping"
