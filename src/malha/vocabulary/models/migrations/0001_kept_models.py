"""Tables of the data models that somebody imported or made."""

from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        SqlFile(__file__, "0001_kept_models.sql", "DROP TABLE national_data_model; DROP TABLE data_model;"),
        TenantWall("data_model"),
    ]
