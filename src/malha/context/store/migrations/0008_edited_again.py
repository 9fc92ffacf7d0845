from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """An entity that is changed again by who knows when it was changed last."""

    dependencies = [("context_store", "0007_order_of_commit")]
    operations = [SqlFile(__file__, "0008_edited_again.sql")]
