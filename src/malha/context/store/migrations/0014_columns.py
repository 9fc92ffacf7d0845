from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Which entities changed of the types whose figures readers keep in memory."""

    dependencies = [("context_store", "0013_reasons")]
    operations = [SqlFile(__file__, "0014_columns.sql"), TenantWall("entity_watch"), TenantWall("entity_changed_ids")]
