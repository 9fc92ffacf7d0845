from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """One entity read, made or changed in a single statement."""

    dependencies = [("context_store", "0003_expiry")]
    operations = [SqlFile(__file__, "0004_express.sql")]
