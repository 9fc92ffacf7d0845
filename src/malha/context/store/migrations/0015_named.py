from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """One entity is read by a plain question, in the scope that travels before it."""

    dependencies = [("context_store", "0014_columns")]
    operations = [SqlFile(__file__, "0015_named.sql")]
