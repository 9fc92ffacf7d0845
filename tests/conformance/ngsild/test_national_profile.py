"""The national catalogue's rules: ids, arrays as JSON-LD, a bare coordinateSystem, typed and plain instants, real examples."""

import json
import re

import pytest

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
