from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0001_initial")]

    operations = [migrations.AddField("invitation", "role_until", models.DateTimeField(null=True))]
