from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """How entities evolved, in snapshots too."""

    dependencies = [("context_snapshots", "0001_snapshots")]
    operations = [SqlFile(__file__, "0002_evolution.sql"), TenantWall("snapshot_observation")]
