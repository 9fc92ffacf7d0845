"""Django's name for this room; only its migrations and pages need Django."""

from __future__ import annotations

from django.apps import AppConfig


class TerritoryConfig(AppConfig):
    """Boundaries, streets and door numbers."""

    name = "malha.vocabulary.territory"
    label = "territory"
