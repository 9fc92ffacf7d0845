"""OGC 18-088 §8 (data model) and §9.2 (resource paths)."""

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.kernel import geo

KINDS = {"Things", "Locations", "HistoricalLocations", "Datastreams", "Sensors", "ObservedProperties", "Observations", "FeaturesOfInterest"}


def follow(sta, url):
    answer = sta.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_root_names_every_kind_and_what_is_kept(sta):
    body = follow(sta, "")
    assert {one["name"] for one in body["value"]} == KINDS
    assert all("/sensorthings/v1.1/" in one["url"] for one in body["value"])
    assert any(name.endswith("/data-array/data-array") for name in body["serverSettings"]["conformance"])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_listed_and_every_link_leads_somewhere(sta, kind):
    body = follow(sta, kind)
    assert body["value"], kind
    one = body["value"][0]
    assert follow(sta, one["@iot.selfLink"])["@iot.id"] == one["@iot.id"]
    links = {name: url for name, url in one.items() if name.endswith("@iot.navigationLink")}
    assert links
    for name, url in links.items():
        found = follow(sta, url)
        assert found.get("value") or found.get("@iot.id"), name


def test_a_thing_has_its_datastreams_sensor_property_and_observations(sta):
    thing = next(one for one in follow(sta, "Things")["value"] if one["name"] == "Estação B")
    assert thing["properties"]["id"] == "urn:x:AirQualityObserved:1"
    streams = follow(sta, f"Things({thing['@iot.id']})/Datastreams")["value"]
    assert len(streams) == 1
    stream = streams[0]
    assert stream["unitOfMeasurement"]["symbol"] == "µg/m³"
    assert stream["observationType"].endswith("OM_Measurement")
    key = stream["@iot.id"]
    assert follow(sta, f"Datastreams('{key}')/Thing")["@iot.id"] == thing["@iot.id"]
    assert follow(sta, f"Datastreams('{key}')/ObservedProperty")["definition"].endswith("pm10")
    values = follow(sta, f"Datastreams('{key}')/Observations?$orderby=phenomenonTime desc")["value"]
    assert [one["result"] for one in values] == [4, 3, 2, 1]
    assert values[0]["phenomenonTime"] == "2026-03-01T03:00:00Z"
    only = follow(sta, f"Observations('{values[0]['@iot.id']}')/Datastream/Thing")
    assert only["@iot.id"] == thing["@iot.id"]


def test_fields_values_and_references(sta):
    thing = follow(sta, "Things")["value"][0]
    path = f"Things({thing['@iot.id']})"
    assert follow(sta, f"{path}/name") == {"name": thing["name"]}
    assert sta.get(f"{path}/name/$value").text == thing["name"]
    assert sta.get(f"{path}/properties/type/$value").text == "AirQualityObserved"
    references = follow(sta, f"{path}/Datastreams/$ref")["value"]
    assert [list(one) for one in references] == [["@iot.selfLink"]]
    place = follow(sta, f"{path}/Locations")["value"][0]
    assert place["encodingType"] == "application/geo+json"
    assert place["location"]["type"] == "Point"


def test_what_is_not_there_is_not_found(sta):
    for path in ("Things(999999999)", "Datastreams('1.2.3')", "Nada", "Things(1)/Nada", "Observations('x')", "Things('é')/Datastreams"):
        assert sta.get(path).status_code == 404, path
    assert sta.get("Things()").status_code == 400
    assert sta.get("Observations('1.1:99999999999999999999999999')").status_code == 404


def test_a_thing_that_moved_has_historical_locations(sta, client, new_tenant):
    sta = client(new_tenant())
    made = sta.post("Things", json={"name": "Viatura", "description": "d", "Locations": [place("a", -8.6, 41.1)]}).json()
    path = f"Things({made['@iot.id']})"
    assert sta.post(f"{path}/Locations", json=place("b", -8.7, 41.2)).status_code == 201
    past = follow(sta, f"{path}/HistoricalLocations?$orderby=time asc&$expand=Locations")["value"]
    assert [one["Locations"][0]["location"]["coordinates"] for one in past] == [[-8.6, 41.1], [-8.7, 41.2]]
    first = past[0]
    assert follow(sta, f"HistoricalLocations('{first['@iot.id']}')/Thing")["@iot.id"] == made["@iot.id"]
    assert follow(sta, f"Locations('{first['@iot.id']}')")["location"]["coordinates"] == [-8.6, 41.1]
    assert follow(sta, f"{path}/Locations")["value"][0]["name"] == "b"


def test_past_places_follow_nobody_closer_than_the_track(client, new_tenant):
    tenant = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        for kind in ("FleetVehicleOperation", "WasteContainer"):
            for hour in (8, 9):
                where = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.6, 41.1]}, "observedAt": f"2026-03-01T0{hour}:00:00Z"}
                store.upsert_documents(conn, tenant.id, [EntityDocument(f"urn:x:{kind}:1", (kind,), {"location": where})])

    def places(*capabilities):
        told = follow(client(tenant, Capability.DATA_READ, *capabilities), "Things?$expand=HistoricalLocations($expand=Locations)&$orderby=properties/type")
        past = {one["properties"]["type"]: one["HistoricalLocations"] for one in told["value"]}
        return {kind: [one["Locations"][0]["location"]["coordinates"] for one in these] for kind, these in past.items()}

    exact = [[-8.6, 41.1]] * 2
    assert places(Capability.PERSONAL_READ) == {"FleetVehicleOperation": exact, "WasteContainer": exact}
    assert places() == {"FleetVehicleOperation": [list(geo.rounded((-8.6, 41.1), 250))] * 2, "WasteContainer": exact}


def place(name, longitude, latitude):
    point = {"type": "Point", "coordinates": [longitude, latitude]}
    return {"name": name, "description": "d", "encodingType": "application/geo+json", "location": point}
