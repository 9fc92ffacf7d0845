"""People who may see a part of a tenant: *Hoje*, the map, alarms and indicators show that part and no more."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable, StoredEntity
from malha.foundation.access import reach
from malha.foundation.access import service as access
from malha.foundation.access.contracts import BeyondReach, Grain, Reach, RoleName
from malha.foundation.database import django as scoped
from malha.foundation.identity import invitations
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.foundation.mail import service as mail
from malha.foundation.tenancy import service as tenancy
from malha.history.temporal import service as temporal
from malha.insight.alerts import service as alerts
from malha.insight.alerts.contracts import Heard, Rule, RuleKind
from malha.kernel.time import now
from malha.packs.registry import service as packs
from malha.share.opendata import service as opendata

WEST = {"type": "Polygon", "coordinates": [[[-9, 40], [-8, 40], [-8, 41], [-9, 41], [-9, 40]]]}
STATIONS = {"urn:t:AirQualityObserved:oeste": ("Escola do Oeste", -8.5, 20.0), "urn:t:AirQualityObserved:leste": ("Fábrica do Leste", -7.5, 60.0)}
RIVER = "urn:t:FloodMonitoring:ponte"


@pytest.fixture
def town(new_tenant):
    """Two stations, one in the west; a river in the west; the packs of both subjects; an alarm of each thing."""
    tenant = new_tenant(name="Vila Partida", extent=(-9.0, 40.0, -7.0, 41.0))
    with tenancy.scope(tenant.id):
        conn = scoped.current()
        packs.switch_on(conn, tenant.id, "air_noise")
        packs.switch_on(conn, tenant.id, "civil_protection")
        places = [{"type": "Point", "coordinates": [lon, 40.5]} for _, lon, _ in STATIONS.values()]
        names = [name for name, _, _ in STATIONS.values()]
        air = [Column("pm10", [value for _, _, value in STATIONS.values()]), Column("name", names), Column("location", places, kind="GeoProperty")]
        moment = now() - timedelta(minutes=5)
        store.upsert_table(conn, tenant.id, EntityTable("AirQualityObserved", list(STATIONS), air, observed_at=[moment] * 2))
        river = [Column("currentLevel", [1.25]), Column("name", ["Ponte Velha"]), Column("location", places[:1], kind="GeoProperty")]
        store.upsert_table(conn, tenant.id, EntityTable("FloodMonitoring", [RIVER], river, observed_at=[moment]))
        for entity_type, attribute, uris in (("AirQualityObserved", "pm10", list(STATIONS)), ("FloodMonitoring", "currentLevel", [RIVER])):
            rule = Rule(0, tenant.id, f"Regra {attribute}", RuleKind.THRESHOLD, entity_type, attribute, bound=1.0, unit="GQ")
            saved = replace(rule, id=alerts.save_rule(conn, rule))
            alerts.evaluate(conn, saved, [Heard(uri, moment, 50.0) for uri in uris], now=now(), live=True)
    return tenant


def member(tenant, role, scope=None):
    """A person with a role, and their browser."""
    person = people.create_person(f"p-{uuid4().hex[:10]}@exemplo.pt", name="Olga")
    access.grant(person.id, tenant.id, role, scope)
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(Person.objects.get(pk=person.id))
    return person, browser


def enter(tenant, scope):
    return member(tenant, RoleName.OPERATOR, scope)[1]


def shown(browser, tenant, path):
    answer = browser.get(f"/{tenant.slug}/{path}")
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_it_works(town):
    everything = enter(town, {})
    home = shown(everything, town, "")
    assert "Ponte Velha" in home
    assert "Fábrica do Leste" in home
    assert "PM10, média de 24 h" in home
    categories = enter(town, {"categories": ["protecao-civil"]})
    home = shown(categories, town, "")
    assert "Ponte Velha" in home
    assert "Ribeiras, nível mais alto" in home
    for hidden in ("Fábrica do Leste", "Escola do Oeste", "PM10", "Regra pm10"):
        assert hidden not in home, hidden


def test_an_area_is_kept_to(town):
    west = enter(town, {"area": WEST, "places": ["Oeste"]})
    home = shown(west, town, "")
    assert "Escola do Oeste" in home
    assert "Fábrica do Leste" not in home
    layer = json.loads(shown(west, town, "mapa/camadas.geojson?camadas=ar"))
    assert [one["properties"]["name"] for one in layer["layers"]["ar"]] == ["Escola do Oeste"]
    cards = shown(west, town, "indicadores/cartoes/")
    assert ">20" in cards
    assert "<time" in cards, "what speaks inside the area is no silence"
    assert "Fábrica do Leste" not in shown(west, town, "agir/alarmes/")
    assert json.loads(shown(west, town, "agir/sino/"))["alarms"] == 2


def test_the_past_is_kept_to_as_well(town):
    """What somebody may see of an area or of a type, they see as it was, and no more; somebody who may see sums only, no single value."""
    asked = f"em={(now() - timedelta(minutes=1)).isoformat().replace('+', '%2B')}&saber=hoje"
    west, river = enter(town, {"area": WEST, "places": ["Oeste"]}), enter(town, {"types": ["FloodMonitoring"]})
    listed = shown(west, town, f"dados/entidades/AirQualityObserved/?{asked}")
    assert "Escola do Oeste" in listed
    assert "Fábrica do Leste" not in listed
    layer = json.loads(shown(west, town, f"mapa/camadas/ar.geojson?{asked}"))
    assert [one["properties"]["name"] for one in layer["features"]] == ["Escola do Oeste"]
    home = shown(river, town, f"?{asked}")
    assert "Regra currentLevel" in home
    assert "Regra pm10" not in home
    assert river.get(f"/{town.slug}/dados/entidades/AirQualityObserved/?{asked}").status_code == 404
    with reach.limited((Reach(types=frozenset({"AirQualityObserved"}), grain=Grain.HOUR),)), tenancy.scope(town.id):
        thing = StoredEntity(1, town.id, next(iter(STATIONS)), ("AirQualityObserved",), {"pm10": {}}, None, now(), now())
        with pytest.raises(BeyondReach):
            temporal.states(town.id, [thing], now(), known=False)


def test_what_lies_beyond_is_not_there(town):
    river = enter(town, {"types": ["FloodMonitoring"]})
    with tenancy.scope(town.id):
        air = next(one for one in alerts.alarms(scoped.current(), town.id) if one.type == "AirQualityObserved")
    assert river.get(f"/{town.slug}/agir/alarmes/{air.id}/").status_code == 404
    assert river.post(f"/{town.slug}/agir/alarmes/{air.id}/fazer/", {"fazer": "ficar"}).status_code == 404
    assert river.get(f"/{town.slug}/mapa/camadas/ar.geojson").status_code == 404
    spec = json.loads(shown(river, town, "mapa/camadas.json"))
    assert {one["type"] for one in spec["layers"]} == {"FloodMonitoring"}
    assert "Escola do Oeste" not in shown(river, town, "hoje/registos/")


def test_values_over_time_leave_within_the_area(town):
    """The export is walked after the page was answered, and keeps to the reach all the same."""
    _, west = member(town, RoleName.ANALYST, {"area": WEST})
    asked = west.get(f"/{town.slug}/dados/exportar/serie.csv?type=AirQualityObserved&attribute=pm10&dias=1")
    said = b"".join(asked.streaming_content).decode()
    assert "urn:t:AirQualityObserved:oeste" in said
    assert "leste" not in said


def values(browser, tenant):
    """The figures on the cards, without decimals."""
    found = re.findall(r'class="figure">([\d.]+)', shown(browser, tenant, "indicadores/cartoes/"))
    assert found
    return found


def test_one_reader_is_not_shown_what_was_worked_out_for_another(town):
    """Boards are remembered: by tenant for those who see all, and apart for each reach."""
    everything, west = enter(town, {}), enter(town, {"area": WEST})
    whole, part = values(everything, town), values(west, town)
    assert "40" in whole  # the mean of 20 and 60
    assert "20" in part
    assert "40" not in part
    assert values(everything, town) == whole


def test_limits_what_a_colleague_reaches(town):
    manager, browser = member(town, RoleName.TENANT_MANAGER)
    colleague, theirs = member(town, RoleName.OPERATOR)
    page = f"/{town.slug}/gestao/pessoas/{colleague.id}/"
    assert "Proteção civil" in browser.get(page).content.decode()
    browser.post(page, {"action": "limits", "categories": ["protecao-civil"]})
    assert access.reach_of(colleague.id, town.id)[0].types >= {"FloodMonitoring"}
    assert "só Proteção civil" in browser.get(f"/{town.slug}/gestao/pessoas/").content.decode()
    assert theirs.get(f"/{town.slug}/").status_code == 200
    browser.post(page, {"action": "limits"})
    assert access.reach_of(colleague.id, town.id) is None
    browser.post(f"/{town.slug}/gestao/pessoas/{manager.id}/", {"action": "limits", "categories": ["protecao-civil"]})
    assert access.reach_of(manager.id, town.id) is None, "who runs the service sees all of it"


def test_an_invitation_carries_its_limits(town):
    _, browser = member(town, RoleName.TENANT_MANAGER)
    email = f"novo-{uuid4().hex[:8]}@exemplo.pt"
    asked = {"email": email, "role": "operator", "categories": ["protecao-civil"]}
    assert browser.post(f"/{town.slug}/gestao/pessoas/convidar/", asked).status_code == 302
    secret = mail.kept(email)[0].body.split("/conta/convite/")[1].split("/")[0]
    person = people.create_person(email, name="Nova")
    with tenancy.scope(town.id):
        invitations.accept(town.id, secret, Person.objects.get(pk=person.id))
    assert access.reach_of(person.id, town.id)[0].types >= {"FloodMonitoring"}
    refused = browser.post(f"/{town.slug}/gestao/pessoas/convidar/", asked | {"email": "x@exemplo.pt", "role": "tenant_manager"})
    assert "vê tudo" in refused.content.decode()


def test_a_publisher_of_one_dataset_publishes_no_other(town):
    _, browser = member(town, RoleName.TENANT_MANAGER)
    with tenancy.scope(town.id):
        one, other = (opendata.begin(town, kind, person_id=None) for kind in ("FloodMonitoring", "FloodMonitoring"))
    publisher, theirs = member(town, RoleName.PUBLISHER)
    browser.post(f"/{town.slug}/gestao/pessoas/{publisher.id}/", {"action": "limits", "datasets": [one.slug]})
    found = [theirs.get(f"/{town.slug}" + reverse("opendata_publish:content", args=[row.pk])).status_code for row in (one, other)]
    assert found == [200, 403]
