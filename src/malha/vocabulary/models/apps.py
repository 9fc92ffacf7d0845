"""Django's name for this room; only its migrations and pages need Django."""

from __future__ import annotations

from django.apps import AppConfig


class DataModelsConfig(AppConfig):
    """Data models: what entities of each type are."""

    name = "malha.vocabulary.models"
    label = "data_models"
