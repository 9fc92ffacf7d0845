from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("tokens", "0001_initial")]

    operations = [
        migrations.AddField("tokengeneration", "raised_at", models.DateTimeField(db_default=Now())),
        migrations.AddIndex("tokengeneration", models.Index(fields=["raised_at"], name="token_generation_raised")),
    ]
