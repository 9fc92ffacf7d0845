from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        SqlFile(__file__, "0001_runs.sql", "DROP TABLE ingest_source, ingest_run, ingest_removed"),
        TenantWall("ingest_source"),
        TenantWall("ingest_run"),
        TenantWall("ingest_removed"),
    ]
