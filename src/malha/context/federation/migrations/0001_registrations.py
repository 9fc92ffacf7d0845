from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Sources of context information, how they answer, and the wall around each."""

    initial = True
    dependencies = [("context_store", "0003_expiry"), ("context_subscriptions", "0001_subscriptions")]
    operations = [
        SqlFile(__file__, "0001_federation.sql"),
        *(TenantWall(table) for table in ("csource_registration", "csource_state", "csource_revision")),
    ]
