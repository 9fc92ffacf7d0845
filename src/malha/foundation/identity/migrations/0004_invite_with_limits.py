from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0003_limit_machines_by_attribute_and_area")]

    operations = [
        migrations.AddField("invitation", "scope", models.JSONField(blank=True, db_default={}, default=dict)),
    ]
