"""Loads in the worker: run a file, ask a source, and look each minute for what is due or was cut short."""

from __future__ import annotations

from malha.foundation.database import service as database
from malha.foundation.jobs import service as jobs
from malha.foundation.tenancy import service as tenancy
from malha.ingest.runs import fetching, queries, service
from malha.ingest.runs.contracts import RunBusy

#: a load that says it runs and was not heard of for so long is begun again; where its process lives, the lock on it says so
SILENT_SECONDS = 20


@jobs.tenant_job("ingest.load", scoped=False, attempts=3)
def load(tenant_id: int, run_id: int) -> None:
    """Run a load, or go on with it."""
    try:
        service.execute(tenant_id, run_id)
    except RunBusy:  # another worker has it: that is what was wanted
        return


@jobs.tenant_job("ingest.fetch", scoped=False, attempts=1)
def fetch(tenant_id: int, source_id: int) -> None:
    """Ask one source for what is new."""
    try:
        fetching.fetch(tenant_id, source_id)
    except RunBusy:
        return


@jobs.periodic("* * * * *", "ingest.tick")
def tick() -> None:
    """Defer what is due: sources whose time has come, loads whose process died."""
    with database.connect() as conn:
        for tenant_id in tenancy.all_ids():
            with database.tenant_transaction(conn, [tenant_id]):
                due = fetching.due(conn, tenant_id)
                cut = queries.interrupted(conn, tenant_id, SILENT_SECONDS)
            for source_id in due:
                jobs.defer("ingest.fetch", tenant_id=tenant_id, once=f"ingest.fetch:{source_id}", source_id=source_id)
            for run_id in cut:
                jobs.defer("ingest.load", tenant_id=tenant_id, once=f"ingest.load:{run_id}", run_id=run_id)


def defer_load(tenant_id: int, run_id: int) -> None:
    """Have a load run by the worker after the open transaction commits."""
    jobs.defer("ingest.load", tenant_id=tenant_id, once=f"ingest.load:{run_id}", run_id=run_id)
