"""What the worker does for the data hub."""

from __future__ import annotations

from malha.foundation.database import service as database
from malha.foundation.jobs.service import tenant_job
from malha.share.datahub import sqlrole


@tenant_job("datahub.sql", schedule="41 2 * * *", scoped=False)
def refresh_sql(tenant_id: int) -> None:
    """Each night, for tenants with an SQL login: which attributes may be seen, and the sums by day."""
    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        wanted = sqlrole.has_login(conn, tenant_id)
    if wanted:
        sqlrole.refresh(tenant_id)
