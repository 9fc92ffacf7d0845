"""Readers by agreement, and people and programs that may see a part of a tenant: each door of the plane gives that part and no more."""

from __future__ import annotations

import math
import time
import warnings
from datetime import timedelta

import mapbox_vector_tile
import pytest
from django.conf import settings
from django.test import Client

from malha.context.broker import auth, pool
from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, Grain, RoleName
from malha.foundation.agreements import service as agreements
from malha.foundation.agreements.contracts import Terms
from malha.foundation.database import django as scoped
from malha.foundation.database import service as database
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import OrganisationKind
from malha.foundation.tokens import service as tokens
from malha.kernel.time import format_instant, now
from malha.project import plane
from malha.vocabulary.models import policy

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

INSIDE = {"type": "Polygon", "coordinates": [[[-9, 40], [-8, 40], [-8, 41], [-9, 41], [-9, 40]]]}
AIR = "AirQualityObserved"
A, B, NOISE, PARK = "urn:t:AirQualityObserved:a", "urn:t:AirQualityObserved:b", "urn:t:NoiseLevelObserved:n", "urn:t:AirQualityObserved:campo"
READ = (Capability.DATA_READ,)


@pytest.fixture
def plane_client():
    auth.forget()
    with TestClient(plane.application(), base_url="http://localhost") as made:
        yield made
    pool.close()


@pytest.fixture
def giver(new_tenant):
    """Two stations of which one lies inside the area, a field across its border, and a microphone."""
    tenant = new_tenant(name="Vila do Ar")
    spots = [{"type": "Point", "coordinates": [-8.5, 40.5]}, {"type": "Point", "coordinates": [-7.5, 40.5]}]
    spots.append({"type": "Polygon", "coordinates": [[[-8.2, 40.2], [-7.8, 40.2], [-7.8, 40.4], [-8.2, 40.4], [-8.2, 40.2]]]})
    air = EntityTable(
        type=AIR,
        uris=[A, B, PARK],
        columns=[Column("pm10", [21.5, 40.0, 5.0]), Column("no2", [11.0, 12.0, 13.0]), Column("location", spots, kind="GeoProperty")],
        observed_at=[now() - timedelta(hours=3)] * 3,
    )
    noise = EntityTable("NoiseLevelObserved", [NOISE], [Column("LAeq", [61.0]), Column("location", spots[:1], kind="GeoProperty")])
    with tenancy.scope(tenant.id):
        store.upsert_table(scoped.current(), tenant.id, air)
        store.upsert_table(scoped.current(), tenant.id, noise)
    return tenant


def agree(giver, reader, **changes):
    terms = Terms(**{"types": (AIR,), "purpose": "Plano do ar", "until": now() + timedelta(days=5)} | changes)
    with tenancy.scope(giver.id):
        return agreements.sign(scoped.current(), giver.id, reader.id, terms, by="person:1")


def end(giver, agreement):
    with tenancy.scope(giver.id):
        agreements.end(scoped.current(), giver.id, agreement, by="person:1")


def readings(giver, agreement):
    with tenancy.scope(giver.id):
        return [(one.reader, one.what) for one in agreements.readings(scoped.current(), giver.id, agreement)]


def bearer(*tenants, subject="client:cim", capabilities=READ, **more):
    with database.connect(autocommit=True) as conn:
        made = tokens.issue(conn, settings.SECRET_KEY, subject=subject, tenants=[one.id for one in tenants], capabilities=capabilities, **more)
    return {"Authorization": f"Bearer {made}"}


def ask(client, giver, path, headers, **params):
    return client.get(f"/{giver.slug}/{path}", headers=headers, params=params)


def uris(answer):
    assert answer.status_code == 200, answer.text
    return {entity["id"] for entity in answer.json()}


def square(lon, lat, z=6):
    x = int((lon + 180) / 360 * 2**z)
    y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z)
    return f"tiles/entities/{AIR}/{z}/{x}/{y}.mvt"


def drawn(answer):
    if answer.status_code == 204:
        return {}
    assert answer.status_code == 200, answer.text
    features = mapbox_vector_tile.decode(answer.content)["entities"]["features"]
    return {one["properties"]["uri"]: one["properties"] for one in features}


def test_it_works(plane_client, giver, new_tenant):
    reader = new_tenant(name="Comunidade", kind=OrganisationKind.INTERMUNICIPAL_COMMUNITY)
    headers = bearer(reader)
    assert ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR).status_code == 403
    agreement = agree(giver, reader, attributes=("pm10", "location"), area=INSIDE)
    answer = ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR, count="true")
    assert uris(answer) == {A, PARK}
    assert answer.headers["NGSILD-Results-Count"] == "2"
    assert all(set(entity) - {"id", "type", "@context"} <= {"pm10", "location"} for entity in answer.json())
    assert readings(giver, agreement) == [("client:cim", f"{AIR} · GET /ngsi-ld/v1/entities")]


def test_the_area_cuts_shapes(plane_client, giver, new_tenant):
    reader = new_tenant()
    agree(giver, reader, area=INSIDE)
    field = ask(plane_client, giver, f"ngsi-ld/v1/entities/{PARK}", bearer(reader)).json()
    assert max(point[0] for point in field["location"]["value"]["coordinates"][0]) == -8


def test_every_question_stays_within_the_terms(plane_client, giver, new_tenant):
    reader = new_tenant()
    agree(giver, reader, attributes=("pm10", "location"), area=INSIDE)
    headers = bearer(reader)
    assert ask(plane_client, giver, f"ngsi-ld/v1/entities/{B}", headers).status_code == 404
    assert ask(plane_client, giver, f"ngsi-ld/v1/entities/{NOISE}", headers).status_code == 404
    assert uris(ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type="NoiseLevelObserved")) == set()
    assert uris(ask(plane_client, giver, "ngsi-ld/v1/entities", headers, id=f"{A},{B},{NOISE}", local="true")) == {A}
    assert ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR, q="no2>11").status_code == 403
    assert uris(ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR, q="pm10>30")) == set()
    assert ask(plane_client, giver, "ngsi-ld/v1/types", headers).json()["typeList"] == [AIR]
    assert set(ask(plane_client, giver, "ngsi-ld/v1/attributes", headers).json()["attributeList"]) == {"pm10", "location"}
    body = plane_client.post(
        f"/{giver.slug}/ngsi-ld/v1/entityOperations/query", headers=headers, json={"type": "Query", "entities": [{"type": AIR}, {"type": "NoiseLevelObserved"}]}
    )
    assert uris(body) == {A, PARK}
    assert ask(plane_client, giver, "events/stream", headers).status_code == 403
    written = plane_client.patch(
        f"/{giver.slug}/ngsi-ld/v1/entities/{A}", headers=bearer(reader, capabilities=(*READ, Capability.DATA_WRITE)), json={"pm10": 1}
    )
    assert written.status_code == 403


def test_tiles_stay_within_the_terms(plane_client, giver, new_tenant):
    reader = new_tenant()
    agree(giver, reader, attributes=("pm10", "location"), area=INSIDE)
    west, east = drawn(ask(plane_client, giver, square(-8.5, 40.5), bearer(reader))), drawn(ask(plane_client, giver, square(-7.5, 40.5), bearer(reader)))
    assert set(west | east) == {A, PARK}
    assert set((west | east)[A]) == {"uri", "pm10"}
    whole = drawn(ask(plane_client, giver, square(-7.5, 40.5), bearer(giver))) | drawn(ask(plane_client, giver, square(-8.5, 40.5), bearer(giver)))
    assert set(whole) == {A, B, PARK}
    assert "no2" in whole[A]
    hidden = new_tenant()
    agree(giver, hidden, attributes=("pm10",))
    assert ask(plane_client, giver, square(-8.5, 40.5), bearer(hidden)).status_code == 403  # where things stand is not in the terms


def test_a_coarse_grain_gives_averages_only(plane_client, giver, new_tenant):
    reader = new_tenant()
    agreement = agree(giver, reader, grain=Grain.HOUR, attributes=("pm10",), area=INSIDE)
    headers = bearer(reader)
    period = {"timerel": "between", "timeAt": format_instant(now() - timedelta(days=1)), "endTimeAt": format_instant(now())}
    chart = {"type": AIR, "start": period["timeAt"], "end": period["endTimeAt"]}
    assert uris(ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR)) == set()
    assert ask(plane_client, giver, f"ngsi-ld/v1/entities/{A}", headers).status_code == 404
    assert ask(plane_client, giver, square(-8.5, 40.5), headers).status_code in {204, 403}
    assert ask(plane_client, giver, f"ngsi-ld/v1/temporal/entities/{A}", headers, **period).status_code == 403
    assert ask(plane_client, giver, "history/series", headers, **chart, attribute="pm10", grain="raw").status_code == 403
    assert ask(plane_client, giver, "history/series", headers, **chart, attribute="no2", grain="hour").status_code == 403
    averages = ask(plane_client, giver, "history/series", headers, **chart, attribute="pm10", grain="hour")
    assert averages.status_code == 200, averages.text
    assert "13.25" in averages.text  # of 21.5 and 5.0: the station outside of the area does not count
    summed = ask(
        plane_client, giver, f"ngsi-ld/v1/temporal/entities/{A}", headers, **period, aggrMethods="avg", aggrPeriodDuration="PT1H", options="aggregatedValues"
    )
    assert summed.status_code == 200, summed.text
    assert "21.5" in summed.text
    assert "11.0" not in summed.text
    assert ask(plane_client, giver, f"ngsi-ld/v1/temporal/entities/{B}", headers, **period, aggrMethods="avg", aggrPeriodDuration="PT1H").status_code == 404
    assert {what.partition(" · ")[0] for _, what in readings(giver, agreement)} == {AIR}


def test_the_past_stays_within_the_terms(plane_client, giver, new_tenant):
    reader = new_tenant()
    agree(giver, reader, attributes=("pm10",), area=INSIDE)
    period = {"timerel": "between", "timeAt": format_instant(now() - timedelta(days=1)), "endTimeAt": format_instant(now())}
    past = ask(plane_client, giver, f"ngsi-ld/v1/temporal/entities/{A}", bearer(reader), **period)
    assert past.status_code == 200, past.text
    assert set(past.json()) - {"@context"} == {"id", "type", "pm10"}
    assert ask(plane_client, giver, f"ngsi-ld/v1/temporal/entities/{B}", bearer(reader), **period).status_code == 404


def test_it_ends_at_once_and_is_for_one_reader(plane_client, giver, new_tenant):
    reader, third = new_tenant(), new_tenant()
    agreement, headers = agree(giver, reader), bearer(reader)
    assert uris(ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR)) == {A, B, PARK}
    assert ask(plane_client, giver, "ngsi-ld/v1/entities", bearer(third), type=AIR).status_code == 403
    assert ask(plane_client, giver, "ngsi-ld/v1/entities", bearer(reader, types=["NoiseLevelObserved"]), type=AIR).status_code == 403
    end(giver, agreement)
    assert ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR).status_code == 403
    assert len(readings(giver, agreement)) == 1


def test_attributes_about_people_never_leave(plane_client, new_tenant):
    giver, reader = new_tenant(), new_tenant()
    kind = "Incident"
    with tenancy.scope(giver.id):
        store.upsert_table(scoped.current(), giver.id, EntityTable(kind, ["urn:t:Incident:1"], [Column("title", ["Buraco"]), Column("reportedBy", ["Ana"])]))
    agree(giver, reader, types=(kind,))
    from malha.vocabulary.models import service as models

    personal = {prop.name for prop in models.get(kind, giver.id).properties if prop.personal}
    seen = ask(plane_client, giver, "ngsi-ld/v1/entities", bearer(reader), type=kind).json()
    assert len(seen) == 1
    assert personal.isdisjoint(seen[0])


# -- roles and programs that are limited to a part ------------------------------------------------------------------


@pytest.fixture
def somebody(giver):
    """A person with a role in the giver, limited as the test says, with their browser and their token for the plane."""

    def make(role=RoleName.ANALYST, **scope):
        card = people.create_person(f"{time.monotonic_ns()}@exemplo.pt", name="Rui")
        access.grant(card.id, giver.id, role, scope)
        browser = Client(HTTP_HOST="localhost")
        browser.force_login(Person.objects.get(pk=card.id))
        browser.get(f"/{giver.slug}/dados/entidades/")
        return card, browser, {"Authorization": f"Bearer {browser.cookies['malha_plane'].value}"}

    return make


def test_a_role_of_an_area_sees_the_area(plane_client, giver, somebody):
    _card, browser, headers = somebody(area=INSIDE, places=["Freguesia de Dentro"])
    assert uris(ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR)) == {A, PARK}
    assert set(drawn(ask(plane_client, giver, square(-7.5, 40.5), headers))) <= {A, PARK}
    page = browser.get(f"/{giver.slug}/dados/entidades/{AIR}/").content.decode()
    assert A in page or "21,5" in page
    assert B not in page
    assert browser.get(f"/{giver.slug}/dados/entidades/{AIR}/registo/", {"id": B}).status_code == 404


def test_a_role_of_a_category_sees_its_types(plane_client, giver, somebody):
    _card, browser, headers = somebody(categories=["ruido"])
    from malha.vocabulary.models import service as models

    theme = models.get("NoiseLevelObserved", giver.id).theme
    _card, browser, headers = somebody(categories=[theme], types=["NoiseLevelObserved"])
    assert NOISE in uris(ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type="NoiseLevelObserved"))
    assert browser.get(f"/{giver.slug}/dados/entidades/OffStreetParking/").status_code == 404


def test_taking_a_role_away_ends_what_its_token_reads(plane_client, giver, somebody):
    card, _browser, headers = somebody()
    assert ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR).status_code == 200
    access.revoke(card.id, giver.id)
    time.sleep(tokens.REVOKED_SECONDS + 0.1)
    assert ask(plane_client, giver, "ngsi-ld/v1/entities", headers, type=AIR).status_code == 401


def test_a_token_does_not_outlive_the_role(giver):
    card = people.create_person(f"{time.monotonic_ns()}@exemplo.pt", name="Eva")
    access.grant(card.id, giver.id, RoleName.SUPPLIER, until=now() + timedelta(seconds=90))
    browser = Client(HTTP_HOST="localhost")
    browser.force_login(Person.objects.get(pk=card.id))
    browser.get(f"/{giver.slug}/dados/entidades/")
    with database.connect(autocommit=True) as conn:
        said = tokens.verify(conn, browser.cookies["malha_plane"].value)
    assert said.expires_at <= now() + timedelta(seconds=91)


def test_a_program_writes_within_its_attributes_and_area(plane_client, giver):
    with tenancy.scope(giver.id):
        machine, _secret = people.create_machine(
            giver.id, name="Estações", capabilities=[*READ, Capability.DATA_WRITE], types=[AIR], scope={"attributes": ["pm10", "location"], "area": INSIDE}
        )
    headers = bearer(giver, subject=f"client:{machine.client_id}", capabilities=[*READ, Capability.DATA_WRITE], types=[AIR], scoped=True)
    here = f"/{giver.slug}/ngsi-ld/v1/entities"
    assert plane_client.patch(f"{here}/{A}/attrs", headers=headers, json={"pm10": {"type": "Property", "value": 9}}).status_code == 204
    assert plane_client.patch(f"{here}/{A}/attrs", headers=headers, json={"no2": {"type": "Property", "value": 9}}).status_code in {207, 403}
    assert plane_client.delete(f"{here}/{A}", headers=headers).status_code == 403
    fresh = {"id": "urn:t:AirQualityObserved:z", "type": AIR, "pm10": {"type": "Property", "value": 1}}
    place = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-7.5, 40.5]}}
    assert plane_client.post(here, headers=headers, json={**fresh, "location": place}).status_code == 403
    place["value"]["coordinates"][0] = -8.5
    assert plane_client.post(here, headers=headers, json={**fresh, "location": place}).status_code == 201
    known = ask(plane_client, giver, f"ngsi-ld/v1/entities/{A}", bearer(giver)).json()
    assert (known["pm10"]["value"], known["no2"]["value"]) == (9, 11)


@pytest.fixture
def strict(giver):
    """What is written is held to its model."""
    policy.forget()
    with tenancy.scope(giver.id):
        policy.set_rule(scoped.current(), giver.id, "", policy.Rule(policy.Mode.ENFORCE))
    yield giver
    policy.forget()


def test_what_a_program_may_not_see_does_not_lack_when_it_writes(plane_client, strict):
    whole = {
        "id": "urn:t:AirQualityObserved:w", "type": AIR, "pm10": 5, "name": "Rossio", "dataProvider": "Câmara", "refPointOfInterest": "urn:t:PointOfInterest:1",
        "dateObserved": "2026-03-01T00:00:00Z", "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.5, 40.5]}},
        "address": {"type": "Property", "value": {"addressLocality": "Aveiro", "addressRegion": "Centro", "district": "Aveiro"}},
    }  # fmt: skip
    here, both = f"/{strict.slug}/ngsi-ld/v1/entities", [*READ, Capability.DATA_WRITE]
    made = plane_client.post(here, headers=bearer(strict, capabilities=both), json=whole)
    assert made.status_code == 201, made.text
    with tenancy.scope(strict.id):
        machine, _secret = people.create_machine(strict.id, name="Estações", capabilities=both, types=[AIR], scope={"attributes": ["pm10", "location"]})
    limited = bearer(strict, subject=f"client:{machine.client_id}", capabilities=both, types=[AIR], scoped=True)
    written = plane_client.patch(f"{here}/{whole['id']}/attrs", headers=limited, json={"pm10": {"type": "Property", "value": 9}})
    assert written.status_code == 204, written.text
    batch = f"/{strict.slug}/ngsi-ld/v1/entityOperations/update"
    assert plane_client.post(batch, headers=limited, json=[{"id": whole["id"], "type": AIR, "pm10": 10}]).status_code == 204
    refused = plane_client.patch(f"{here}/{whole['id']}/attrs", headers=limited, json={"pm10": {"type": "Property", "value": "-"}})
    assert [one["property"] for one in refused.json()["findings"]] == ["pm10"]
    kept = plane_client.get(f"{here}/{whole['id']}", headers=bearer(strict)).json()
    assert (kept["pm10"]["value"], kept["dataProvider"]["value"]) == (10, "Câmara")


def test_nobody_asks_through_a_link_about_what_they_may_not_read(plane_client, giver):
    here = f"/{giver.slug}/ngsi-ld/v1"
    both = [*READ, Capability.DATA_WRITE]
    whole, types = bearer(giver, capabilities=both), bearer(giver, capabilities=both, types=["Carta"])
    made = [
        {"id": "urn:t:Incident:1", "type": "Incident", "notes": "912345678", "category": "Ruído"},
        {"id": "urn:t:Carta:1", "type": "Carta", "sobre": {"type": "Relationship", "object": "urn:t:Incident:1"}},
    ]
    assert plane_client.post(f"{here}/entityOperations/upsert", headers=whole, json=made).status_code == 201
    for path in (f"{here}/entities", f"{here}/temporal/entities"):
        past = {"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"} if "temporal" in path else {"join": "inline", "joinLevel": "2"}

        def asked(headers, q, path=path, past=past):
            return plane_client.get(path, headers=headers, params={"type": "Carta", "q": q, **past})

        assert asked(types, 'sobre{category}=="Ruído"').status_code in {400, 403}
        assert asked(whole, 'sobre{notes}~="^91"').status_code in {400, 403}
    told = {"type": "Subscription", "entities": [{"type": "Carta"}], "notification": {"endpoint": {"uri": "https://example.org/x"}, "join": "inline"}}
    for headers, q in ((types, 'sobre{category}=="Ruído"'), (whole, 'sobre{notes}~="^91"')):
        answer = plane_client.post(f"{here}/subscriptions", headers=headers, json={**told, "q": q})
        assert answer.status_code == 403, answer.text
    trusted = bearer(giver, capabilities=[*both, Capability.PERSONAL_READ])
    question = {"type": "Carta", "join": "inline", "joinLevel": "2"}
    assert uris(plane_client.get(f"{here}/entities", headers=trusted, params={**question, "q": 'sobre{notes}~="^91"'})) == {"urn:t:Carta:1"}
    assert uris(plane_client.get(f"{here}/entities", headers=whole, params={**question, "q": 'sobre{category}=="Ruído"'})) == {"urn:t:Carta:1"}


def test_a_community_of_eleven_of_which_three_delegated_sees_three(plane_client, new_tenant):
    community = new_tenant(name="Comunidade dos Onze", kind=OrganisationKind.INTERMUNICIPAL_COMMUNITY)
    towns = [new_tenant(name=f"Vila {number}", parent_id=community.id) for number in range(11)]
    for town in towns[:3]:
        tenancy.delegate(town.id, community.id, by="person:1")
    card = people.create_person(f"{time.monotonic_ns()}@exemplo.pt", name="Gestora")
    access.grant(card.id, community.id, RoleName.TENANT_MANAGER)
    assert {door.name for door in access.tenants_of(card.id)} == {"Comunidade dos Onze", "Vila 0", "Vila 1", "Vila 2"}
    browser = Client(HTTP_HOST="localhost")
    browser.force_login(Person.objects.get(pk=card.id))
    seen = [browser.get(f"/{town.slug}/dados/entidades/").status_code for town in towns]
    assert seen == [200] * 3 + [403] * 8
    token = {"Authorization": f"Bearer {browser.cookies['malha_plane'].value}"}
    assert [ask(plane_client, town, "ngsi-ld/v1/types", token).status_code for town in towns].count(200) <= 1  # a page's token is for one tenant
    browser.get(f"/{towns[2].slug}/dados/entidades/")
    third = {"Authorization": "Bearer " + next(m.value for m in [browser.cookies["malha_plane"]])}
    assert ask(plane_client, towns[2], "ngsi-ld/v1/types", third).status_code == 200
