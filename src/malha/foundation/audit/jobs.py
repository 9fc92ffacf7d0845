"""Chain the trail and keep its heads."""

from __future__ import annotations

from malha.foundation.audit import service
from malha.foundation.audit.contracts import PLATFORM
from malha.foundation.database import service as database
from malha.foundation.jobs.service import periodic
from malha.foundation.tenancy import service as tenancy


@periodic("* * * * *", "audit.chain")
def chain() -> None:
    """Link what was added in the last minute, tenant by tenant."""
    with database.connect(autocommit=True) as connection:
        for tenant_id in [PLATFORM, *tenancy.all_ids()]:
            service.chain(connection, tenant_id)


@periodic("7 0 * * *", "audit.anchor")
def anchor() -> None:
    """Keep the head of each chain, once a day, also outside the database."""
    with database.connect(autocommit=True) as connection:
        for tenant_id in [PLATFORM, *tenancy.all_ids()]:
            service.chain(connection, tenant_id)
            service.anchor(connection, tenant_id)
