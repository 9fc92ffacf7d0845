"""Exports that take long enough to be made while one does something else. Private to the room."""

from __future__ import annotations

from django.db import models


class ExportState(models.TextChoices):
    """Where an export stands."""

    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


class ExportJob(models.Model):
    """One export made in the background; its file lives until `expires_at`."""

    tenant_id = models.BigIntegerField()
    person_id = models.BigIntegerField(null=True)
    title = models.CharField(max_length=200)
    wanted = models.JSONField()
    format = models.CharField(max_length=12)
    state = models.CharField(max_length=8, choices=ExportState, default=ExportState.WAITING)
    rows_expected = models.BigIntegerField(default=0)
    rows_written = models.BigIntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    error = models.TextField(blank=True)
    seen_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "export_job"
        constraints = [models.UniqueConstraint(fields=["tenant_id", "id"], name="export_job_tenant_id")]
        indexes = [models.Index(fields=["tenant_id", "person_id", "-created_at"], name="export_job_recent")]

    def __str__(self) -> str:
        return self.title
