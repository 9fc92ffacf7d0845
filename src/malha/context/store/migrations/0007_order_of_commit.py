from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    """Hot rows in order of commit."""

    dependencies = [("context_store", "0006_filterable")]
    operations = [SqlFile(__file__, "0007_order_of_commit.sql")]
