"""What snapshots do by the clock."""

from __future__ import annotations

from malha.context.snapshots import service
from malha.foundation.jobs.service import by_tenant, periodic


@periodic("*/5 * * * *", "snapshots.expiry")
def take_ended() -> None:
    """Take away, tenant by tenant, the snapshots that have ended."""
    by_tenant("SELECT snapshot_tenants_with_ended()", service.take_ended)
