from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    dependencies = [("agreements", "0001_agreements")]
    operations = [SqlFile(__file__, "0002_area_name.sql", "ALTER TABLE agreement DROP COLUMN area_name")]
