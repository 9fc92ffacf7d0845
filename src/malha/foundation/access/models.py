"""Tables of rights. Private: other rooms use `service`."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from malha.foundation.access.contracts import RoleName


class Membership(models.Model):
    """One person has one role in one tenant, within a scope, from one day to another."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.DB_CASCADE, related_name="memberships")
    tenant = models.ForeignKey("tenancy.Organisation", on_delete=models.DO_NOTHING, related_name="memberships")
    role = models.CharField(max_length=32, choices=[(role, role) for role in RoleName])
    scope = models.JSONField(default=dict, blank=True)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    granted_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "membership"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "person", "role"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(valid_until=None) | models.Q(valid_until__gt=models.F("valid_from")), name="membership_ends_after_start"),
            models.CheckConstraint(condition=~models.Q(role=RoleName.PLATFORM_OPERATOR), name="membership_of_a_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.person} {self.role} {self.tenant}"


class PlatformOperator(models.Model):
    """Somebody who runs the platform itself: makes tenants, reads none. Written only as owner of the tables."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.DB_CASCADE, primary_key=True, related_name="+")
    granted_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "platform_operator"

    def __str__(self) -> str:
        return str(self.person)
