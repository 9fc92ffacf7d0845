from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """Entities and attributes that end by themselves; the searched view shows the new columns."""

    dependencies = [("context_store", "0002_packed_observations")]
    operations = [SqlFile(__file__, "0003_expiry.sql")]
