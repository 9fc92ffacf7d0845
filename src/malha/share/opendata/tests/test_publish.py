"""From entities to a public page, its files, its record and its withdrawal, over real requests."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from django.test import Client

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import django as database
from malha.foundation.identity import service as people
from malha.foundation.tenancy import service as tenancy
from malha.share.opendata import service
from malha.share.opendata.contracts import NotReadyToPublish, PublicationState

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ROWS = 12


@pytest.fixture
def tenant(new_tenant):
    tenant = new_tenant(name="Vila Aberta")
    places = [{"type": "Point", "coordinates": [-8.6 + n / 100, 40.6]} for n in range(ROWS)]
    table = EntityTable(
        type="Incident",
        uris=[f"urn:vila:Incident:{n:02}" for n in range(ROWS)],
        columns=[
            Column("category", ["Iluminação Pública"] * (ROWS - 2) + ["Saneamento"] * 2),
            Column("reportedById", [f"pessoa{n}@exemplo.pt" for n in range(ROWS)]),
            Column("location", places, "GeoProperty"),
        ],
        observed_at=[AT] * ROWS,
    )
    with tenancy.scope(tenant.id):
        store.upsert_table(database.current(), tenant.id, table)
    return tenant


@pytest.fixture
def web():
    client = Client(HTTP_HOST="localhost")
    client.raise_request_exception = True
    return client


def prepare(tenant, *, publish=True):
    with tenancy.scope(tenant.id):
        row = service.begin(tenant, "Incident", person_id=None, title="Ocorrências na via pública")
        row.description_pt = "O que as pessoas encontraram na rua e pediram que se resolvesse."
        row.contact_name, row.contact_email = "Câmara de Vila Aberta", "dados@vila.example"
        row.save()
        if publish:
            service.publish(tenant, row, person_id=None, actor="test")
    return row


def body(response):
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_it_works(tenant, web):
    row = prepare(tenant)
    page = web.get(f"/{tenant.slug}/dados-abertos/{row.slug}/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "Ocorrências na via pública" in text
    assert "Creative Commons" in text
    assert "pessoa1@exemplo.pt" not in text
    listing = web.get(f"/{tenant.slug}/dados-abertos/", {"q": "ocorrencias"})
    assert "Ocorrências na via pública" in listing.content.decode()


def test_files_hold_every_row_and_no_column_about_people(tenant, web):
    row = prepare(tenant)
    address = f"/{tenant.slug}/dados-abertos/{row.slug}/dados"
    lines = [line for line in io.StringIO(body(web.get(f"{address}.csv")).decode()) if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    assert [line["id"] for line in rows] == [f"urn:vila:Incident:{n:02}" for n in range(ROWS)]
    assert "reportedById" not in rows[0]
    assert float(rows[3]["longitude"]) == pytest.approx(-8.57)
    features = json.loads(body(web.get(f"{address}.geojson")))["features"]
    assert len(features) == ROWS
    for ending in ("excel.csv", "xlsx", "json", "parquet"):
        response = web.get(f"{address}.{ending}")
        assert response.status_code == 200
        assert b"exemplo.pt" not in body(response)
    assert web.get(f"{address}.exe").status_code == 404
    assert web.head(f"{address}.csv").status_code == 200


def test_it_is_shown_as_it_was_and_not_from_before_it_was_public(tenant, web):
    """A moment after it was published; what the filter leaves out today stays out, as it was too."""
    row = prepare(tenant)
    with tenancy.scope(tenant.id):
        row.filter = 'category!="Retirada"'
        row.save()
    base, then = f"/{tenant.slug}/dados-abertos/{row.slug}/", {"em": datetime.now(UTC).isoformat()}
    with tenancy.scope(tenant.id):
        changed = [("urn:vila:Incident:00", "Jardins"), ("urn:vila:Incident:01", "Retirada")]
        columns = [Column("category", [category for _, category in changed])]
        store.upsert_table(database.current(), tenant.id, EntityTable("Incident", [uri for uri, _ in changed], columns, observed_at=[datetime.now(UTC)] * 2))

    def categories(**asked):
        text = body(web.get(f"{base}dados.csv", asked)).decode()
        lines = csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#"))
        return {one["id"][-2:]: one["category"] for one in lines}

    assert categories()["00"] == "Jardins"
    assert categories(**then)["00"] == "Iluminação Pública"
    assert "01" not in categories(**then)
    page = web.get(base, then).content.decode()
    assert "Está a ver como estava em" in page
    assert "Jardins" not in page
    assert "pessoa1@exemplo.pt" not in page
    spec = json.loads(web.get(f"{base}mapa.json", then).content)
    assert "em=" in spec["layers"][0]["data"]
    before = web.get(base, {"em": AT.isoformat()}).content.decode()
    assert "é público desde" in before
    assert "Está a ver como estava em" not in before


def test_programs_page_through_the_rows(tenant, web):
    row = prepare(tenant)
    first = web.get(f"/{tenant.slug}/dados-abertos/{row.slug}/api", {"limit": 5, "offset": 5}).json()
    assert [line["id"] for line in first["rows"]] == [f"urn:vila:Incident:{n:02}" for n in range(5, 10)]
    assert first["next"].endswith("limit=5&offset=10")
    last = web.get(f"/{tenant.slug}/dados-abertos/{row.slug}/api", {"limit": 5, "offset": 10}).json()
    assert len(last["rows"]) == ROWS - 10
    assert "next" not in last
    assert web.get(f"/{tenant.slug}/dados-abertos/{row.slug}/api", {"limit": "x"}).status_code == 400


def test_the_catalogue_lists_it_with_its_charset(tenant, web):
    row = prepare(tenant)
    response = web.get(f"/{tenant.slug}/catalog.jsonld")
    assert response["Content-Type"] == "application/ld+json; charset=utf-8"
    datasets = response.json()["dcat:dataset"]
    assert [d["@id"] for d in datasets] == [f"http://localhost/{tenant.slug}/dados-abertos/{row.slug}/"]


def test_a_draft_is_not_public_and_an_unfinished_one_cannot_be(tenant, web):
    row = prepare(tenant, publish=False)
    assert web.get(f"/{tenant.slug}/dados-abertos/{row.slug}/").status_code == 404
    assert web.get(f"/{tenant.slug}/catalog.jsonld").json()["dcat:dataset"] == []
    with tenancy.scope(tenant.id):
        row.contact_email = ""
        with pytest.raises(NotReadyToPublish, match="quem responde"):
            service.publish(tenant, row, person_id=None, actor="test")
    assert row.state == PublicationState.DRAFT


def test_a_withdrawn_one_says_so_and_whom_to_ask(tenant, web):
    row = prepare(tenant)
    with tenancy.scope(tenant.id):
        service.withdraw(tenant, row, actor="test", reason="Tinha um erro de origem")
    for end in ("", "dados.csv", "api", "dcat.jsonld"):
        response = web.get(f"/{tenant.slug}/dados-abertos/{row.slug}/{end}")
        assert response.status_code == 410, end
    text = web.get(f"/{tenant.slug}/dados-abertos/{row.slug}/").content.decode()
    assert "Tinha um erro de origem" in text
    assert "dados@vila.example" in text


def test_another_tenant_has_nothing_of_it(tenant, web, new_tenant):
    row = prepare(tenant)
    other = new_tenant()
    assert web.get(f"/{other.slug}/dados-abertos/{row.slug}/").status_code == 404
    assert web.get(f"/{other.slug}/catalog.jsonld").json()["dcat:dataset"] == []


def test_what_leaves_is_seen_before(tenant):
    row = prepare(tenant, publish=False)
    with tenancy.scope(tenant.id):
        leaving = service.leaving(tenant, row)
    assert leaving.count == ROWS
    assert len(leaving.personal) == 1
    assert ("category", "Saneamento", 2) in leaving.small_groups


def test_a_filter_that_is_none_is_said_at_its_field_and_not_kept(tenant):
    from uuid import uuid4

    from django.contrib.auth import get_user_model

    row = prepare(tenant, publish=False)
    person = people.create_person(f"p-{uuid4().hex[:8]}@exemplo.pt", name="Ana")
    access.grant(person.id, tenant.id, RoleName.TENANT_MANAGER)
    browser = Client(HTTP_HOST="localhost")
    browser.force_login(get_user_model().objects.get(pk=person.id))
    place = f"/{tenant.slug}/dados/publicar/{row.pk}/conteudo/"
    said = {"title_pt": "Outro título", "description_pt": row.description_pt, "columns": ["id", "category", "longitude"], "preview": "1"}
    refused = browser.post(place, said | {"filter": "só as da rua direita"})
    assert refused.status_code == 422
    assert "Não se percebe a pergunta q" in refused.content.decode()
    assert "Outro título" in refused.content.decode(), "what was written stays"
    with tenancy.scope(tenant.id):
        row.refresh_from_db()
    assert row.filter == ""
    taken = browser.post(place, said | {"filter": 'category=="Saneamento"'}).content.decode()
    assert "Saem 2 linhas" in taken
    assert "-8,5" in taken, "as the visitor reads it"


def test_a_visitor_reports_an_error_and_a_machine_does_not(tenant, web):
    row = prepare(tenant)
    address = f"/{tenant.slug}/dados-abertos/{row.slug}/erro/"
    web.post(address, {"text": "A terceira linha está no mar.", "email": ""})
    web.post(address, {"text": "Compre já os nossos produtos", "website": "https://spam.example"})
    with tenancy.scope(tenant.id):
        assert [r.text for r in service.reports(tenant, row)] == ["A terceira linha está no mar."]


def test_a_fictitious_town_stands_in_no_catalogue(new_tenant, web):
    demo = new_tenant(is_demo=True)
    assert web.get(f"/{demo.slug}/catalog.jsonld").status_code == 404
    assert web.get(f"/{demo.slug}/dados-abertos/")["X-Robots-Tag"] == "noindex"
