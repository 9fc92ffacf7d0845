from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall

TABLES = ("device_profile", "device_door", "device", "device_message")


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        SqlFile(__file__, "0001_devices.sql", "DROP TABLE device_message, device, device_door, device_profile"),
        *(TenantWall(table) for table in TABLES),
    ]
