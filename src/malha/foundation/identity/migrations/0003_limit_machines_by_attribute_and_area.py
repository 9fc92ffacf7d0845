from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0002_let_invited_roles_end")]

    operations = [
        migrations.AddField("machineclient", "scope", models.JSONField(blank=True, db_default={}, default=dict)),
    ]
