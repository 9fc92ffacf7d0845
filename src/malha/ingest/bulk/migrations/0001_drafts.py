from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [SqlFile(__file__, "0001_drafts.sql", "DROP TABLE history_draft"), TenantWall("history_draft")]
