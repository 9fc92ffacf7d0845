from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """Maps of entities that other sources keep."""

    dependencies = [("context_store", "0010_known_when_made")]
    operations = [SqlFile(__file__, "0011_linked_maps.sql")]
