from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Installations that joined, and the wall around them."""

    dependencies = [("context_federation", "0001_registrations")]
    operations = [SqlFile(__file__, "0002_links.sql"), TenantWall("federation_link")]
