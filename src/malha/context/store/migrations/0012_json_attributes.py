from django.db import migrations

from malha.foundation.database.operations import SqlFile, TenantWall


class Migration(migrations.Migration):
    """Attributes under which a number may lie elsewhere than in `value`, noted by triggers."""

    dependencies = [("context_store", "0011_linked_maps")]
    operations = [SqlFile(__file__, "0012_json_attributes.sql"), TenantWall("entity_json_attribute")]
