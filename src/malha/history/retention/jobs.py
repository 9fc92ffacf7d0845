"""Let go, every night, of what is older than it is kept."""

from __future__ import annotations

from malha.foundation.jobs.service import tenant_job
from malha.history.retention import service
from malha.kernel.time import now


@tenant_job("retention.let_go", schedule="30 2 * * *", scoped=False)
def let_go(tenant_id: int) -> None:
    """One tenant's."""
    service.let_go(tenant_id, now())
