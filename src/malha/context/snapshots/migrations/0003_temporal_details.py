from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """How the temporal queries of a snapshot went."""

    dependencies = [("context_snapshots", "0002_evolution")]
    operations = [SqlFile(__file__, "0003_temporal_details.sql")]
