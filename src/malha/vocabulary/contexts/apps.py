"""Django's name for the room, which runs its migrations and nothing else."""

from __future__ import annotations

from django.apps import AppConfig


class ContextsConfig(AppConfig):
    """JSON-LD contexts that tenants host or that were fetched for them."""

    name = "malha.vocabulary.contexts"
    label = "vocabulary_contexts"
