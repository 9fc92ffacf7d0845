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


class Delegation(models.Model):
    """A tenant lets a community (or another organisation) run its service, from one day to another."""

    tenant = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="delegations_given")
    delegate = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="delegations_received")
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    given_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "delegation"
        constraints = [
            models.CheckConstraint(condition=~models.Q(tenant=models.F("delegate")), name="delegation_to_another"),
            models.CheckConstraint(
                condition=models.Q(valid_until=None) | models.Q(valid_until__gte=models.F("valid_from")), name="delegation_ends_after_start"
            ),
        ]
        indexes = [models.Index(fields=["delegate", "tenant"], name="delegation_delegate")]

    def __str__(self) -> str:
        return f"{self.tenant} → {self.delegate}"


class Arms(models.Model):
    """The image that stands for a tenant in the top bar, small enough to live here."""

    tenant = models.OneToOneField(Organisation, on_delete=models.CASCADE, primary_key=True, related_name="+")
    media_type = models.CharField(max_length=32)
    data = models.BinaryField()
    digest = models.CharField(max_length=64)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "tenant_arms"

    def __str__(self) -> str:
        return self.digest
