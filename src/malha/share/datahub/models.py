"""Tables of the data hub. Private to the room; the plane reaches them by psycopg (`keys`, `files`)."""

from __future__ import annotations

from django.db import models


class HubKey(models.Model):
    """One person's key for one tool; only its digest is kept."""

    tenant_id = models.BigIntegerField()
    person_id = models.BigIntegerField()
    tool = models.CharField(max_length=40)
    digest = models.CharField(max_length=64)
    hint = models.CharField(max_length=4)
    with_personal = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "hub_key"
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "id"], name="hub_key_tenant_id"),
            models.UniqueConstraint(fields=["tenant_id", "digest"], name="hub_key_digest_once"),
        ]
        indexes = [models.Index(fields=["tenant_id", "person_id"], name="hub_key_of_person")]

    def __str__(self) -> str:
        return f"{self.tool} …{self.hint}"


class HubVersion(models.Model):
    """How many times a table has changed, as Delta Sharing counts: a number that grows when the fingerprint is another."""

    tenant_id = models.BigIntegerField()
    table_name = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    version = models.BigIntegerField(default=1)
    changed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "hub_version"
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "id"], name="hub_version_tenant_id"),
            models.UniqueConstraint(fields=["tenant_id", "table_name"], name="hub_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.table_name} {self.version}"
