"""§5.6: what writing does, and what is answered."""

NULL = "urn:ngsi-ld:null"


def test_5_6_1_create(broker):
    made = broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "a": 1})
    assert made.status_code == 201
    assert made.headers["location"].endswith("/ngsi-ld/v1/entities/urn:x:T:1")
    assert made.content == b""
    again = broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "a": 1})
    assert (again.status_code, again.json()["type"]) == (409, "https://uri.etsi.org/ngsi-ld/errors/AlreadyExists")
    assert broker.post("entities", json={"id": "urn:x:T:2", "type": "T", "a": NULL}).status_code == 400


def test_5_6_2_update_attributes_that_are_there(broker):
    broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "a": 1, "b": 2})
    assert broker.patch("entities/urn:x:T:1/attrs", json={"a": 5}).status_code == 204
    partly = broker.patch("entities/urn:x:T:1/attrs", json={"a": 6, "zz": NULL})
    assert (partly.status_code, partly.json()["updated"]) == (207, ["https://uri.etsi.org/ngsi-ld/default-context/a"])
    assert broker.patch("entities/urn:x:T:1/attrs", json={"new": 1}).status_code == 204
    assert broker.patch("entities/urn:x:T:404/attrs", json={"a": 1}).status_code == 404
    assert broker.get("entities/urn:x:T:1?options=keyValues&attrs=a").json()["a"] == 6


def test_5_6_4_partial_update_of_an_attribute(broker):
    broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "a": {"type": "Property", "value": 1, "unitCode": "CEL", "note": "x"}})
    assert broker.patch("entities/urn:x:T:1/attrs/a", json={"value": 2}).status_code == 204
    now = broker.get("entities/urn:x:T:1").json()["a"]
    assert (now["value"], now["unitCode"], now["note"]["value"]) == (2, "CEL", "x")
    assert broker.patch("entities/urn:x:T:1/attrs/zz", json={"value": 2}).status_code == 404


def test_5_6_17_merge(broker):
    broker.post(
        "entities", json={"id": "urn:x:T:1", "type": "T", "a": {"value": {"x": 1, "y": 2}}, "b": 1, "label": {"languageMap": {"pt": "Ponte", "en": "Bridge"}}}
    )
    patch = {"a": {"type": "Property", "value": {"y": 3}}, "b": NULL, "c": 7, "label": {"languageMap": {"en": "The bridge"}}}
    assert broker.patch("entities/urn:x:T:1", json=patch, headers={"Content-Type": "application/merge-patch+json"}).status_code == 204
    now = broker.get("entities/urn:x:T:1").json()
    assert now["a"]["value"] == {"x": 1, "y": 3}
    assert "b" not in now
    assert now["c"]["value"] == 7
    assert now["label"]["languageMap"] == {"pt": "Ponte", "en": "The bridge"}


def test_5_6_18_replace_keeps_created_at(broker):
    broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "a": 1})
    before = broker.get("entities/urn:x:T:1?options=sysAttrs").json()
    assert broker.put("entities/urn:x:T:1", json={"id": "urn:x:T:1", "type": "T", "b": 1}).status_code == 204
    after = broker.get("entities/urn:x:T:1?options=sysAttrs").json()
    assert after["createdAt"] == before["createdAt"]
    assert after["modifiedAt"] > before["modifiedAt"]
    assert "a" not in after


def test_5_6_8_upsert_tells_what_was_made(broker):
    assert broker.post("entityOperations/upsert", json=[{"id": "urn:x:T:1", "type": "T", "a": 1}]).json() == ["urn:x:T:1"]
    assert broker.post("entityOperations/upsert", json=[{"id": "urn:x:T:1", "type": "T", "b": 1}]).status_code == 204
    assert "a" not in broker.get("entities/urn:x:T:1").json()


def test_4_6_6_the_same_id_twice_is_applied_in_order(broker):
    broker.post("entityOperations/upsert?options=update", json=[{"id": "urn:x:T:1", "type": "T", "a": n, f"b{n}": n} for n in (1, 2)])
    now = broker.get("entities/urn:x:T:1?options=keyValues").json()
    assert (now["a"], now["b1"], now["b2"]) == (2, 1, 2)


def test_6_3_5_context_and_media_type(broker):
    thing = {"id": "urn:x:T:1", "type": "T", "a": 1}
    ld, link = {"Content-Type": "application/ld+json"}, {"Link": '<https://smartdatamodels.org/context.jsonld>; rel="http://www.w3.org/ns/json-ld#context"'}
    assert broker.post("entities", json=thing, headers=ld).status_code == 400
    assert broker.post("entities", json={"@context": [], **thing}, headers=ld | link).status_code == 400
    assert broker.post("entities", json={"@context": [], **thing}).status_code == 400
    assert broker.post("entities", json=thing, headers=link).status_code == 201


def test_nothing_of_a_refused_batch_item_is_kept_and_the_others_are(broker):
    bad = {"id": "urn:x:T:2", "type": "T", "a": 1, "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1]}}}
    answer = broker.post("entityOperations/create", json=[{"id": "urn:x:T:1", "type": "T", "a": 1}, bad, {"type": "T"}])
    assert answer.status_code == 207
    assert answer.json()["success"] == ["urn:x:T:1"]
    assert len(answer.json()["errors"]) == 2
    assert broker.get("entities/urn:x:T:2").status_code == 404
