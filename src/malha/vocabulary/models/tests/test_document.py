from malha.vocabulary.models import service


def test_it_works():
    entity = {
        "id": "urn:a:Alert:1",
        "type": "Alert",
        "@context": [],
        "dateIssued": {"type": "Property", "value": {"@type": "DateTime", "@value": "2026-01-02T10:00:00Z"}},
        "location": {"type": "Point", "coordinates": [-8, 40]},
        "severity": "high",
    }
    assert service.to_document(entity, service.get("Alert")) == {
        "uri": "urn:a:Alert:1",
        "types": ("Alert",),
        "scopes": (),
        "attributes": {
            "dateIssued": {"type": "Property", "value": "2026-01-02T10:00:00Z"},
            "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8, 40]}},
            "severity": {"type": "Property", "value": "high"},
        },
    }


def test_the_model_says_what_a_bare_value_is():
    entity = {
        "id": "urn:a:WasteContainer:1",
        "type": "WasteContainer",
        "refWasteContainerIsle": "urn:a:WasteContainerIsle:2",
        "binCapacity": {"value": 60, "unitCode": "LTR"},
    }
    attributes = service.to_document(entity, service.get("WasteContainer"))["attributes"]
    assert attributes["refWasteContainerIsle"] == {"type": "Relationship", "object": "urn:a:WasteContainerIsle:2"}
    assert attributes["binCapacity"] == {"type": "Property", "value": 60, "unitCode": "LTR"}


def test_what_the_national_catalogue_adds_is_kept():
    entity = {
        "id": "urn:a:b:1",
        "type": "b",
        "location": {
            "type": "GeoProperty",
            "value": {"type": "Point", "coordinates": [-8, 40]},
            "coordinateSystem": "EPSG:4258",
            "altitude": {"value": 10, "unitCode": "MTR"},
        },
    }
    location = service.to_document(entity)["attributes"]["location"]
    assert location["coordinateSystem"] == "EPSG:4258"
    assert location["altitude"] == {"type": "Property", "value": 10, "unitCode": "MTR"}
