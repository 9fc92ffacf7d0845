"""Loads of history in the worker: each in a process of its own; and each minute a look for those that were cut short."""

from __future__ import annotations

import subprocess
import sys

from malha.foundation.database import service as database
from malha.foundation.jobs import service as jobs
from malha.foundation.tenancy import service as tenancy
from malha.ingest.bulk import drafts, service
from malha.ingest.bulk.contracts import LoaderEnded
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import RunKind
from malha.kernel.text import msg

#: a load that says it runs and was not heard of for so long is begun again; where its process lives, the lock on it says so
SILENT_SECONDS = 20


@jobs.tenant_job("ingest.history", scoped=False, attempts=3)
def load(tenant_id: int, run_id: int) -> None:
    """Run a load, or go on with it."""
    command = [sys.executable, "-m", "malha.ingest.bulk.loader", str(tenant_id), str(run_id)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:  # noqa: S603 -- our own module
        code = child.wait()
    if code:
        raise LoaderEnded(msg("O processo da carga {run} acabou com o código {code}."), run=run_id, code=code)


@jobs.periodic("* * * * *", "ingest.history.tick")
def tick() -> None:
    """Go on with loads whose process died."""
    with database.connect() as conn:
        for tenant_id in tenancy.all_ids():
            with database.tenant_transaction(conn, [tenant_id]):
                cut = runs.interrupted(conn, tenant_id, SILENT_SECONDS, RunKind.HISTORY)
            for run_id in cut:
                defer_load(tenant_id, run_id)


@jobs.periodic("40 2 * * *", "ingest.history.tidy")
def tidy() -> None:
    """Let go what files and loads left that nobody goes on with."""
    with database.connect() as conn:
        for tenant_id in tenancy.all_ids():
            with database.tenant_transaction(conn, [tenant_id]):
                drafts.drop_old(conn, tenant_id)
    service.forget_folders()


def defer_load(tenant_id: int, run_id: int) -> None:
    """Have a load run by the worker after the open transaction commits."""
    jobs.defer("ingest.history", tenant_id=tenant_id, once=f"ingest.history:{run_id}", run_id=run_id)
