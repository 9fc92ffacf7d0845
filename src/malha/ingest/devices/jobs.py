"""What the worker does every hour: let old raw messages go."""

from __future__ import annotations

from malha.foundation.database import service as database
from malha.foundation.tenancy import service as tenancy
from malha.ingest.devices import service


def forget_old() -> int:
    """Delete raw messages of more than thirty days, tenant by tenant. Returns how many."""
    gone = 0
    with database.connect() as conn:
        for tenant_id in tenancy.all_ids():
            with database.tenant_transaction(conn, [tenant_id]):
                gone += service.forget_old(conn, [tenant_id])
    return gone
