from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Subscriptions, what changed, and what waits to be delivered; the wall around each."""

    initial = True
    dependencies = [("context_store", "0001_entities_and_observations"), ("events", "0001_outbox")]
    operations = [
        SqlFile(__file__, "0001_subscriptions.sql"),
        *(TenantWall(table) for table in ("subscription", "subscription_state", "subscription_interest", "entity_change", "notification")),
    ]
