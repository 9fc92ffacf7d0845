from django.db import migrations

from malha.foundation.database.operations import SqlFile


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [SqlFile(__file__, "0001_record.sql", "DROP TABLE backup_record, backup_failure")]
