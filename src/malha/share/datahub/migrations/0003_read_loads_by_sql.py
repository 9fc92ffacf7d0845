"""The SQL login sees what loads brought."""

from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    dependencies = [("datahub", "0002_let_tenants_read_by_sql"), ("context_store", "0002_packed_observations")]
    operations = [SqlFile(__file__, "0002_with_loads.sql")]
