"""Exports as jobs: asked for on a page, made by the worker, fetched by a link that expires."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec

from malha.foundation.access import reach
from malha.foundation.access import service as access
from malha.foundation.settings import service as settings
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.exports import charting, entities, series, service
from malha.insight.exports.contracts import Export, ExportFormat, ExportGone, Row
from malha.insight.exports.entities import EntityExport
from malha.insight.exports.models import ExportJob, ExportState
from malha.insight.exports.series import SeriesExport
from malha.kernel import time
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

#: has msgspec look at these classes now: several threads that are the first to ask at once would end the process
_LOOKED_AT = (msgspec.json.Decoder(SeriesExport), msgspec.json.Decoder(EntityExport))
#: rows that each format writes in about ten seconds on two cores; more is a job
ROWS_AT_ONCE = {
    ExportFormat.CSV: 150_000,
    ExportFormat.CSV_EXCEL_PT: 150_000,
    ExportFormat.JSON: 150_000,
    ExportFormat.GEOJSON: 150_000,
    ExportFormat.PARQUET: 150_000,
    ExportFormat.GEOPARQUET: 150_000,
    ExportFormat.GEOPACKAGE: 100_000,
    ExportFormat.XLSX: 60_000,
    ExportFormat.PDF: 1_000_000_000,  # it stops at its own limit
}
KEPT_FOR = timedelta(days=7)
PROGRESS_ROWS = 20_000


def folder(tenant_id: int) -> Path:
    """Where the files of a tenant's exports lie."""
    return settings.current().data / "files" / str(tenant_id) / "exports"


def path_of(job: ExportJob) -> Path:
    """The file of a job. Raises ExportGone when its link has expired."""
    place = folder(job.tenant_id) / f"{job.pk}.{job.format}"
    if job.expires_at < time.now() or not place.exists():
        raise ExportGone(msg("Esta ligação expirou. Peça a exportação outra vez; demora o mesmo."))
    return place


def ask(tenant: Tenant, wanted: EntityExport | SeriesExport, chosen: ExportFormat, *, person_id: int | None, rows: int) -> ExportJob:
    """Note an export to be made by the worker."""
    return ExportJob.objects.create(
        tenant_id=tenant.id,
        person_id=person_id,
        title=wanted.title or wanted.type,
        wanted=msgspec.to_builtins(wanted),
        format=chosen,
        rows_expected=rows,
        expires_at=time.now() + KEPT_FOR,
    )


def make(tenant_id: int, job_id: int) -> None:
    """Make the file of a job; the file appears whole or not at all, and a failure keeps its reason."""
    with tenancy.scope(tenant_id):
        tenant = tenancy.by_id(tenant_id)
        job = ExportJob.objects.filter(tenant_id=tenant_id, pk=job_id).exclude(state=ExportState.READY).first()
        if job is None:
            return
        ExportJob.objects.filter(pk=job.pk).update(state=ExportState.RUNNING)
    place = folder(tenant_id) / f"{job_id}.{job.format}"
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = place.with_suffix(".part")
    try:
        with reach.limited(None if job.person_id is None else access.reach_of(job.person_id, tenant_id)):  # as it is now, not as it was asked
            export = export_of(tenant, job)
            counted = replace(export, batches=lambda: _counted(export, tenant_id, job_id))
            with part.open("wb") as out:
                service.write(counted, ExportFormat(job.format), out)
                out.flush()
                os.fsync(out.fileno())  # on the disk before it has its name
        part.replace(place)
    except Exception as error:
        part.unlink(missing_ok=True)
        with tenancy.scope(tenant_id):
            ExportJob.objects.filter(pk=job_id).update(state=ExportState.FAILED, error=(error.kept() if isinstance(error, MalhaError) else str(error))[:500])
        raise
    with tenancy.scope(tenant_id):
        ExportJob.objects.filter(pk=job_id).update(state=ExportState.READY, size_bytes=place.stat().st_size)


def export_of(tenant: Tenant, job: ExportJob) -> Export:
    """What a job was asked for, again."""
    pdf = job.format == ExportFormat.PDF
    if "attribute" in job.wanted:
        return series.export(tenant, msgspec.convert(job.wanted, SeriesExport), chart=pdf)
    wanted = msgspec.convert(job.wanted, EntityExport)
    export = entities.export(tenant, wanted)
    return charting.with_chart(export, tenant, wanted.type, wanted.language) if pdf else export


def _counted(export: Export, tenant_id: int, job_id: int) -> Iterator[list[Row]]:
    written = told = 0
    for batch in export.batches():
        yield batch
        written += len(batch)
        if written - told >= PROGRESS_ROWS:
            told = written
            with tenancy.scope(tenant_id):
                ExportJob.objects.filter(pk=job_id).update(rows_written=written)
    with tenancy.scope(tenant_id):
        ExportJob.objects.filter(pk=job_id).update(rows_written=written)


def sweep(tenant_id: int) -> int:
    """Delete files and rows of exports whose link has expired; returns how many."""
    with tenancy.scope(tenant_id):
        gone = list(ExportJob.objects.filter(tenant_id=tenant_id, expires_at__lt=time.now()))
        for job in gone:
            for ending in (job.format, "part"):
                (folder(tenant_id) / f"{job.pk}.{ending}").unlink(missing_ok=True)
        ExportJob.objects.filter(pk__in=[job.pk for job in gone]).delete()
    return len(gone)


def unseen(tenant_id: int, person_id: int) -> list[ExportJob]:
    """The person's exports that ended and that they have not looked at: the bell tells of them."""
    ended = [ExportState.READY, ExportState.FAILED]
    return list(ExportJob.objects.filter(tenant_id=tenant_id, person_id=person_id, state__in=ended, seen_at=None).order_by("-created_at")[:20])
