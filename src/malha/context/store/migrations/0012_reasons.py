from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """Why a value was corrected."""

    dependencies = [("context_store", "0011_linked_maps")]
    operations = [SqlFile(__file__, "0012_reasons.sql")]
