"""The national catalogue's rules: ids, arrays as JSON-LD, a bare coordinateSystem, typed and plain instants, real examples."""

import json
import re

import pytest

from malha.foundation.database import service as database
from malha.vocabulary.models import policy

FLOOD = {
    "@context": [
        "https://raw.githubusercontent.com/smart-data-models/dataModel.Environment/master/context.jsonld",
        "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld",
    ],
    "id": "urn:apa:FloodMonitoring:Mondego:2025-02-11T17:00:00",
    "type": "FloodMonitoring",
    "observationDateTime": {"type": "Property", "value": {"@type": "DateTime", "@value": "2025-02-11T17:00:00Z"}},
    "currentLevel": {"type": "Property", "value": 2.31, "unitCode": "MTR"},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.43, 40.2]}, "coordinateSystem": "EPSG:4258"},
}


@pytest.fixture
def broker_tenant(new_tenant):
    return new_tenant(name="Aveiro", dico="0105", extent=[-8.75, 40.53, -8.52, 40.73])


def test_it_works(broker):
    made = broker.post("entities", json=FLOOD, headers={"Content-Type": "application/ld+json"})
    assert made.status_code == 201, made.text
    answer = broker.get("entities?type=FloodMonitoring")
    assert answer.headers["content-type"] == "application/ld+json"
    assert isinstance(answer.json(), list)
    (one,) = answer.json()
    assert one["id"] == FLOOD["id"]
    assert one["location"] == FLOOD["location"]
    assert one["observationDateTime"]["value"] == "2025-02-11T17:00:00Z"
    assert broker.get(f"entities/{FLOOD['id']}").status_code == 200
    assert len(broker.get("entities?q=observationDateTime==2025-02-11T17:00:00Z").json()) == 1


@pytest.mark.samples
def test_real_examples_go_in_and_come_back(broker, samples):
    """Every NGSI-LD example of the catalogue is taken, or refused with a problem that says why."""
    taken, refused = 0, []
    for path in sorted((samples / "cnmd").rglob("exemplos/*.json*")):
        body = path.read_text(encoding="utf-8-sig", errors="replace")
        try:
            found = json.loads(body)
        except ValueError:
            continue
        for entity in found if isinstance(found, list) else [found]:
            if not isinstance(entity, dict) or "id" not in entity:
                continue
            kind = "application/ld+json" if "@context" in entity else "application/json"
            answer = broker.post("entityOperations/upsert", content=json.dumps([entity]), headers={"Content-Type": kind})
            if answer.status_code in {201, 204}:
                taken += 1
            else:
                assert answer.status_code in {400, 504, 207}, (path, answer.text)
                refused.append((path.name, re.sub(r"\s+", " ", answer.text)[:200]))
    assert taken >= 40, refused
    assert taken > 5 * len(refused), refused


AIR = {
    "id": "urn:x:AirQualityObserved:1",
    "type": "AirQualityObserved",
    "name": {"type": "Property", "value": "Rossio"},
    "dataProvider": {"type": "Property", "value": "Câmara"},
    "dateObserved": {"type": "Property", "value": "2026-03-01T00:00:00Z"},
    "refPointOfInterest": {"type": "Property", "value": "urn:x:PointOfInterest:1"},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.6455, 40.6405]}},
}


@pytest.fixture
def strict(broker, broker_tenant):
    """The broker of a tenant that holds all types to their models and completes addresses."""
    policy.forget()
    with database.connect() as conn, database.tenant_transaction(conn, [broker_tenant.id]):
        policy.set_rule(conn, broker_tenant.id, "", policy.Rule(policy.Mode.ENFORCE, complete_address=True))
    return broker


def test_the_past_is_held_to_the_model_too(strict):
    refused = strict.post("temporal/entities", json={**AIR, "name": [{"type": "Property", "value": "-"}]})
    assert refused.status_code == 400, refused.text
    assert {(one["property"], one["code"]) for one in refused.json()["findings"]} == {("name", "empty")}
    assert strict.get(f"entities/{AIR['id']}").status_code == 404
    assert strict.post("temporal/entities", json=AIR).status_code == 201
    kept = strict.get(f"entities/{AIR['id']}").json()
    assert kept["address"]["value"]["addressLocality"] == "Aveiro"
    old = [{"type": "Property", "value": value, "observedAt": f"2026-03-0{day}T00:00:00Z"} for day, value in ((1, "muito"), (2, 14.5))]
    refused = strict.post(f"temporal/entities/{AIR['id']}/attrs", json={"pm10": old})
    assert refused.status_code == 400
    assert strict.get(f"temporal/entities/{AIR['id']}?attrs=pm10").status_code in {200, 404}
    assert "muito" not in strict.get(f"temporal/entities/{AIR['id']}").text
    assert strict.post(f"temporal/entities/{AIR['id']}/attrs", json={"pm10": old[1:]}).status_code == 204
    (reading,) = strict.get(f"temporal/entities/{AIR['id']}?attrs=pm10").json()["pm10"]
    path = f"temporal/entities/{AIR['id']}/attrs/pm10/{reading['instanceId']}"
    assert strict.patch(path, json={"pm10": [{**old[1], "value": "-"}]}).status_code == 400
    assert strict.get(f"entities/{AIR['id']}").json()["pm10"]["value"] == 14.5


@pytest.mark.parametrize("at", ["2106-02-07T06:28:15Z", "9999-12-31T23:59:59Z"])
def test_a_clock_that_went_wrong_does_not_stop_what_is_true_now(broker, at):
    level = {"type": "Property", "value": 1, "observedAt": at}
    wrong = {"id": "urn:x:FloodMonitoring:a", "type": "FloodMonitoring", "currentLevel": level}
    for refused in (broker.post("entities", json=wrong), broker.post("temporal/entities", json={**wrong, "currentLevel": [level]})):
        assert refused.status_code == 400, refused.text
        assert "Acerte o relógio" in refused.json()["detail"]
    batch = broker.post(
        "entityOperations/upsert", json=[wrong, {**wrong, "id": "urn:x:FloodMonitoring:b", "currentLevel": {**level, "observedAt": "2026-03-01T00:00:00Z"}}]
    )
    assert batch.status_code == 207
    assert batch.json()["success"] == ["urn:x:FloodMonitoring:b"]
    assert broker.get("entities/urn:x:FloodMonitoring:a").status_code == 404
    assert broker.patch(f"entities/urn:x:FloodMonitoring:b?observedAt={at}", json={"currentLevel": 3}).status_code == 400
