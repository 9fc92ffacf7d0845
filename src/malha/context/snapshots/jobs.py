"""What snapshots do by the clock."""

from __future__ import annotations

from malha.context.snapshots import service
from malha.foundation.database import service as database
from malha.foundation.jobs.service import periodic


@periodic("*/5 * * * *", "snapshots.expiry")
def take_ended() -> None:
    """Take away, tenant by tenant, the snapshots that have ended."""
    with database.connect(autocommit=True) as conn:
        for (tenant_id,) in conn.execute("SELECT snapshot_tenants_with_ended()").fetchall():
            with database.tenant_transaction(conn, [tenant_id]):
                service.take_ended(conn, tenant_id)
