from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """The shelf of contexts of each tenant, and the wall around it."""

    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [SqlFile(__file__, "0001_contexts.sql"), TenantWall("jsonld_context")]
