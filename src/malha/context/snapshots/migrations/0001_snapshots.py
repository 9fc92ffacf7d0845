from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Answers kept as they were."""

    dependencies = [("context_store", "0006_filterable")]
    operations = [SqlFile(__file__, "0001_snapshots.sql"), TenantWall("snapshot"), TenantWall("snapshot_entity")]
