from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """Subscriptions to registrations beside those to entities."""

    dependencies = [("context_subscriptions", "0001_subscriptions")]
    operations = [SqlFile(__file__, "0002_about.sql")]
