"""GS CIM 009 §5.2.39, §5.5.14, §5.7.1.4, §5.14.4: maps over sources that keep maps of their own."""

import pytest

MAPS, HEADER, TYPE = "entityMaps", "NGSILD-EntityMap", "Contentor"


def contentor(number, level=50):
    return {"id": f"urn:x:{TYPE}:{number}", "type": TYPE, "nivel": {"type": "Property", "value": level}}


def ids(answer):
    return [each["id"].rsplit(":", 1)[-1] for each in answer.json()]


def name_of(answer):
    return answer.headers[HEADER].rsplit("/", 1)[-1]


@pytest.fixture
def town(party, broker):
    """A source that keeps maps, with four entities; one is here."""
    there = party()
    assert there.http.post("entityOperations/create", json=[contentor(n) for n in (2, 3, 4, 5)]).status_code == 201
    assert broker.post("entities?local=true", json=contentor(1)).status_code == 201
    return there


def linked(broker, made):
    return broker.get(f"{MAPS}/{name_of(made)}").json().get("linkedMaps", {})


def test_5_7_2_4_a_source_keeps_a_map_too_and_pages_go_on_with_it(broker, town):
    registered = town.registered_at(broker, TYPE)
    first = broker.get("entities", params={"type": TYPE, "limit": 2, "entityMap": "true", "entityMapLifetime": "PT2M"})
    assert (first.status_code, ids(first)) == (201, ["1", "2"])
    ((registration, there),) = linked(broker, first).items()
    assert registration == registered
    theirs = town.http.get(f"{MAPS}/{there}").json()
    assert sorted(uri[-1] for uri in theirs["entityMap"]) == ["2", "3", "4", "5"]
    mine = broker.get(f"{MAPS}/{name_of(first)}").json()
    assert abs(int(theirs["expiresAt"][14:16]) - int(mine["expiresAt"][14:16])) <= 1
    town.http.delete(f"entities/urn:x:{TYPE}:3")
    second = broker.get("entities", params={"type": TYPE, "limit": 2, "offset": 2}, headers={HEADER: first.headers[HEADER]})
    assert (second.status_code, ids(second)) == (200, ["4"])
    assert linked(broker, first) == {registered: there}


def test_5_14_4_a_map_alone_is_made_of_the_maps_of_sources(broker, town):
    registered = town.registered_at(broker, TYPE)
    made = broker.get(MAPS, params={"type": TYPE, "q": "nivel>40"})
    assert made.status_code == 201
    assert {uri[-1]: places for uri, places in made.json()["entityMap"].items()} == {
        "1": ["@none"], "2": [registered], "3": [registered], "4": [registered], "5": [registered],
    }  # fmt: skip
    ((_, there),) = made.json()["linkedMaps"].items()
    assert len(town.http.get(f"{MAPS}/{there}").json()["entityMap"]) == 4
    asked = {"type": TYPE, "q": "nivel>40", "limit": 10}
    assert ids(broker.get("entities", params=asked, headers={HEADER: made.headers[HEADER]})) == ["1", "2", "3", "4", "5"]


def test_5_14_2_and_5_14_3_the_maps_of_sources_end_with_it(broker, town):
    town.registered_at(broker, TYPE)
    made = broker.get(MAPS, params={"type": TYPE})
    ((_, there),) = made.json()["linkedMaps"].items()
    assert broker.patch(f"{MAPS}/{name_of(made)}", json={"expiresAt": "2999-01-01T00:00:00Z"}).status_code == 204
    mine, theirs = broker.get(f"{MAPS}/{name_of(made)}").json(), town.http.get(f"{MAPS}/{there}").json()
    assert mine["expiresAt"][:16] == theirs["expiresAt"][:16]
    assert broker.delete(f"{MAPS}/{name_of(made)}").status_code == 204
    assert town.http.get(f"{MAPS}/{there}").status_code == 404
    assert broker.patch(f"{MAPS}/{name_of(made)}", json={}).status_code == 404


def test_5_5_14_a_map_that_ended_at_a_source_hides_nothing(broker, town):
    town.registered_at(broker, TYPE)
    first = broker.get("entities", params={"type": TYPE, "limit": 2, "entityMap": "true"})
    ((_, there),) = linked(broker, first).items()
    assert town.http.delete(f"{MAPS}/{there}").status_code == 204
    goes_on = {HEADER: first.headers[HEADER]}
    assert ids(broker.get("entities", params={"type": TYPE, "limit": 2, "offset": 2}, headers=goes_on)) == ["3", "4"]
    assert linked(broker, first) == {}
    assert ids(broker.get("entities", params={"type": TYPE, "limit": 2, "offset": 4}, headers=goes_on)) == ["5"]


def test_5_7_1_4_one_entity_is_looked_for_where_its_map_says(broker, town, source):
    registered = town.registered_at(broker, TYPE)
    made = broker.get(f"entities/urn:x:{TYPE}:4", params={"entityMap": "true"})
    assert (made.status_code, made.json()["id"]) == (200, f"urn:x:{TYPE}:4")
    kept = broker.get(f"{MAPS}/{name_of(made)}").json()
    assert kept["entityMap"] == {f"urn:x:{TYPE}:4": [registered]}
    assert list(kept["linkedMaps"]) == [registered]
    later = source()
    later.serve(contentor(4, 90))
    said = {"type": "ContextSourceRegistration", "endpoint": later.url, "information": [{"entities": [{"type": TYPE}]}]}
    assert broker.post("csourceRegistrations", json=said).status_code == 201
    again = broker.get(f"entities/urn:x:{TYPE}:4", headers={HEADER: made.headers[HEADER]})
    assert (again.headers[HEADER], again.json()["nivel"]["value"]) == (made.headers[HEADER], 50)
    assert later.asked == []
    assert broker.get(f"entities/urn:x:{TYPE}:9", params={"entityMap": "true"}).status_code == 404


def test_5_5_14_a_source_that_keeps_no_maps(broker, source):
    there = source()
    there.serve(contentor(7))
    plain = there.answers["GET", "/entities"]
    there.answers["GET", "/entities"] = lambda asked: (400, {"title": "what is entityMap?"}) if "entityMap" in asked.params else plain(asked)
    said = {"type": "ContextSourceRegistration", "endpoint": there.url, "information": [{"entities": [{"type": TYPE}]}]}
    assert broker.post("csourceRegistrations", json=said).status_code == 201
    for made in (broker.get("entities", params={"type": TYPE, "entityMap": "true"}), broker.get(MAPS, params={"type": TYPE})):
        assert (made.status_code, "NGSILD-Warning" in made.headers) == (201, False)
        assert [uri[-1] for uri in broker.get(f"{MAPS}/{name_of(made)}").json()["entityMap"]] == ["7"]
        assert linked(broker, made) == {}


def test_4_20_only_those_that_take_it_are_asked_for_maps(broker, source):
    there = source()
    there.serve(contentor(7))
    said = {"type": "ContextSourceRegistration", "endpoint": there.url, "information": [{"entities": [{"type": TYPE}]}], "operations": ["associationOps"]}
    assert broker.post("csourceRegistrations", json=said).status_code == 201
    assert broker.get("entities", params={"type": TYPE, "entityMap": "true"}).status_code == 201
    assert broker.get(MAPS, params={"type": TYPE}).status_code == 201
    assert {(one.path, one.params.get("entityMap")) for one in there.asked} == {("/entities", None)}


def test_a_map_of_a_source_names_only_what_it_is_registered_for(broker, source):
    there = source()
    there.answers["GET", f"/{MAPS}"] = (201, {"id": "urn:x:mapa", "type": "EntityMap", "entityMap": {f"urn:x:{TYPE}:1": ["@none"], "urn:x:Outro:1": ["@none"]}})
    information = [{"entities": [{"type": TYPE, "idPattern": f"^urn:x:{TYPE}:"}]}]
    said = {"type": "ContextSourceRegistration", "endpoint": there.url, "information": information}
    assert broker.post("csourceRegistrations", json=said).status_code == 201
    made = broker.get(MAPS, params={"type": TYPE})
    assert list(made.json()["entityMap"]) == [f"urn:x:{TYPE}:1"]
    assert list(made.json()["linkedMaps"].values()) == ["urn:x:mapa"]


def test_5_2_23_a_query_in_the_body_asks_sources_for_maps_too(broker, town):
    registered = town.registered_at(broker, TYPE)
    ask = {"type": "Query", "entities": [{"type": TYPE}], "entityMap": True, "entityMapLifetime": "PT2M"}
    first = broker.post("entityOperations/query", params={"limit": 2}, json=ask)
    assert (first.status_code, ids(first)) == (201, ["1", "2"])
    assert list(linked(broker, first)) == [registered]
    second = broker.post("entityOperations/query", params={"limit": 2, "offset": 2}, json=ask, headers={HEADER: first.headers[HEADER]})
    assert (second.status_code, ids(second)) == (200, ["3", "4"])
