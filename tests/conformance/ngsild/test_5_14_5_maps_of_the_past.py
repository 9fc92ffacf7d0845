"""GS CIM 009 §5.5.14, §5.7.3.4, §5.7.4.4, §5.14.5: entity maps of temporal questions over sources; with real second planes."""

import pytest

MAPS, HEADER, TYPE = "entityMaps", "NGSILD-EntityMap", "Contentor"
PERIOD = {"timerel": "after", "timeAt": "2026-01-01T08:00:00Z"}
OPERATIONS = ["retrieveTemporal", "queryTemporal", "createEntityMapQueryTemporal", "retrieveEntityMap", "updateEntityMap", "deleteEntityMap"]


def uri(number):
    return f"urn:x:{TYPE}:{number}"


def evolution(number, *pairs):
    return {"id": uri(number), "type": TYPE, "nivel": [{"type": "Property", "value": value, "observedAt": f"2026-01-01T{at}:00Z"} for at, value in pairs]}


def ids(answer):
    return [each["id"].rsplit(":", 1)[-1] for each in answer.json()]


def name_of(answer):
    return answer.headers[HEADER].rsplit("/", 1)[-1]


def levels(entity):
    return [one["value"] for one in (entity["nivel"] if isinstance(entity["nivel"], list) else [entity["nivel"]])]


def linked(broker, made):
    return broker.get(f"{MAPS}/{name_of(made)}").json().get("linkedMaps", {})


@pytest.fixture
def town(party, broker):
    """A source that keeps maps, with the past of four things; that of one is here, and that of another in both places."""
    there = party()
    for number in (2, 3, 4, 5):
        assert there.http.post("temporal/entities", json=evolution(number, ("08:10", number), ("09:10", number * 10))).status_code == 201
    for number, at in ((1, "08:20"), (3, "10:00")):
        assert broker.post("temporal/entities?local=true", json=evolution(number, (at, number * 100))).status_code == 201
    return there


def test_5_14_5_a_map_alone_is_made_of_the_maps_of_sources(broker, town):
    registered = town.registered_at(broker, TYPE, operations=OPERATIONS)
    made = broker.get("temporal/entityMaps", params={"type": TYPE, **PERIOD, "entityMapLifetime": "PT2M"})
    assert made.status_code == 201
    assert {each[-1]: places for each, places in made.json()["entityMap"].items()} == {
        "1": ["@none"], "3": ["@none", registered], "2": [registered], "4": [registered], "5": [registered],
    }  # fmt: skip
    ((where, there),) = made.json()["linkedMaps"].items()
    assert where == registered
    theirs = town.http.get(f"{MAPS}/{there}").json()
    assert sorted(each[-1] for each in theirs["entityMap"]) == ["2", "3", "4", "5"]
    assert theirs["expiresAt"][:15] == made.json()["expiresAt"][:15]
    assert broker.get("temporal/entityMaps", params={"type": TYPE}).status_code == 400


def test_5_7_4_4_pages_go_on_with_the_map(broker, town):
    registered = town.registered_at(broker, TYPE, operations=OPERATIONS)
    asked = {"type": TYPE, **PERIOD, "limit": 2}
    first = broker.get("temporal/entities", params={**asked, "entityMap": "true", "count": "true"})
    assert (first.status_code, ids(first), first.headers["NGSILD-Results-Count"]) == (201, ["1", "3"], "5")
    assert levels(first.json()[1]) == [3, 30, 300]
    assert 'rel="next"' in first.headers["Link"]
    ((_, there),) = linked(broker, first).items()
    town.http.post("temporal/entities", json=evolution(6, ("08:10", 6)))
    town.http.delete(f"temporal/entities/{uri(4)}")
    goes_on = {HEADER: first.headers[HEADER]}
    second = broker.get("temporal/entities", params={**asked, "offset": 2}, headers=goes_on)
    assert (second.status_code, ids(second), second.headers[HEADER]) == (200, ["2"], first.headers[HEADER])
    third = broker.get("temporal/entities", params={**asked, "offset": 4, "timeAt": "2026-01-01T09:00:00Z"}, headers=goes_on)
    assert [levels(each) for each in third.json()] == [[50]]
    assert 'rel="next"' not in third.headers["Link"]
    assert linked(broker, first) == {registered: there}


def test_5_2_23_asked_for_in_a_body(broker, town):
    registered = town.registered_at(broker, TYPE, operations=OPERATIONS)
    ask = {"type": "Query", "entities": [{"type": TYPE}], "temporalQ": PERIOD, "entityMap": True, "entityMapLifetime": "PT2M"}
    first = broker.post("temporal/entityOperations/query", params={"limit": 2}, json=ask)
    assert (first.status_code, ids(first)) == (201, ["1", "3"])
    assert list(linked(broker, first)) == [registered]
    second = broker.post("temporal/entityOperations/query", params={"limit": 3, "offset": 2}, json=ask, headers={HEADER: first.headers[HEADER]})
    assert (second.status_code, ids(second)) == (200, ["2", "4", "5"])
    assert [levels(each) for each in second.json()] == [[2, 20], [4, 40], [5, 50]]


def test_4_5_19_sums_by_a_map_count_each_value_once(broker, town):
    town.registered_at(broker, TYPE, operations=OPERATIONS)
    assert broker.post(f"temporal/entities/{uri(3)}/attrs?local=true", json={"nivel": evolution(3, ("09:10", 30))["nivel"]}).status_code == 204
    sums = {"options": "aggregatedValues", "aggrMethods": "sum,distinctCount", **PERIOD, "type": TYPE}
    page = broker.get("temporal/entities", params={**sums, "entityMap": "true"})
    assert page.status_code == 201
    assert {each["id"][-1]: each["nivel"]["sum"][0][0] for each in page.json()} == {"1": 100, "3": 333, "2": 22, "4": 44, "5": 55}


def test_5_7_3_4_one_entity_is_looked_for_where_its_map_says(broker, town, source):
    registered = town.registered_at(broker, TYPE, operations=OPERATIONS)
    made = broker.get(f"temporal/entities/{uri(4)}", params={"entityMap": "true"})
    assert (made.status_code, levels(made.json())) == (200, [4, 40])
    kept = broker.get(f"{MAPS}/{name_of(made)}").json()
    assert kept["entityMap"] == {uri(4): [registered]}
    assert list(kept["linkedMaps"]) == [registered]
    later = source()
    later.answers["GET", f"/temporal/entities/{uri(4)}"] = (200, evolution(4, ("11:00", 99)))
    said = {"type": "ContextSourceRegistration", "endpoint": later.url, "information": [{"entities": [{"type": TYPE}]}], "operations": ["retrieveTemporal"]}
    assert broker.post("csourceRegistrations", json=said).status_code == 201
    again = broker.get(f"temporal/entities/{uri(4)}", headers={HEADER: made.headers[HEADER]})
    assert (again.headers[HEADER], levels(again.json())) == (made.headers[HEADER], [4, 40])
    assert later.asked == []
    assert levels(broker.get(f"temporal/entities/{uri(4)}").json()) == [4, 40, 99]
    assert broker.get(f"temporal/entities/{uri(9)}", params={"entityMap": "true"}).status_code == 404


def test_5_14_2_and_5_14_3_the_maps_of_sources_end_with_it(broker, town):
    town.registered_at(broker, TYPE, operations=OPERATIONS)
    made = broker.get("temporal/entityMaps", params={"type": TYPE, **PERIOD})
    ((_, there),) = made.json()["linkedMaps"].items()
    assert broker.patch(f"{MAPS}/{name_of(made)}", json={"expiresAt": "2999-01-01T00:00:00Z"}).status_code == 204
    mine, theirs = broker.get(f"{MAPS}/{name_of(made)}").json(), town.http.get(f"{MAPS}/{there}").json()
    assert mine["expiresAt"][:16] == theirs["expiresAt"][:16]
    assert broker.delete(f"{MAPS}/{name_of(made)}").status_code == 204
    assert town.http.get(f"{MAPS}/{there}").status_code == 404


def test_5_5_14_a_map_that_ended_at_a_source_hides_nothing(broker, town):
    town.registered_at(broker, TYPE, operations=OPERATIONS)
    asked = {"type": TYPE, **PERIOD, "limit": 2}
    first = broker.get("temporal/entities", params={**asked, "entityMap": "true"})
    ((_, there),) = linked(broker, first).items()
    assert town.http.delete(f"{MAPS}/{there}").status_code == 204
    goes_on = {HEADER: first.headers[HEADER]}
    assert ids(broker.get("temporal/entities", params={**asked, "offset": 2}, headers=goes_on)) == ["2", "4"]
    assert linked(broker, first) == {}
    assert ids(broker.get("temporal/entities", params={**asked, "offset": 4}, headers=goes_on)) == ["5"]


def test_4_20_a_source_that_keeps_no_maps_is_asked_for_as_little_as_can_be(broker, source):
    there = source()
    whole = [evolution(number, ("08:10", number), ("09:10", number * 10)) for number in (7, 8)]
    there.answers["GET", "/temporal/entities"] = lambda asked: (200, [one for one in whole if one["id"] in asked.params.get("id", one["id"])])
    said = {"type": "ContextSourceRegistration", "endpoint": there.url, "information": [{"entities": [{"type": TYPE}]}], "operations": ["queryTemporal"]}
    registered = broker.post("csourceRegistrations", json=said).headers["location"].rsplit("/", 1)[-1]
    made = broker.get("temporal/entities", params={"type": TYPE, **PERIOD, "limit": 1, "entityMap": "true"})
    assert (made.status_code, ids(made), "NGSILD-Warning" in made.headers) == (201, ["7"], False)
    kept = broker.get(f"{MAPS}/{name_of(made)}").json()
    assert kept["entityMap"] == {uri(7): [registered], uri(8): [registered]}
    assert "linkedMaps" not in kept
    listing, page = there.asked
    assert (listing.params["lastN"], listing.params["options"], "entityMap" in listing.params) == ("1", "temporalValues", False)
    assert (page.params["id"], "lastN" in page.params) == (uri(7), False)
