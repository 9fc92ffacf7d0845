"""`kill -9` in the middle of an export: nobody gets half a file, and the worker's next attempt makes the whole one."""

import os
import subprocess
import sys

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import django as database
from malha.foundation.tenancy import service as tenancy
from malha.insight.exports import background, entities
from malha.insight.exports.contracts import ExportFormat, ExportGone
from malha.insight.exports.models import ExportState

THINGS = 3_000
MAKER = """
import sys, time
import django
django.setup()
from malha.insight.exports import background

counted = background._counted

def halting(export, tenant_id, job_id):
    yield next(iter(counted(export, tenant_id, job_id)))
    print("some rows are in", flush=True)
    time.sleep(600)

background._counted = halting
background.make(int(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.mark.parametrize("wanted", [ExportFormat.CSV, ExportFormat.PARQUET, ExportFormat.GEOPACKAGE])
def test_it_works(new_tenant, wanted):
    tenant = new_tenant()
    uris = [f"urn:vila:Incident:{n:05}" for n in range(THINGS)]
    places = [{"type": "Point", "coordinates": [-8.6 + n / 1e5, 40.6]} for n in range(THINGS)]
    with tenancy.scope(tenant.id):
        store.upsert_table(database.current(), tenant.id, EntityTable("Incident", uris, [Column("location", places, "GeoProperty")]))
        job = background.ask(tenant, entities.EntityExport("Incident"), wanted, person_id=None, rows=THINGS)
    maker = subprocess.Popen([sys.executable, "-c", MAKER, str(tenant.id), str(job.pk)], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert maker.stdout.readline() == "some rows are in\n"
    maker.kill()
    maker.wait()
    with tenancy.scope(tenant.id):
        job.refresh_from_db()
    assert job.state == ExportState.RUNNING
    with pytest.raises(ExportGone):
        background.path_of(job)
    background.make(tenant.id, job.pk)
    with tenancy.scope(tenant.id):
        job.refresh_from_db()
    assert (job.state, job.rows_written) == (ExportState.READY, THINGS)
    assert job.size_bytes == background.path_of(job).stat().st_size > 0
    assert [path.name for path in background.folder(tenant.id).iterdir()] == [f"{job.pk}.{job.format}"]


def test_what_was_left_half_made_goes_with_its_job(new_tenant):
    tenant = new_tenant()
    with tenancy.scope(tenant.id):
        job = background.ask(tenant, entities.EntityExport("Incident"), ExportFormat.CSV, person_id=None, rows=1)
        part = background.folder(tenant.id) / f"{job.pk}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"id;")
        job.expires_at = job.created_at
        job.save()
    assert background.sweep(tenant.id) == 1
    assert not part.exists()
