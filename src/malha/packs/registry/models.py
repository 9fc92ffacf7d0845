"""Which packs a tenant has on. Private: other rooms use `service`."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class ActivePack(models.Model):
    """A pack that a tenant switched on, with the version of its declarations that was copied."""

    tenant_id = models.BigIntegerField()
    name = models.CharField(max_length=64)
    version = models.IntegerField()
    switched_on_at = models.DateTimeField(db_default=Now())
    switched_on_by = models.CharField(max_length=200, blank=True, db_default="")

    class Meta:
        db_table = "active_pack"
        constraints = [models.UniqueConstraint(fields=["tenant_id", "name"], name="active_pack_once")]

    def __str__(self) -> str:
        return self.name
