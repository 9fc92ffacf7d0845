from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """An entity's number and moment, for who makes it."""

    dependencies = [("context_store", "0009_authors")]
    operations = [SqlFile(__file__, "0010_known_when_made.sql")]
