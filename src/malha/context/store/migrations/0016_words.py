from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """What readers keep in memory of attributes of any kind."""

    dependencies = [("context_store", "0015_named")]
    operations = [SqlFile(__file__, "0016_words.sql")]
