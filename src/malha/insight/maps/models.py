"""Tables of maps. Private: other rooms use `service`."""

from __future__ import annotations

from django.db import models


class LayerRow(models.Model):
    """One layer of a tenant's map: copied from a pack when it is switched on, and the tenant's to adapt from then on."""

    tenant_id = models.BigIntegerField()
    pack = models.CharField(max_length=64, blank=True, db_default="")
    key = models.CharField(max_length=64)
    definition = models.JSONField()
    position = models.IntegerField(default=0, db_default=0)
    enabled = models.BooleanField(default=True, db_default=True)

    class Meta:
        db_table = "map_layer"
        constraints = [models.UniqueConstraint(fields=["tenant_id", "key"], name="map_layer_once")]
        indexes = [models.Index(fields=["tenant_id", "position"], name="map_layer_by_position")]

    def __str__(self) -> str:
        return self.key
