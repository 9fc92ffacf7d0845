from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Answers whose pages stay the same."""

    dependencies = [("context_store", "0004_express")]
    operations = [SqlFile(__file__, "0005_entity_maps.sql"), TenantWall("entity_map")]
