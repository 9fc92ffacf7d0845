"""Django's name for this room, which runs its migrations and nothing else."""

from django.apps import AppConfig


class SnapshotsConfig(AppConfig):
    """Answers kept as they were."""

    name = "malha.context.snapshots"
    label = "context_snapshots"
