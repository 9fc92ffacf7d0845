"""How strictly what is written is held to its model."""

from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    dependencies = [("data_models", "0001_kept_models")]
    operations = [
        SqlFile(__file__, "0002_policy.sql", "DROP TABLE model_warning; DROP TABLE model_policy;"),
        TenantWall("model_policy"),
        TenantWall("model_warning"),
    ]
