"""OGC 18-088 §10 (create, delete) and §13 (data arrays); the same data through NGSI-LD."""

import pytest

from malha.foundation.access.contracts import Capability

SENSOR = {"name": "DHT22", "description": "sonda", "encodingType": "application/pdf", "metadata": "https://exemplo.pt/dht22.pdf"}
PROPERTY = {"name": "Air Temperature", "definition": "http://exemplo.pt/AirTemperature", "description": "do ar"}
UNIT = {"name": "degree Celsius", "symbol": "°C", "definition": "ucum:Cel"}
MEASUREMENT = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement"


def stream(**more):
    return {
        "name": "Temperatura",
        "description": "na sala",
        "observationType": MEASUREMENT,
        "unitOfMeasurement": UNIT,
        "Sensor": SENSOR,
        "ObservedProperty": PROPERTY,
        **more,
    }


def thing(**more):
    point = {"type": "Point", "coordinates": [-8.6, 41.1]}
    place = {"name": "Sala", "description": "rés do chão", "encodingType": "application/geo+json", "location": point}
    return {
        "name": "Caixa",
        "description": "de teste",
        "properties": {"type": "Device", "serial": "7", "dono da caixa": "câmara"},
        "Locations": [place],
        **more,
    }


@pytest.fixture
def empty(client, new_tenant):
    return client(new_tenant())


def created(sta, path, body):
    answer = sta.post(path, json=body)
    assert answer.status_code == 201, answer.text
    assert sta.get(answer.headers["Location"]).json()["@iot.id"] == answer.json()["@iot.id"]
    return answer.json()


def test_deep_insert_makes_all_of_it(empty, client):
    observations = [{"phenomenonTime": "2026-03-01T10:00:00Z", "result": 21.5}, {"phenomenonTime": "2026-03-01T11:00:00Z", "result": 22}]
    made = created(empty, "Things", thing(Datastreams=[stream(Observations=observations)]))
    assert made["properties"] | {"id": ""} == {"id": "", "type": "Device", "serial": "7", "dono da caixa": "câmara"}
    whole = empty.get(f"Things({made['@iot.id']})?$expand=Locations,Datastreams($expand=Sensor,ObservedProperty,Observations($orderby=phenomenonTime))").json()
    one = whole["Datastreams"][0]
    assert (one["name"], one["unitOfMeasurement"], one["Sensor"]["metadata"]) == ("Temperatura", UNIT, SENSOR["metadata"])
    assert one["ObservedProperty"]["definition"] == PROPERTY["definition"]
    assert [each["result"] for each in one["Observations"]] == [21.5, 22]
    assert whole["Locations"][0]["name"] == "Sala"
    entity = empty.get(f"{str(empty.base_url).partition('/sensorthings')[0]}/ngsi-ld/v1/entities/{made['properties']['id']}").json()
    assert entity["type"] == "Device"
    assert entity["airTemperature"] | {"type": ""} == {"type": "", "value": 22, "unitCode": "CEL", "observedAt": "2026-03-01T11:00:00Z"}


def test_a_second_stream_of_a_property_is_another_instance(empty):
    made = created(empty, "Things", thing(Datastreams=[stream()]))
    first = empty.get(f"Things({made['@iot.id']})/Datastreams?$expand=Sensor,ObservedProperty").json()["value"][0]
    linked = stream(name="Outra", Sensor={"@iot.id": first["Sensor"]["@iot.id"]}, ObservedProperty={"@iot.id": first["ObservedProperty"]["@iot.id"]})
    second = created(empty, f"Things({made['@iot.id']})/Datastreams", linked)
    for key, result in ((first["@iot.id"], 1), (second["@iot.id"], 2)):
        one = created(empty, f"Datastreams('{key}')/Observations", {"phenomenonTime": "2026-03-01T00:00:00Z", "result": result})
        assert one["result"] == result
    assert [one["result"] for one in empty.get(f"Datastreams('{second['@iot.id']}')/Observations").json()["value"]] == [2]
    assert len(empty.get(f"Sensors({first['Sensor']['@iot.id']})/Datastreams").json()["value"]) == 2


def test_observations_say_more_than_a_value(empty):
    made = created(empty, "Things", thing(Datastreams=[stream()]))
    key = empty.get(f"Things({made['@iot.id']})/Datastreams").json()["value"][0]["@iot.id"]
    feature = {"name": "Ar da sala", "description": "d", "encodingType": "application/geo+json", "feature": {"type": "Point", "coordinates": [-8, 41]}}
    said = {
        "phenomenonTime": "2026-03-01T00:00:00Z/2026-03-01T01:00:00Z", "resultTime": "2026-03-01T02:00:00Z", "result": True, "parameters": {"altura": 2},
        "resultQuality": {"ok": 1}, "validTime": "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z", "Datastream": {"@iot.id": key}, "FeatureOfInterest": feature,
    }  # fmt: skip
    one = created(empty, "Observations", said)
    for name in ("phenomenonTime", "resultTime", "result", "parameters", "resultQuality", "validTime"):
        assert one[name] == said[name], name
    found = empty.get("Observations?$filter=parameters/altura eq 2 and resultTime eq 2026-03-01T02:00:00Z&$expand=FeatureOfInterest").json()["value"]
    assert found[0]["FeatureOfInterest"]["name"] == "Ar da sala"
    assert len(empty.get(f"FeaturesOfInterest({found[0]['FeatureOfInterest']['@iot.id']})/Observations").json()["value"]) == 1
    near = "geo.distance(FeatureOfInterest/feature, geography'POINT(-8 41)') lt 10"
    assert len(empty.get(f"Observations?$filter={near}").json()["value"]) == 1


def test_data_arrays_are_written_in_one_go_and_say_what_failed(empty):
    made = created(empty, "Things", thing(Datastreams=[stream()]))
    key = empty.get(f"Things({made['@iot.id']})/Datastreams").json()["value"][0]["@iot.id"]
    rows = [[f"2026-03-01T{n // 60:02}:{n % 60:02}:00Z", n / 10] for n in range(200)]
    said = [{"Datastream": {"@iot.id": key}, "components": ["phenomenonTime", "result"], "dataArray": [*rows, ["ontem", 1], [1, 2, 3]]}]
    answer = empty.post("CreateObservations", json=said)
    assert answer.status_code == 201, answer.text
    links = answer.json()
    assert links[200:] == ["error", "error"]
    assert empty.get(links[7]).json()["result"] == 0.7
    assert empty.get(f"Datastreams('{key}')/Observations?$count=true&$top=1").json()["@iot.count"] == 200


def test_things_are_taken_away(empty):
    made = created(empty, "Things", thing(Datastreams=[stream(Observations=[{"phenomenonTime": f"2026-03-01T0{n}:00:00Z", "result": n} for n in range(3)])]))
    path = f"Things({made['@iot.id']})"
    one = empty.get(f"{path}/Datastreams?$expand=Observations,Sensor").json()["value"][0]
    assert empty.delete(f"Observations('{one['Observations'][1]['@iot.id']}')").status_code == 200
    assert [each["result"] for each in empty.get(f"Datastreams('{one['@iot.id']}')/Observations").json()["value"]] == [0, 2]
    assert empty.delete(f"Sensors({one['Sensor']['@iot.id']})").status_code == 422
    assert empty.delete(f"Datastreams('{one['@iot.id']}')").status_code == 200
    assert empty.get(f"{path}/Datastreams").json()["value"] == []
    assert empty.delete(f"Sensors({one['Sensor']['@iot.id']})").status_code == 200
    assert empty.delete(path).status_code == 200
    assert empty.get(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("Things", {}), ("Things", []), ("Things", {"name": "x"}), ("Things", thing(Locations=[{"name": "x", "location": {"type": "Nada"}}])), ("Things", thing(properties=[])),
        ("Things", thing(Datastreams=[{}])), ("Observations", {"result": 1}), ("Observations", {"result": 1, "Datastream": {"@iot.id": "1.2"}}),
        ("Sensors", {"name": "x", "description": "y", "encodingType": "z"}), ("Sensors", {**SENSOR, "name": "\x00"}), ("HistoricalLocations", {}), ("CreateObservations", {}),
        ("CreateObservations", [{"Datastream": {"@iot.id": "x"}}]), ("Datastreams", stream()), ("Things(1)", thing()), ("Locations", {"name": "x"}),
        ("FeaturesOfInterest", {"name": "x", "description": "", "feature": 1}),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_and_leaves_nothing(empty, path, body):
    answer = empty.post(path, json=body)
    assert 400 <= answer.status_code < 500 or answer.status_code == 501, answer.text
    assert empty.get("Things?$count=true").json() == {"@iot.count": 0, "value": []}
    assert empty.get("Sensors?$count=true").json()["@iot.count"] == 0


def test_who_may_not_gets_in_nowhere(client, town, new_tenant):
    reader = client(town, Capability.DATA_READ)
    assert reader.post("Things", json=thing()).status_code == 403
    assert reader.delete(f"Things({reader.get('Things').json()['value'][0]['@iot.id']})").status_code == 403
    other = client(town, types=["Device"])
    for kind in ("Things", "Datastreams", "Observations", "Locations", "FeaturesOfInterest", "ObservedProperties", "HistoricalLocations", "Sensors"):
        assert other.get(kind).json()["value"] == [], kind
    assert other.post("Things", json=thing(properties={"type": "Vehicle"})).status_code == 403
    stranger = client(new_tenant())
    key = reader.get("Datastreams").json()["value"][0]["@iot.id"]
    assert stranger.get(f"Datastreams('{key}')").status_code == 404
    assert stranger.post("Observations", json={"result": 1, "Datastream": {"@iot.id": key}}).status_code == 400
    reader.headers.pop("Authorization")
    assert reader.get("Things").status_code == 401


def test_a_change_keeps_what_it_does_not_name(empty):
    made = created(empty, "Things", thing(Datastreams=[stream()]))
    here = f"Things({made['@iot.id']})"
    changed = empty.patch(here, json={"name": "Caixa nova", "properties": {"serial": None, "sala": 3, "dono da caixa": "junta"}})
    assert (changed.status_code, changed.json()["name"], changed.json()["description"]) == (200, "Caixa nova", "de teste")
    assert changed.json()["properties"] | {"id": ""} == {"id": "", "type": "Device", "sala": 3, "dono da caixa": "junta"}
    flow = empty.get(f"{here}/Datastreams").json()["value"][0]["@iot.id"]
    said = empty.patch(f"Datastreams({flow})" if isinstance(flow, int) else f"Datastreams('{flow}')", json={"description": "no corredor"}).json()
    assert (said["description"], said["name"], said["unitOfMeasurement"]) == ("no corredor", "Temperatura", UNIT)
    place = empty.get(f"{here}/Locations").json()["value"][0]
    moved = empty.patch(f"Locations({place['@iot.id']})", json={"location": {"type": "Point", "coordinates": [-8.7, 41.2]}}).json()
    assert (moved["name"], moved["location"]["coordinates"]) == ("Sala", [-8.7, 41.2])
    sensor = empty.get("Sensors").json()["value"][0]["@iot.id"]
    assert empty.patch(f"Sensors({sensor})", json={"description": "outra"}).json()["metadata"] == SENSOR["metadata"]


@pytest.mark.parametrize(
    ("path", "body", "status"), [("", {}, 400), ("", {"nada": 1}, 400), ("", {"name": 3}, 400), ("", {"properties": {"id": "urn:x:a"}}, 400)]
)
def test_what_cannot_be_changed(empty, path, body, status):
    made = created(empty, "Things", thing())
    assert empty.patch(f"Things({made['@iot.id']}){path}", json=body).status_code == status
    assert empty.get(f"Things({made['@iot.id']})").json()["name"] == "Caixa"
    assert empty.patch("Things", json={"name": "x"}).status_code == 400
    assert empty.patch("Things(987654321)", json={"name": "x"}).status_code == 404


def test_an_observation_is_corrected(empty):
    said = {"phenomenonTime": "2026-03-01T01:00:00Z", "result": 5, "validTime": "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z", "parameters": {"lote": 3}}
    later = {"phenomenonTime": "2026-03-01T02:00:00Z", "result": 6}
    made = created(empty, "Things", thing(Datastreams=[stream(Observations=[said, later])]))
    flow = empty.get(f"Things({made['@iot.id']})/Datastreams?$expand=Observations").json()["value"][0]
    key = next(one["@iot.id"] for one in flow["Observations"] if one["result"] == 5)
    changed = empty.patch(f"Observations('{key}')", json={"result": 7.5, "parameters": None})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["@iot.id"], changed.json()["result"], changed.json()["validTime"][:10], changed.json().get("parameters")) == (
        key,
        7.5,
        "2026-03-01",
        None,
    )
    assert sorted(one["result"] for one in empty.get(f"Datastreams('{flow['@iot.id']}')/Observations").json()["value"]) == [6, 7.5]
    for wrong in ({"phenomenonTime": "2026-03-01T03:00:00Z"}, {"result": None}, {"nada": 1}, {}):
        assert empty.patch(f"Observations('{key}')", json=wrong).status_code == 400
    assert empty.put(f"Observations('{key}')", json={"result": 1}).status_code == 405


@pytest.mark.parametrize(
    "said",
    [
        {"result": 21.5},
        {"result": 21},
        {"result": True},
        {"result": "cheia"},
        {"result": "2026-03-01T10:00:00Z"},
        {"result": [1, 2.5, "três"]},
        {"result": {"média": 3}},
        {"result": 3, "resultTime": "2026-03-01T12:30:00+01:00", "validTime": "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"},
        {"result": 3, "resultQuality": "boa", "parameters": {"altura": 2}},
        {"result": 3, "phenomenonTime": "2026-03-01T11:00:00Z/2026-03-01T12:00:00Z"},
        {"result": 3, "FeatureOfInterest": {"name": "f", "description": "d", "encodingType": "application/geo+json", "feature": {"type": "Point", "coordinates": [-8, 41]}}},
    ],
)  # fmt: skip
def test_what_is_answered_of_an_observation_is_what_is_read_of_it(empty, said):
    made = created(empty, "Things", thing(Datastreams=[stream()]))
    key = empty.get(f"Things({made['@iot.id']})/Datastreams").json()["value"][0]["@iot.id"]
    answer = empty.post("Observations", json={"phenomenonTime": "2026-03-01T11:00:00Z", "Datastream": {"@iot.id": key}, **said})
    assert answer.status_code == 201, answer.text
    assert empty.get(answer.headers["Location"]).json() == answer.json()


def test_another_observation_of_the_instant_stands_for_the_first_with_all_that_it_says(empty):
    made = created(empty, "Things", thing(Datastreams=[stream()]))
    key = empty.get(f"Things({made['@iot.id']})/Datastreams").json()["value"][0]["@iot.id"]
    at = {"phenomenonTime": "2026-03-01T11:00:00Z", "Datastream": {"@iot.id": key}}
    created(empty, "Observations", {**at, "result": 1, "resultQuality": "má"})
    created(empty, "Observations", {**at, "result": 2})
    (only,) = empty.get(f"Datastreams('{key}')/Observations").json()["value"]
    assert (only["result"], only.get("resultQuality")) == (2, None)


def test_the_word_for_nothing_is_no_result(empty):
    made = created(empty, "Things", thing(Datastreams=[stream()]))
    key = empty.get(f"Things({made['@iot.id']})/Datastreams").json()["value"][0]["@iot.id"]
    answer = empty.post("Observations", json={"result": "urn:ngsi-ld:null", "Datastream": {"@iot.id": key}})
    assert answer.status_code == 400, answer.text
