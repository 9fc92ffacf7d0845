import pytest

from malha.vocabulary.models import service
from malha.vocabulary.models.contracts import Severity, UnknownModel

ADDRESS = {"addressLocality": "Coimbra", "addressRegion": "Centro", "district": "Coimbra"}


def noise(**changes):
    entity = {
        "id": "urn:vila:NoiseLevelObserved:1",
        "type": "NoiseLevelObserved",
        "dateObservedFrom": {"type": "Property", "value": {"@type": "DateTime", "@value": "2026-01-02T10:00:00Z"}},
        "dateObservedTo": {"type": "Property", "value": "2026-01-02T10:15:00Z"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.42, 40.2]}, "coordinateSystem": "EPSG:4258"},
        "address": {"type": "Property", "value": ADDRESS},
        "dataProvider": {"type": "Property", "value": "Vila"},
        "LAeq": {"type": "Property", "value": 61.5, "unitCode": "2N"},
    }
    entity.update(changes)
    return {name: value for name, value in entity.items() if value is not ...}


def codes(entity, entity_type="NoiseLevelObserved", severity=Severity.ERROR):
    return [(found.path, found.code) for found in service.validate(entity, service.get(entity_type)) if found.severity is severity]


def test_it_works():
    assert service.validate(noise(), service.get("NoiseLevelObserved")) == []


def test_concise_and_key_values_say_the_same():
    concise = noise(LAeq={"value": 61.5, "unitCode": "2N"}, dataProvider={"value": "Vila"}, address={"value": ADDRESS})
    plain = noise(
        LAeq=61.5, dataProvider="Vila", address=ADDRESS, location={"type": "Point", "coordinates": [-8.42, 40.2]}, dateObservedFrom="2026-01-02T10:00:00Z"
    )
    assert codes(concise) == codes(plain) == []


@pytest.mark.parametrize("nothing", ["", " ", "-", None, {}, []])
def test_a_mandatory_property_without_a_value_is_refused(nothing):
    assert ("dataProvider", "empty") in codes(noise(dataProvider=nothing))
    assert ("dataProvider", "empty") in codes(noise(dataProvider={"type": "Property", "value": nothing}))


def test_only_the_end_of_an_interval_may_be_null():
    alert = {
        "id": "urn:a:Alert:1",
        "type": "Alert",
        "address": ADDRESS,
        "alertSource": "https://example.pt/",
        "category": "weather",
        "dateIssued": "2026-01-02T10:00:00Z",
    }
    assert codes(alert | {"validTo": None}, "Alert") == []
    assert codes(alert | {"validFrom": None}, "Alert") == [("validFrom", "empty")]


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"LAeq": ...}, "LAeq", "missing"),
        ({"LAeq": {"type": "Property", "value": "61,5"}}, "LAeq", "type"),
        ({"LAeq": {"type": "Property", "value": float("nan")}}, "LAeq", "type"),
        ({"LAeq": {"type": "Property", "value": -3}}, "LAeq", "range"),
        ({"LAeq": {"type": "Property", "value": 61, "unitCode": "dB"}}, "LAeq", "unit"),
        ({"LAeq": {"type": "Property", "value": 61, "unitCode": "CEL"}}, "LAeq", "unit"),
        ({"sonometerClass": "3"}, "sonometerClass", "choice"),
        ({"address": {"addressLocality": "Coimbra", "addressRegion": "centro", "district": "Coimbra"}}, "address.addressRegion", "choice"),
        ({"address": {"addressLocality": "Coimbra", "addressRegion": "Centro"}}, "address.district", "missing"),
        ({"dateObservedTo": "2025-01-2T10:00:00Z"}, "dateObservedTo", "format"),
        ({"location": {"type": "Point", "coordinates": [-25000.5, 100000]}}, "location", "geometry"),
        ({"location": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}}, "location", "geometry"),
        ({"location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8, 40]}, "coordinateSystem": "EPSG:3763"}}, "location", "geometry"),
        ({"id": "sensor 7"}, "id", "id"),
        ({"type": "Noise"}, "type", "entity-type"),
    ],
)
def test_each_fault_is_named_by_its_property(change, path, code):
    assert (path, code) in codes(noise(**change))


def test_a_near_miss_is_suggested_in_both_languages():
    wrong = next(
        found for found in service.validate(noise(address=ADDRESS | {"addressRegion": "ALGARVE"}), service.get("NoiseLevelObserved")) if found.code == "choice"
    )
    assert "“Algarve”" in wrong.mend
    assert service.in_language(wrong, "en")[1].startswith("Did you mean “Algarve”?")


def test_ranges_hold_in_the_unit_of_the_model():
    weather = service.get("WeatherObserved")
    humid = {"id": "urn:a:WeatherObserved:1", "type": "WeatherObserved", "relativeHumidity": {"type": "Property", "value": 70, "unitCode": "P1"}}
    assert not [found for found in service.validate(humid, weather) if found.path == "relativeHumidity"]
    humid["relativeHumidity"]["value"] = 170
    assert [found.code for found in service.validate(humid, weather) if found.path == "relativeHumidity"] == ["range"]


def test_swapped_axes_and_unknown_names_only_warn():
    entity = noise(location={"type": "Point", "coordinates": [40.2, -8.42]}, laeq=3)
    assert codes(entity) == []
    assert {("location", "geometry"), ("laeq", "unknown")} <= set(codes(entity, severity=Severity.WARNING))


def test_every_instance_of_an_attribute_is_checked():
    several = [{"type": "Property", "value": 60, "datasetId": "urn:a:1"}, {"type": "Property", "value": "x", "datasetId": "urn:a:2"}]
    assert codes(noise(LAeq=several)) == [("LAeq", "type")]


def test_an_unknown_type_is_said():
    with pytest.raises(UnknownModel):
        service.get("Dragon")


@pytest.mark.parametrize(
    "value",
    [
        7,
        {"type": "Point", "coordinates": []},
        {"type": "Point", "coordinates": ["8", 40]},
        {"type": "LineString", "coordinates": [[0, 0]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]},
        {"type": "Point", "coordinates": [200, 40]},
    ],
)
def test_why_a_geometry_is_none_is_said_in_both_languages(value):
    found = [
        each for each in service.validate(noise(location={"type": "GeoProperty", "value": value}), service.get("NoiseLevelObserved")) if each.path == "location"
    ]
    assert [each.code for each in found] == ["geometry"]
    english = " ".join(service.in_language(found[0], "en"))
    assert str(found[0].params["reason"]) not in english
