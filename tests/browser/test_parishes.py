"""Parishes chosen by checkbox: what an agreement gives to another, and what a colleague reaches, is cut at their edge."""

import json
from datetime import date, timedelta

import pytest
from playwright.sync_api import expect

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.agreements import service as agreements
from malha.foundation.database import django as database
from malha.foundation.identity import service as people
from malha.foundation.tenancy import service as tenancy
from malha.kernel.time import now
from malha.vocabulary.territory import service as territory

WEST, EAST = (-8.45, 40.2), (-8.35, 40.2)


def square(name, code, west):
    ring = [[west, 40.1], [west + 0.1, 40.1], [west + 0.1, 40.3], [west, 40.3], [west, 40.1]]
    properties = {"dtmnfr": code, "freguesia": name, "municipio": "Vila das Freguesias", "distrito_ilha": "Coimbra"}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


@pytest.fixture
def town(new_tenant, tmp_path):
    """Two parishes side by side, with a station in each."""
    tenant = new_tenant(name="Vila das Freguesias", extent=[-8.5, 40.1, -8.3, 40.3])
    file = tmp_path / "freguesias.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [square("Poente", "990101", -8.5), square("Nascente", "990102", -8.4)]}))
    with tenancy.scope(tenant.id):
        conn = database.current()
        territory.import_boundaries(conn, tenant.id, file, edition="de ensaio", valid_from=date(2025, 1, 1))
        points = [{"type": "Point", "coordinates": list(at)} for at in (WEST, EAST)]
        columns = [Column("name", ["Escola do Poente", "Fábrica do Nascente"]), Column("pm10", [20.0, 60.0]), Column("location", points, kind="GeoProperty")]
        uris = ["urn:t:AirQualityObserved:poente", "urn:t:AirQualityObserved:nascente"]
        store.upsert_table(conn, tenant.id, EntityTable("AirQualityObserved", uris, columns, observed_at=[now()] * 2))
    return tenant


def test_it_works(page, server, town, new_tenant, sign_in, assert_accessible):
    reader = new_tenant(name="Agência que lê")
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/gestao/acordos/novo/")
    page.get_by_label("Quem pode ler").select_option(str(reader.id))
    page.get_by_role("group", name="Tipos de dados").get_by_label("Qualidade do ar").first.check()
    parish = page.get_by_role("group", name="Só nestes lugares").get_by_label("Poente")
    parish.focus()
    page.keyboard.press("Space")
    expect(parish).to_be_checked()
    page.get_by_label("Para quê").fill("Plano do ar")
    page.get_by_label("Até que dia").fill((now() + timedelta(days=90)).date().isoformat())
    page.get_by_role("button", name="Pôr o acordo em vigor").click()
    page.wait_for_url("**/gestao/acordos/")
    page.get_by_role("link", name="Agência que lê").first.click()
    assert_accessible(page)
    with tenancy.scope(town.id):
        (signed,) = agreements.given(database.current(), town.id)
    west, south, east, north = agreements.describe_area(signed.area)
    assert (round(west, 4), round(south, 4), round(east, 4), round(north, 4)) == (-8.5, 40.1, -8.4, 40.3)

    colleague = people.create_person(f"rui-{town.slug}@exemplo.pt", name="Rui Colega")
    access.grant(colleague.id, town.id, RoleName.ANALYST)
    page.goto(f"{server}/{town.slug}/gestao/pessoas/{colleague.id}/")
    parish = page.get_by_role("group", name="Só nestes lugares").get_by_label("Nascente")
    parish.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Guardar limites").click()
    expect(page.get_by_text("Limites guardados.")).to_be_visible()
    expect(page.get_by_role("group", name="Só nestes lugares").get_by_label("Nascente")).to_be_checked()
    assert_accessible(page)

    sign_in(page, town, person=colleague)
    page.goto(f"{server}/{town.slug}/dados/entidades/AirQualityObserved/")
    expect(page.locator("main")).to_contain_text("Fábrica do Nascente")
    expect(page.locator("main")).not_to_contain_text("Escola do Poente")
