"""The read-only SQL login of a tenant: its tables, its views, their walls."""

from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


def _views_read(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(f"CREATE POLICY {table}_view ON {table} FOR SELECT TO malha_view USING (true)", f"DROP POLICY {table}_view ON {table}")


class Migration(migrations.Migration):
    dependencies = [("datahub", "0001_initial"), ("context_store", "0001_entities_and_observations")]

    operations = [
        SqlFile(__file__, "0001_sql_login.sql"),
        TenantWall("hub_login"),
        TenantWall("hub_column"),
        TenantWall("hub_day"),
        _views_read("hub_column"),
        _views_read("hub_day"),
    ]
