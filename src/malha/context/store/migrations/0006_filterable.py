from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall, searched_view_sql


class Migration(migrations.Migration):
    """Values of filterable properties beside the entities, kept by triggers."""

    dependencies = [("context_store", "0005_entity_maps")]
    operations = [
        SqlFile(__file__, "0006_filterable.sql"),
        TenantWall("entity_filter"),
        TenantWall("entity_value"),
        migrations.RunSQL(searched_view_sql("entity_value", "entity_values")),
    ]
