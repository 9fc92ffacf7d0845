from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """NGSI-LD brokers of others beside installations of Malha."""

    dependencies = [("context_federation", "0003_passed")]
    operations = [SqlFile(__file__, "0004_brokers.sql")]
