from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Tenants that a machine made by its first write."""

    dependencies = [("identity", "0004_invite_with_limits"), ("tenancy", "0001_initial")]
    operations = [SqlFile(__file__, "0005_founders.sql"), TenantWall("tenant_founder")]
