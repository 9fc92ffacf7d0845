"""Boundaries by edition; streets and doors of a tenant, reached through views that keep their search indexes in use."""

from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall, searched_view_sql


class Migration(migrations.Migration):
    initial = True
    dependencies = [("tenancy", "0001_initial")]
    operations = [
        SqlFile(__file__, "0001_territory.sql", "DROP TABLE territory_door; DROP TABLE territory_street; DROP TABLE territory_boundary; DROP TABLE national_boundary;"),
        TenantWall("territory_boundary"),
        TenantWall("territory_street"),
        TenantWall("territory_door"),
        migrations.RunSQL(searched_view_sql("territory_boundary", "own_boundary"), "DROP VIEW own_boundary;"),
        migrations.RunSQL(searched_view_sql("territory_street", "street"), "DROP VIEW street;"),
    ]
