"""GS CIM 009 §4.5.5.3, §5.7.3.4, §5.7.4.4: how entities evolved, out of several sources; with real second planes."""

import pytest

TYPE = "Contentor"
PERIOD = {"timerel": "after", "timeAt": "2026-01-01T00:00:00Z"}
OPERATIONS = ["retrieveTemporal", "queryTemporal"]


def uri(number):
    return f"urn:x:{TYPE}:{number}"


def level(at, value, **more):
    return {"type": "Property", "value": value, "observedAt": f"2026-01-01T{at}:00Z", **more}


def evolution(number, *levels, **more):
    return {"id": uri(number), "type": TYPE, "nivel": list(levels), **more}


def ids(answer):
    return [each["id"].rsplit(":", 1)[-1] for each in answer.json()]


def values(entity):
    return [one["value"] for one in (entity["nivel"] if isinstance(entity["nivel"], list) else [entity["nivel"]])]


def put(place, *evolutions):
    for each in evolutions:
        assert place.post("temporal/entities", params={"local": "true"}, json=each).status_code in {201, 204}


@pytest.fixture
def there(party, broker):
    made = party()
    made.registered_at(broker, TYPE, operations=OPERATIONS)
    return made


def test_5_7_4_4_the_last_instances_are_those_of_all_places(broker, there):
    put(broker, evolution(1, level("08:00", 1), level("10:00", 3)))
    put(there.http, evolution(1, level("09:00", 2), level("11:00", 4)))
    assert values(broker.get(f"temporal/entities/{uri(1)}", params={**PERIOD, "lastN": 3}).json()) == [2, 3, 4]
    simple = broker.get(f"temporal/entities/{uri(1)}", params={"lastN": 1, "options": "temporalValues"}).json()
    assert simple["nivel"]["values"] == [[4, "2026-01-01T11:00:00Z"]]
    asked = {"type": "Query", "entities": [{"type": TYPE}], "temporalQ": {**PERIOD, "lastN": 2}}
    assert [values(each) for each in broker.post("temporal/entityOperations/query", json=asked).json()] == [[3, 4]]


def test_4_5_5_3_one_instance_of_a_dataset_and_an_instant(broker, there):
    put(broker, evolution(1, level("08:00", 700, datasetId="urn:x:gps"), level("08:00", 1)))
    put(there.http, evolution(1, level("08:00", 800, datasetId="urn:x:gps"), level("09:00", 2)))
    found = broker.get(f"temporal/entities/{uri(1)}", params=PERIOD).json()
    assert sorted(values(found)) == [1, 2, 700]
    newer = broker.get(f"temporal/entities/{uri(1)}", params={**PERIOD, "options": "sysAttrs"}).json()
    assert sorted(values(newer)) == [1, 2, 800]
    simple = broker.get(f"temporal/entities/{uri(1)}", params={**PERIOD, "options": "temporalValues"}).json()["nivel"]
    assert {line.get("datasetId"): [pair[0] for pair in line["values"]] for line in simple} == {"urn:x:gps": [700], None: [1, 2]}


def test_two_values_of_one_place_that_were_written_together_stay_two(broker, there):
    put(broker, evolution(1, level("08:00", 5), level("09:00", 5)))
    put(there.http, evolution(1, level("10:00", 5)))
    found = broker.get(f"temporal/entities/{uri(1)}", params={**PERIOD, "timeproperty": "modifiedAt", "options": "temporalValues"}).json()
    assert [pair[0] for pair in found["nivel"]["values"]] == [5, 5, 5]


def test_5_5_9_pages_have_each_entity_once(broker, there):
    put(broker, evolution(1, level("08:00", 1)), evolution(4, level("08:00", 4)))
    put(there.http, *(evolution(number, level("09:00", number * 10)) for number in (2, 3, 4, 5)))
    asked = {"type": TYPE, **PERIOD, "limit": 2}
    pages = [broker.get("temporal/entities", params={**asked, "offset": offset}) for offset in (0, 2, 4)]
    assert [ids(page) for page in pages] == [["1", "4"], ["2", "3"], ["5"]]
    assert values(pages[0].json()[1]) == [4, 40]
    assert ['rel="next"' in page.headers.get("Link", "") for page in pages] == [True, True, False]
    assert broker.get("temporal/entities", params={**asked, "count": "true"}).headers["NGSILD-Results-Count"] == "5"
    nothing = broker.get("temporal/entities", params={**asked, "count": "true", "limit": 0})
    assert (nothing.json(), nothing.headers["NGSILD-Results-Count"]) == ([], "5")


@pytest.mark.parametrize(
    ("interval", "period", "asked"),
    [
        ("observationInterval", PERIOD, False),
        ("observationInterval", {"timerel": "before", "timeAt": "2025-02-01T00:00:00Z"}, True),
        ("observationInterval", {**PERIOD, "timeproperty": "modifiedAt"}, True),
        ("managementInterval", {**PERIOD, "timeproperty": "modifiedAt"}, False),
        ("managementInterval", PERIOD, True),
    ],
)
def test_5_2_9_a_source_is_asked_of_its_interval_only(broker, source, interval, period, asked):
    there = source()
    there.answers["GET", "/temporal/entities"] = (200, [])
    said = {
        "type": "ContextSourceRegistration", "endpoint": there.url, "information": [{"entities": [{"type": TYPE}]}], "operations": OPERATIONS,
        interval: {"startAt": "2025-01-01T00:00:00Z", "endAt": "2025-06-01T00:00:00Z"},
    }  # fmt: skip
    assert broker.post("csourceRegistrations", json=said).status_code == 201
    assert broker.get("temporal/entities", params={"type": TYPE, **period}).status_code == 200
    assert bool(there.asked) is asked


def test_5_7_4_4_several_sources_are_not_ordered(broker, there):
    put(broker, evolution(1, level("08:00", 1)))
    asked = {"type": TYPE, **PERIOD, "orderBy": "id"}
    assert broker.get("temporal/entities", params=asked).status_code == 400
    assert ids(broker.get("temporal/entities", params={**asked, "local": "true"})) == ["1"]


def test_4_5_9_links_of_several_places_in_the_simplified_form(broker, there):
    for place, at, street in ((broker, "08:10", "Nova"), (there.http, "08:20", "Velha")):
        link = {"type": "Relationship", "object": f"urn:x:Rua:{street}", "observedAt": f"2026-01-01T{at}:00Z"}
        put(place, {"id": uri(1), "type": TYPE, "rua": [link]})
    found = broker.get(f"temporal/entities/{uri(1)}", params={"options": "temporalValues"}).json()
    assert [pair[0] for pair in found["rua"]["objects"]] == ["urn:x:Rua:Nova", "urn:x:Rua:Velha"]


def test_4_3_6_1_a_source_is_asked_for_its_own_ids_only(broker, source):
    there = source()
    there.answers["GET", "/temporal/entities"] = (200, [])
    there.answers["GET", "/entities"] = (200, [])
    said = {
        "type": "ContextSourceRegistration", "endpoint": there.url, "information": [{"entities": [{"type": TYPE, "idPattern": f"^urn:x:{TYPE}:[12]$"}]}],
        "operations": [*OPERATIONS, "queryEntity"],
    }  # fmt: skip
    assert broker.post("csourceRegistrations", json=said).status_code == 201
    named = ",".join(map(uri, (1, 2, 3)))
    assert broker.get("temporal/entities", params={"type": TYPE, "id": named, **PERIOD}).status_code == 200
    assert broker.get("entities", params={"type": TYPE, "id": named}).status_code == 200
    assert [one.params["id"] for one in there.asked] == [f"{uri(1)},{uri(2)}"] * 2
