"""Exports that the worker makes, and the daily sweep of those whose link has expired."""

from __future__ import annotations

from malha.foundation.jobs.service import tenant_job
from malha.insight.exports import background


@tenant_job("exports.make", scoped=False, attempts=2)
def make(tenant_id: int, job_id: int) -> None:
    """Make the file of one export."""
    background.make(tenant_id, job_id)


@tenant_job("exports.sweep", schedule="17 3 * * *", scoped=False)
def sweep(tenant_id: int) -> None:
    """Delete what has expired."""
    background.sweep(tenant_id)
