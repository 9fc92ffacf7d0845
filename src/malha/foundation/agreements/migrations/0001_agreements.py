from django.db import migrations

from malha.foundation.database.operations import ReaderWall, SqlFile, TenantWall


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        SqlFile(__file__, "0001_agreements.sql", "DROP TABLE agreement_reading, agreement"),
        TenantWall("agreement"),
        TenantWall("agreement_reading"),
        ReaderWall("agreement", "grantee_id"),
        ReaderWall("agreement_reading", "grantee_id"),
    ]
