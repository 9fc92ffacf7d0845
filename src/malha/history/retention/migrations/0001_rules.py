from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        SqlFile(__file__, "0001_rules.sql", "DROP TABLE retention_run, retention_rule"),
        TenantWall("retention_rule"),
        TenantWall("retention_run"),
    ]
