from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial"), ("context_store", "0001_entities_and_observations")]
    operations = [SqlFile(__file__, "0001_erasure.sql", "DROP TABLE erasure"), TenantWall("erasure")]
