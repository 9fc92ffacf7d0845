from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """Why a value was corrected."""

    dependencies = [("context_store", "0012_json_attributes")]
    operations = [SqlFile(__file__, "0013_reasons.sql")]
