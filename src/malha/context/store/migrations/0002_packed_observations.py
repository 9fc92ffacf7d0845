from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Values that came together lie together: one row per series and batch, read through the view `observations`."""

    dependencies = [("context_store", "0001_entities_and_observations")]
    operations = [SqlFile(__file__, "0002_packed.sql"), TenantWall("observation_packed")]
