from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """Subscriptions that came through other brokers, and what sources tell for one of them."""

    dependencies = [("context_subscriptions", "0002_about")]
    operations = [SqlFile(__file__, "0003_through.sql")]
