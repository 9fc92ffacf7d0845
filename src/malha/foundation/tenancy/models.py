"""Tables of the organisation tree. Private: other rooms use `service`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from malha.foundation.tenancy.contracts import OrganisationKind


class Organisation(models.Model):
    """Anybody who may own, share, supply or read data. Its `id` is the `tenant_id` of its rows."""

    kind = models.CharField(max_length=32, choices=[(kind, kind) for kind in OrganisationKind])
    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=200)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    dico = models.CharField(max_length=4, blank=True)
    is_tenant = models.BooleanField(default=False)
    is_demo = models.BooleanField(default=False)
    hostname = models.CharField(max_length=253, blank=True)
    time_zone = models.CharField(max_length=64, default="Europe/Lisbon")
    crs = models.CharField(max_length=16, default="EPSG:3763")
    centre = ArrayField(models.FloatField(), size=2, null=True, blank=True)
    extent = ArrayField(models.FloatField(), size=4, null=True, blank=True)
    theme = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "organisation"
        constraints = [models.UniqueConstraint(fields=["hostname"], condition=~models.Q(hostname=""), name="organisation_hostname_once")]

    def __str__(self) -> str:
        return self.name
