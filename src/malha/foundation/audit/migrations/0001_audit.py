from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        SqlFile(__file__, "0001_audit.sql", "DROP TABLE audit_anchor, audit_link, audit_entry"),
        TenantWall("audit_entry"),
        TenantWall("audit_link"),
        TenantWall("audit_anchor"),
    ]
