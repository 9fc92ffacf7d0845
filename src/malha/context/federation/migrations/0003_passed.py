from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Subscriptions passed on to sources."""

    dependencies = [("context_federation", "0002_links"), ("context_subscriptions", "0003_through")]
    operations = [SqlFile(__file__, "0003_passed.sql"), TenantWall("subscription_passed"), TenantWall("subscription_passed_up_to")]
