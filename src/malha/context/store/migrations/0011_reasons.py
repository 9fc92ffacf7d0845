from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """Why a value was corrected."""

    dependencies = [("context_store", "0010_known_when_made")]
    operations = [SqlFile(__file__, "0011_reasons.sql")]
