"""§4.5: kinds of attributes and the three representations of each."""

import pytest

KINDS = {
    "temperature": ({"type": "Property", "value": 21.5, "unitCode": "CEL"}, {"value": 21.5, "unitCode": "CEL"}, 21.5),
    "open": ({"type": "Property", "value": True}, True, True),
    "tags": ({"type": "Property", "value": ["a", "b"]}, ["a", "b"], ["a", "b"]),
    "shape": ({"type": "Property", "value": {"w": 1, "nested": {"deep": [1, 2]}}}, {"w": 1, "nested": {"deep": [1, 2]}}, {"w": 1, "nested": {"deep": [1, 2]}}),
    "owner": ({"type": "Relationship", "object": "urn:x:Owner:1"}, {"object": "urn:x:Owner:1"}, "urn:x:Owner:1"),
    "location": ({"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.6, 41.1]}},) + ({"type": "Point", "coordinates": [-8.6, 41.1]},) * 2,
    "label": (
        {"type": "LanguageProperty", "languageMap": {"pt": "Ponte", "en": "Bridge"}},
        {"languageMap": {"pt": "Ponte", "en": "Bridge"}},
        {"languageMap": {"pt": "Ponte", "en": "Bridge"}},
    ),
    "kind": ({"type": "VocabProperty", "vocab": "residential"}, {"vocab": "residential"}, {"vocab": "residential"}),
    "raw": (
        {"type": "JsonProperty", "json": {"@id": "kept", "x": [None, 1]}},
        {"json": {"@id": "kept", "x": [None, 1]}},
        {"json": {"@id": "kept", "x": [None, 1]}},
    ),
    "steps": ({"type": "ListProperty", "valueList": [3, 1, 2]}, {"valueList": [3, 1, 2]}, [3, 1, 2]),
}


@pytest.mark.parametrize("name", KINDS)
def test_4_5_2_normalized_concise_and_simplified(broker, name):
    normalized, concise, simplified = KINDS[name]
    made = broker.post("entities", json={"id": "urn:x:T:1", "type": "T", name: normalized})
    assert made.status_code == 201, made.text
    assert broker.get("entities/urn:x:T:1").json()[name] == normalized
    assert broker.get("entities/urn:x:T:1?options=concise").json()[name] == concise
    assert broker.get("entities/urn:x:T:1?options=keyValues").json()[name] == simplified
    assert broker.get("entities/urn:x:T:1?format=simplified").json()[name] == simplified
    assert broker.post("entities", json={"id": "urn:x:T:2", "type": "T", name: concise}).status_code == 201
    assert broker.get("entities/urn:x:T:2").json()[name] == normalized


def test_4_5_5_several_instances_by_dataset_id(broker):
    speed = [{"type": "Property", "value": 1}, {"type": "Property", "value": 2, "datasetId": "urn:x:gps"}]
    broker.post("entities", json={"id": "urn:x:Car:1", "type": "Car", "speed": speed})
    assert broker.get("entities/urn:x:Car:1").json()["speed"] == speed
    assert broker.get("entities/urn:x:Car:1?datasetId=urn:x:gps").json()["speed"] == speed[1]
    assert broker.get("entities/urn:x:Car:1?datasetId=@none").json()["speed"] == speed[0]
    assert broker.get("entities/urn:x:Car:1?options=keyValues").json()["speed"] == {"dataset": {"@none": 1, "urn:x:gps": 2}}
    assert broker.delete("entities/urn:x:Car:1/attrs/speed?datasetId=urn:x:gps").status_code == 204
    assert broker.get("entities/urn:x:Car:1").json()["speed"] == speed[0]


def test_4_5_16_geojson(broker):
    place = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.6, 41.1]}}
    broker.post("entityOperations/create", json=[{"id": "urn:x:T:1", "type": "T", "location": place, "n": 1}, {"id": "urn:x:T:2", "type": "T", "n": 2}])
    answer = broker.get("entities?type=T&options=keyValues", headers={"Accept": "application/geo+json"})
    assert answer.headers["content-type"] == "application/geo+json"
    features = answer.json()["features"]
    assert [f["geometry"] for f in features] == [place["value"], None]
    assert features[0]["properties"] == {"type": "T", "location": place["value"], "n": 1}


def test_4_5_18_one_language(broker):
    broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "label": {"languageMap": {"pt": "Ponte", "en": "Bridge"}}})
    assert broker.get("entities/urn:x:T:1?lang=en").json()["label"] == {"type": "Property", "value": "Bridge", "lang": "en"}
    assert broker.get("entities/urn:x:T:1?lang=fr,pt;q=0.5&options=keyValues").json()["label"] == "Ponte"


def test_4_6_4_characters_are_kept(broker):
    text = "<>\"'=;() çãõ € 🙂 \\ \n"
    broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "text": text})
    assert broker.get("entities/urn:x:T:1?options=keyValues").json()["text"] == text


def test_4_7_geometry_as_text_and_collections(broker):
    text = '{"type": "Point", "coordinates": [1.5, 2.5]}'
    assert broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "location": {"type": "GeoProperty", "value": text}}).status_code == 201
    assert broker.get("entities?type=T&georel=near;maxDistance==10&geometry=Point&coordinates=[1.5,2.5]").json()[0]["id"] == "urn:x:T:1"
    collection = {"type": "GeoProperty", "value": {"type": "GeometryCollection", "geometries": []}}
    assert broker.post("entities", json={"id": "urn:x:T:2", "type": "T", "location": collection}).status_code == 400


def test_sub_attributes_stay(broker):
    body = {
        "id": "urn:x:T:1",
        "type": "T",
        "level": {"type": "Property", "value": 1, "accuracy": {"type": "Property", "value": 0.1, "by": {"type": "Relationship", "object": "urn:x:S:1"}}},
    }
    broker.post("entities", json=body)
    assert broker.get("entities/urn:x:T:1").json()["level"] == body["level"]
