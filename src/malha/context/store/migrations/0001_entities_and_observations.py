from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall, searched_view_sql


class Migration(migrations.Migration):
    """The tables of the store, the wall around each, and the searched view `entities`."""

    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        SqlFile(__file__, "0001_store.sql"),
        TenantWall("entity"),
        migrations.RunSQL(searched_view_sql("entity", "entities")),
        TenantWall("entity_deleted"),
        TenantWall("entity_before_run"),
        TenantWall("undone_run"),
        TenantWall("observation_hot"),
        SqlFile(__file__, "0001_compactor.sql"),
    ]
