"""Exports over requests: rights, columns about people, the chart of a PDF, jobs and links that expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import django as database
from malha.foundation.identity import service as identity
from malha.foundation.tenancy import service as tenancy
from malha.insight.exports import background, charting, entities
from malha.insight.exports.contracts import ExportFormat, ExportGone
from malha.insight.exports.models import ExportJob
from malha.kernel import time

DAYS = 5


@pytest.fixture
def tenant(new_tenant):
    tenant = new_tenant()
    start = time.now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    table = EntityTable(
        "AirQualityObserved",
        ["urn:vila:AirQualityObserved:1"] * DAYS,
        [Column("pm10", [10.0 + n for n in range(DAYS)], unit="GQ")],
        observed_at=[start + timedelta(days=n) for n in range(DAYS)],
    )
    people = EntityTable("Incident", ["urn:vila:Incident:1"], [Column("category", ["Saneamento"]), Column("reportedById", ["ana@exemplo.pt"])])
    with tenancy.scope(tenant.id):
        store.upsert_table(database.current(), tenant.id, table)
        store.upsert_table(database.current(), tenant.id, people)
    return tenant


@pytest.fixture
def analyst(tenant):
    from uuid import uuid4

    from django.contrib.auth import get_user_model

    person = identity.create_person(f"ana-{uuid4().hex[:8]}@exemplo.pt", name="Ana")
    access.grant(person.id, tenant.id, RoleName.ANALYST)
    client = Client(HTTP_HOST="localhost")
    client.force_login(get_user_model().objects.get(pk=person.id), backend="malha.foundation.identity.backends.PersonBackend")
    return client


def body(response):
    return b"".join(response.streaming_content)


def test_it_works(tenant, analyst):
    answer = analyst.get(f"/{tenant.slug}/dados/exportar/ficheiro.csv", {"type": "Incident", "personal": "1"})
    text = body(answer).decode()
    assert "urn:vila:Incident:1" in text
    assert "ana@exemplo.pt" not in text, "an analyst has no right to columns about people, whatever the address asks"
    assert analyst.get(f"/{tenant.slug}/dados/exportar/ficheiro.exe", {"type": "Incident"}).status_code == 404
    assert Client(HTTP_HOST="localhost").get(f"/{tenant.slug}/dados/exportar/ficheiro.csv", {"type": "Incident"}).status_code == 302


def test_a_pdf_draws_the_first_measure(tenant, analyst):
    export = charting.with_chart(entities.export(tenant, entities.EntityExport("AirQualityObserved")), tenant, "AirQualityObserved")
    [(name, points)] = export.chart
    assert "PM10" in name
    assert [value for _, value in points] == [10.0 + n for n in range(DAYS)]
    answer = analyst.get(f"/{tenant.slug}/dados/exportar/ficheiro.pdf", {"type": "AirQualityObserved"})
    assert body(answer).startswith(b"%PDF-")


def test_a_long_export_is_a_job_whose_link_expires(tenant):
    with tenancy.scope(tenant.id):
        job = background.ask(tenant, entities.EntityExport("AirQualityObserved"), ExportFormat.CSV, person_id=None, rows=1)
    background.make(tenant.id, job.pk)
    with tenancy.scope(tenant.id):
        job.refresh_from_db()
        assert (job.state, job.rows_written) == ("ready", 1)
        assert b"urn:vila:AirQualityObserved:1" in background.path_of(job).read_bytes()
        ExportJob.objects.filter(pk=job.pk).update(expires_at=datetime(2026, 1, 1, tzinfo=UTC))
        job.refresh_from_db()
        with pytest.raises(ExportGone):
            background.path_of(job)
    assert background.sweep(tenant.id) == 1
