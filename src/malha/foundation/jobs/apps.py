"""Django's name for this room."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Work that can wait."""

    name = "malha.foundation.jobs"
    label = "malha_jobs"
