from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        SqlFile(__file__, "0001_outbox.sql", "DROP TABLE outbox_failure, outbox_position, outbox"),
        TenantWall("outbox"),
        TenantWall("outbox_failure"),
    ]
