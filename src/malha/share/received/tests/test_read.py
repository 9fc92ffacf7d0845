import json
from datetime import date, timedelta
from uuid import uuid4

import pytest
from django.test import Client

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Grain, RoleName
from malha.foundation.agreements import service as agreements
from malha.foundation.agreements.contracts import NoAgreement, Terms
from malha.foundation.database import django as database
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.kernel.time import now
from malha.share.received import service, taking
from malha.vocabulary.territory import service as territory

INSIDE = {"type": "Polygon", "coordinates": [[[-9, 40], [-8, 40], [-8, 41], [-9, 41], [-9, 40]]]}


@pytest.fixture
def giver(new_tenant):
    """A town with two stations, of which one lies inside the area."""
    tenant = new_tenant(name="Vila do Ar", extent=[-9, 40, -8, 41], centre=[-8.5, 40.5])
    places = [{"type": "Point", "coordinates": [-8.5, 40.5]}, {"type": "Point", "coordinates": [-7.5, 40.5]}]
    table = EntityTable(
        type="AirQualityObserved",
        uris=["urn:t:AirQualityObserved:a", "urn:t:AirQualityObserved:b"],
        columns=[Column("pm10", [21.5, 40.0]), Column("no2", [11.0, 12.0]), Column("location", places, kind="GeoProperty")],
        observed_at=[now() - timedelta(hours=3)] * 2,
    )
    with tenancy.scope(tenant.id):
        store.upsert_table(database.current(), tenant.id, table)
    return tenant


def signed(tenant, role):
    """A browser signed in as somebody with that role."""
    card = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Rui")
    access.grant(card.id, tenant.id, role)
    browser = Client(headers={"host": "localhost"})
    browser.force_login(Person.objects.get(pk=card.id))
    return browser


def agree(giver, reader, **changes):
    terms = Terms(**{"types": ("AirQualityObserved",), "purpose": "Plano do ar", "until": now() + timedelta(days=5)} | changes)
    with tenancy.scope(giver.id):
        return agreements.sign(database.current(), giver.id, reader.id, terms, by="person:1")


def read(giver, reader, agreement, wanted="AirQualityObserved"):
    with tenancy.scope(giver.id):
        return service.read(database.current(), agreement, giver_id=giver.id, grantee_id=reader.id, reader="person:7", type=wanted)


def test_it_works(giver, new_tenant):
    reader = new_tenant()
    seen = read(giver, reader, agree(giver, reader))
    assert seen.total == 2
    assert {row[0] for row in seen.rows} == {"urn:t:AirQualityObserved:a", "urn:t:AirQualityObserved:b"}
    assert {"pm10", "no2"} <= set(seen.columns)


def test_terms_hold(giver, new_tenant):
    reader = new_tenant()
    seen = read(giver, reader, agree(giver, reader, attributes=("pm10",), area=INSIDE))
    assert (seen.columns, seen.rows) == (("pm10",), [("urn:t:AirQualityObserved:a", 21.5)])
    with pytest.raises(NoAgreement):
        read(giver, reader, agree(giver, reader), wanted="NoiseLevelObserved")


def test_a_coarse_grain_shows_averages_only(giver, new_tenant):
    reader = new_tenant()
    seen = read(giver, reader, agree(giver, reader, grain=Grain.DAY, attributes=("pm10",)))
    assert [row[1] for row in seen.rows] == [pytest.approx(30.75)]
    assert not any("urn:" in str(cell) for row in seen.rows for cell in row)


def test_an_ended_agreement_shows_nothing(giver, new_tenant):
    reader = new_tenant()
    agreement = agree(giver, reader)
    read(giver, reader, agreement)
    with tenancy.scope(giver.id):
        agreements.end(database.current(), giver.id, agreement, by="person:1")
    with pytest.raises(NoAgreement):
        read(giver, reader, agreement)


def test_the_page_shows_it_and_the_giver_sees_who_read(giver, new_tenant):
    reader = new_tenant(name="Comunidade")
    agreement = agree(giver, reader, attributes=("pm10",))
    card = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Rui Leitor")
    access.grant(card.id, reader.id, RoleName.VIEWER)
    browser = Client(headers={"host": "localhost"})
    browser.force_login(Person.objects.get(pk=card.id))
    assert "Vila do Ar" in browser.get(f"/{reader.slug}/dados/partilhados/").content.decode()
    page = browser.get(f"/{reader.slug}/dados/partilhados/{giver.id}/{agreement}/")
    assert "21,5" in page.content.decode()
    assert "urn:t:AirQualityObserved:a" in page.content.decode()
    with tenancy.scope(giver.id):
        assert [one.reader for one in agreements.readings(database.current(), giver.id, agreement)] == [f"person:{card.id}"]
        agreements.end(database.current(), giver.id, agreement, by="person:1")
    assert browser.get(f"/{reader.slug}/dados/partilhados/{giver.id}/{agreement}/").status_code == 404
    assert browser.get(f"/{giver.slug}/dados/entidades/").status_code == 403


def test_it_leaves_as_a_file_within_the_terms(giver, new_tenant, monkeypatch):
    monkeypatch.setattr(taking, "PAGE", 1)
    reader = new_tenant(name="Comunidade")
    agreement = agree(giver, reader, attributes=("pm10",))
    card = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Rui Analista")
    access.grant(card.id, reader.id, RoleName.ANALYST)
    browser = Client(headers={"host": "localhost"})
    browser.force_login(Person.objects.get(pk=card.id))
    place = f"/{reader.slug}/dados/partilhados/{giver.id}/{agreement}/"
    assert f"{place}ficheiro.csv?tipo=AirQualityObserved" in browser.get(place).content.decode()
    lines = b"".join(browser.get(f"{place}ficheiro.csv")).decode().splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    assert rows[0] == "id,pm10"
    assert sorted(rows[1:]) == ["urn:t:AirQualityObserved:a,21.5", "urn:t:AirQualityObserved:b,40.0"]
    assert any("Plano do ar" in line for line in lines if line.startswith("#"))
    for ending in ("excel.csv", "xlsx", "json", "parquet", "pdf"):
        assert len(b"".join(browser.get(f"{place}ficheiro.{ending}"))) > 100
    assert browser.get(f"{place}ficheiro.geojson").status_code == 404
    with tenancy.scope(giver.id):
        assert {one.reader for one in agreements.readings(database.current(), giver.id, agreement)} == {f"person:{card.id}"}
        agreements.end(database.current(), giver.id, agreement, by="person:1")
    assert browser.get(f"{place}ficheiro.csv").status_code == 404


def test_an_agreement_by_parish_says_its_name(giver, new_tenant, tmp_path):
    """Who gives and who reads see the names of the places that were chosen, not degrees."""
    square = {"type": "Polygon", "coordinates": INSIDE["coordinates"]}
    facts = {"dtmnfr": "990101", "freguesia": "Ribeira", "municipio": "Vila do Ar", "distrito_ilha": "Coimbra"}
    path = tmp_path / "freguesias.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature", "properties": facts, "geometry": square}]}))
    with tenancy.scope(giver.id):
        assert territory.import_boundaries(database.current(), giver.id, path, edition="2025", valid_from=date(2025, 1, 1)).taken["parish"] == 1
    reader = new_tenant(name="CIM que lê")
    browser = signed(giver, RoleName.TENANT_MANAGER)
    form = {
        "grantee": reader.id,
        "types": ["AirQualityObserved"],
        "places": ["990101"],
        "grain": "raw",
        "purpose": "Plano do ar",
        "until": (now() + timedelta(days=5)).date(),
    }
    page = browser.post(f"/{giver.slug}/gestao/acordos/novo/", form, follow=True).content.decode()
    assert "Ribeira" in page
    with tenancy.scope(giver.id):
        (made,) = agreements.given(database.current(), giver.id)
    page = browser.get(f"/{giver.slug}/gestao/acordos/{made.id}/").content.decode()
    assert "<dd>Ribeira</dd>" in page
    assert "de longitude" not in page
    assert "Ribeira" in signed(reader, RoleName.ANALYST).get(f"/{reader.slug}/dados/partilhados/").content.decode()
