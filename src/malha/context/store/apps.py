"""Django's name for the store, which runs its migrations and nothing else."""

from __future__ import annotations

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class StoreConfig(AppConfig):
    """Current state and hot observations."""

    name = "malha.context.store"
    label = "context_store"

    def ready(self) -> None:
        """Every start migrates; the partitions of the coming days are made then too."""
        post_migrate.connect(_partitions_ahead, sender=self)


def _partitions_ahead(using: str, **_: object) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT observation_partitions_ahead(7)")
