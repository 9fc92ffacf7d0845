import json

import pytest

from malha.kernel import units
from malha.vocabulary.models import declaration, service
from malha.vocabulary.models.contracts import Role

BUILT_IN = {
    "AirQualityObserved", "NoiseLevelObserved", "WeatherObserved", "WeatherForecast", "WeatherAlert", "WasteContainer", "WasteContainerIsle",
    "WasteObserved", "FleetVehicleOperation", "FloodMonitoring", "EmergencyIncident", "Alert", "Incident", "Device", "DeviceModel",
    "PointOfInterest", "PublicEquipment", "OffStreetParking", "Streetlight", "EventCountingObserved",
}  # fmt: skip
#: not of the national catalogue
BESIDE = {"Building"}


def test_it_works():
    assert set(declaration.names()) == BUILT_IN | BESIDE


@pytest.mark.parametrize("entity_type", sorted(BUILT_IN | BESIDE))
def test_each_model_is_complete(entity_type):
    model = service.get(entity_type)
    assert model.type == entity_type
    assert model.label.pt
    assert model.label.en
    assert not model.time_property or model.find(model.time_property).role is Role.TIME
    names = [prop.name for prop in model.properties]
    assert len(names) == len(set(names))
    for prop in model.properties:
        assert prop.label.pt, prop.name
        assert prop.label.en, prop.name
        assert not prop.unit or units.find(prop.unit), prop.name
        assert len(prop.choices) == len(set(prop.choices)) == len(prop.choice_labels), prop.name
        assert (prop.role is Role.MEASURE) == (prop.aggregation is not None), prop.name


@pytest.mark.samples
@pytest.mark.parametrize("entity_type", sorted(BUILT_IN))
def test_names_mandatory_ones_and_values_are_those_of_the_national_catalogue(samples, entity_type):
    schema = json.loads(next((samples / "cnmd").rglob(f"{entity_type}.schema.json")).read_text(encoding="utf-8-sig"))
    model = service.get(entity_type)
    required, properties = set(schema.get("required", ())), dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        required |= set(part.get("required", ()))
        properties |= part.get("properties", {})
    assert {prop.name for prop in model.properties if prop.required} == required - {"id", "type"}
    for name, spec in properties.items():
        if name in {"id", "type"}:
            continue
        ours = model.find(name)
        assert ours is not None, name
        values = spec.get("enum") or (spec.get("items") or {}).get("enum")
        if values:
            assert set(ours.choices) == set(values), name
        for key, bound in (("minimum", ours.minimum), ("maximum", ours.maximum)):
            if key in spec:
                assert bound == spec[key], name
