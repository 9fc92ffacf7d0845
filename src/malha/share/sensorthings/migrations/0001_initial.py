from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall

TABLES = ("sensorthings_element", "sensorthings_datastream", "sensorthings_note")


class Migration(migrations.Migration):
    """What SensorThings clients declare beside what entities say."""

    initial = True
    dependencies = [("context_store", "0003_expiry")]
    operations = [
        SqlFile(__file__, "0001_sensorthings.sql", "DROP TABLE sensorthings_note, sensorthings_datastream, sensorthings_element"),
        *(TenantWall(table) for table in TABLES),
    ]
