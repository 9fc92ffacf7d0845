"""Exports over requests: rights, columns about people, the chart of a PDF, jobs and links that expire."""

from __future__ import annotations

import html
import re
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
from malha.insight.exports import background, charting, entities, series
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


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("pm10>", "A pergunta q acaba a meio"),
        ("pm10>1)", "Não se percebe a pergunta q"),
        ("temperatura>25", "Estes dados não têm “temperatura”"),
        ("pm10~=(", "não é uma expressão regular"),
    ],
)
def test_a_wrong_filter_is_told_by_its_field(tenant, analyst, question, said):
    answer = analyst.get(f"/{tenant.slug}/dados/exportar/ficheiro.xlsx", {"type": "AirQualityObserved", "q": question, "columns": "pm10"})
    page = html.unescape(answer.content.decode())
    assert answer.status_code == 422
    assert re.search(rf'id="q_error"><li>[^<]*{re.escape(said)}', page)
    assert f'value="{question}" aria-describedby="q_help q_error" aria-invalid="true"' in page
    assert re.search(r'value="pm10" checked', page)
    hidden = analyst.get(f"/{tenant.slug}/dados/exportar/ficheiro.csv", {"type": "Incident", "q": 'reportedById=="ana@exemplo.pt"'})
    assert hidden.status_code == 422, "what a reader may not see is no filter either"
    assert b"pm10" in body(analyst.get(f"/{tenant.slug}/dados/exportar/ficheiro.csv", {"type": "AirQualityObserved", "q": "pm10>0"}))


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


def series_address(tenant, ending, **given):
    return f"/{tenant.slug}/dados/exportar/serie.{ending}", {"type": "AirQualityObserved", "attribute": "pm10", "dias": "7", **given}


def test_a_series_has_an_export_of_its_own(tenant, analyst):
    """Every value as it was observed, oldest first, saying filter, moment, unit and zone."""
    answer = analyst.get(*series_address(tenant, "csv", id="urn:vila:AirQualityObserved:1"))
    notes, rows = [], []
    for line in body(answer).decode().splitlines():
        (notes if line.startswith("#") else rows).append(line)
    assert rows[0] == "id,observedAt,pm10"
    assert [float(row.split(",")[2]) for row in rows[1:]] == [10.0 + n for n in range(DAYS)]
    said = "\n".join(notes)
    assert "AirQualityObserved.pm10 de urn:vila:AirQualityObserved:1" in said
    assert "µg/m³" in said
    assert "Europe/Lisbon" in said
    for ending in ("excel.csv", "xlsx", "json", "parquet", "pdf"):
        assert len(body(analyst.get(*series_address(tenant, ending)))) > 100
    assert analyst.get(*series_address(tenant, "geojson")).status_code == 400
    assert analyst.get(*series_address(tenant, "csv", de="ontem")).status_code == 400
    assert analyst.get(*series_address(tenant, "csv", id="urn:outra:coisa")).status_code == 404


def test_a_file_speaks_the_language_of_whoever_asked(tenant, analyst):
    from django.contrib.auth import get_user_model

    get_user_model().objects.filter(pk=analyst.session["_auth_user_id"]).update(language="en")
    said = body(analyst.get(*series_address(tenant, "csv"))).decode()
    assert "# Taken out at" in said
    assert "# Units: pm10: µg/m³" in said
    assert "Filtro" not in said
    whole = body(analyst.get(f"/{tenant.slug}/dados/exportar/ficheiro.csv", {"type": "AirQualityObserved"})).decode()
    assert "# Filter: none" in whole
    assert "pm10: µg/m³" in whole, "the unit as people read it, not its code"


def test_a_series_is_read_in_stretches_and_loses_nothing(tenant, monkeypatch):
    monkeypatch.setattr(series, "STRETCH_ROWS", 2)
    wanted = series.SeriesExport("AirQualityObserved", "pm10", time.now() - timedelta(days=7), time.now())
    batches = list(series.export(tenant, wanted).batches())
    assert len(batches) > 1
    assert [row[2] for batch in batches for row in batch] == [10.0 + n for n in range(DAYS)]
    assert series.count(tenant.id, wanted) == DAYS


def test_the_bell_tells_of_an_export_that_took_long(tenant, analyst, monkeypatch):
    """More than ten seconds: a job, found again behind the bell, seen once it was looked at."""
    monkeypatch.setitem(background.ROWS_AT_ONCE, ExportFormat.CSV, 1)
    asked = analyst.get(*series_address(tenant, "csv"))
    with tenancy.scope(tenant.id):
        job = ExportJob.objects.get(tenant_id=tenant.id)
    assert asked.headers["Location"] == f"/{tenant.slug}/dados/exportar/#exportacao-{job.pk}"
    assert analyst.get(f"/{tenant.slug}/agir/sino/").json()["count"] == 0
    background.make(tenant.id, job.pk)
    bell = analyst.get(f"/{tenant.slug}/agir/sino/").json()
    assert (bell["count"], bell["alarms"]) == (1, 0)
    assert bell["lines"][1] == {"text": f"Exportação pronta: {job.title} (csv)", "url": f"/{tenant.slug}/dados/exportar/#exportacao-{job.pk}"}
    page = analyst.get(f"/{tenant.slug}/dados/exportar/").content.decode()
    assert f'href="/{tenant.slug}/dados/exportar/feito/{job.pk}/"' in page
    assert analyst.get(f"/{tenant.slug}/agir/sino/").json()["count"] == 0
    assert body(analyst.get(f"/{tenant.slug}/dados/exportar/feito/{job.pk}/")).count(b"\r\n") > DAYS


def test_nobody_exports_what_is_beyond_their_reach(tenant):
    from uuid import uuid4

    from django.contrib.auth import get_user_model

    person = identity.create_person(f"rui-{uuid4().hex[:8]}@exemplo.pt", name="Rui")
    access.grant(person.id, tenant.id, RoleName.ANALYST, {"types": ["Incident"]})
    client = Client(HTTP_HOST="localhost")
    client.force_login(get_user_model().objects.get(pk=person.id), backend="malha.foundation.identity.backends.PersonBackend")
    assert client.get(f"/{tenant.slug}/dados/exportar/ficheiro.csv", {"type": "Incident"}).status_code == 200
    assert client.get(f"/{tenant.slug}/dados/exportar/ficheiro.csv", {"type": "AirQualityObserved"}).status_code == 404
    assert client.get(*series_address(tenant, "csv")).status_code == 404
