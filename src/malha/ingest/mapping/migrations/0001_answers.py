from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        SqlFile(__file__, "0001_answers.sql", "DROP TABLE ingest_answers, ingest_draft"),
        TenantWall("ingest_answers"),
        TenantWall("ingest_draft"),
    ]
