"""What the store does by the clock."""

from __future__ import annotations

import logging

import psycopg

from malha.context.store import service
from malha.foundation.database import service as database
from malha.foundation.jobs.service import by_tenant, periodic

logger = logging.getLogger(__name__)


@periodic("23 */6 * * *", "store.partitions")
def make_partitions() -> None:
    """Make the hot partitions of the coming week, several times a day, so that none is ever missing."""
    with database.connect(autocommit=True) as conn:
        service.partitions_ahead(conn)


@periodic("* * * * *", "store.expiry")
def take_ended() -> None:
    """Take away, tenant by tenant, what has ended since the last minute."""
    by_tenant("SELECT entity_tenants_with_expired()", service.take_ended)


@periodic("*/5 * * * *", "store.filterable")
def keep_filterable() -> None:
    """Keep the values of filterable properties where models or types are new, tenant by tenant; one that fails holds up no other."""
    with database.connect(autocommit=True) as conn:
        for (tenant_id,) in conn.execute("SELECT entity_tenants()").fetchall():
            try:
                service.keep_filterable(conn, tenant_id)
            except psycopg.Error:
                if conn.closed:
                    raise
                logger.exception("values of tenant %s could not be kept", tenant_id)


@periodic("*/5 * * * *", "store.changes")
def forget_changes() -> None:
    """Let go which entities of watched types changed, once every reader has taken it over or has to read anew."""
    by_tenant("SELECT entity_watch_tenants()", service.forget_changes)
