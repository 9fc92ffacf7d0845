"""Tables of the open data portal. Private: other rooms use `service`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from malha.share.opendata.contracts import FREQUENCIES, LICENCES, THEMES, Choice, PublicationState


def _choices(entries: tuple[Choice, ...]) -> list[tuple[str, str]]:
    return [(entry.code, entry.pt) for entry in entries]


class Dataset(models.Model):
    """One dataset that is, was or will be open."""

    tenant_id = models.BigIntegerField()
    slug = models.SlugField(max_length=80)
    entity_type = models.CharField(max_length=120)
    filter = models.TextField(blank=True)
    columns = ArrayField(models.CharField(max_length=200), default=list)
    title_pt = models.CharField(max_length=200)
    title_en = models.CharField(max_length=200, blank=True)
    description_pt = models.TextField(blank=True)
    description_en = models.TextField(blank=True)
    licence = models.CharField(max_length=20, choices=_choices(LICENCES), default=LICENCES[0].code)
    theme = models.CharField(max_length=8, choices=_choices(THEMES), default="GOVE")
    frequency = models.CharField(max_length=16, choices=_choices(FREQUENCIES), default="DAILY")
    keywords = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    hvd_category = models.CharField(max_length=20, blank=True)
    contact_name = models.CharField(max_length=150, blank=True)
    contact_email = models.EmailField(blank=True)
    temporal_start = models.DateField(null=True)
    temporal_resolution = models.CharField(max_length=20, default="PT1H")
    spatial_resolution_m = models.FloatField(default=10)
    state = models.CharField(max_length=12, choices=[(s, s) for s in PublicationState], default=PublicationState.DRAFT)
    prepared_by = models.BigIntegerField(null=True)
    approved_by = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(auto_now=True)
    withdrawn_at = models.DateTimeField(null=True)
    withdrawal_reason = models.TextField(blank=True)

    class Meta:
        db_table = "open_dataset"
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "id"], name="open_dataset_tenant_id"),
            models.UniqueConstraint(fields=["tenant_id", "slug"], name="open_dataset_slug_once"),
        ]

    def __str__(self) -> str:
        return self.title_pt


class DatasetReport(models.Model):
    """An error that a visitor reported; kept for a year, the e-mail only to answer."""

    tenant_id = models.BigIntegerField()
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="reports")
    text = models.TextField(max_length=2000)
    email = models.EmailField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "open_dataset_report"
        indexes = [models.Index(fields=["tenant_id", "created_at"], name="open_report_recent")]

    def __str__(self) -> str:
        return self.text[:60]
