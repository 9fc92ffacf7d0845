from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Who wrote a value that took the place of another."""

    dependencies = [("context_store", "0008_edited_again")]
    operations = [SqlFile(__file__, "0009_authors.sql"), TenantWall("observation_author")]
