from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """Every wall between tenants reads the tenants in scope once a statement, not once a row."""

    dependencies = [("tenancy", "0001_initial")]
    operations = [SqlFile(__file__, "0002_scope_read_once.sql")]
