"""GS CIM 009 §5.5.14, §5.14, §6.32, §6.34, §6.35: entity maps; pages of the same entities while others come and go."""

import pytest

MAPS, HEADER = "entityMaps", "NGSILD-EntityMap"


def contentor(number, level=50):
    return {"id": f"urn:x:Contentor:{number}", "type": "Contentor", "nivel": {"type": "Property", "value": level}}


@pytest.fixture
def five(broker):
    for number in range(5):
        assert broker.post("entities", json=contentor(number)).status_code == 201
    return broker


def ids(answer):
    return [each["id"].rsplit(":", 1)[-1] for each in answer.json()]


def name_of(answer):
    return answer.headers[HEADER].rsplit("/", 1)[-1]


def test_pages_are_of_the_entities_that_were_there(five):
    first = five.get("entities", params={"type": "Contentor", "limit": 2, "entityMap": "true"})
    assert (first.status_code, ids(first), 'rel="next"' in first.headers["Link"]) == (201, ["0", "1"], True)
    goes_on = {HEADER: first.headers[HEADER]}
    five.post("entities", json=contentor(9))
    five.delete("entities/urn:x:Contentor:2")
    second = five.get("entities", params={"type": "Contentor", "limit": 2, "offset": 2, "count": "true"}, headers=goes_on)
    assert (second.status_code, ids(second), second.headers["NGSILD-Results-Count"]) == (200, ["3", "4"], "4")
    assert second.headers[HEADER] == first.headers[HEADER]
    assert "next" not in second.headers.get("Link", "")
    left = five.get(f"{MAPS}/{name_of(first)}").json()
    assert left["type"] == "EntityMap"
    assert list(left["entityMap"].items())[2] == ("urn:x:Contentor:3", ["@none"])
    assert len(left["entityMap"]) == 4


def test_it_is_made_kept_changed_and_ended(five):
    made = five.get(MAPS, params={"type": "Contentor", "q": "nivel>40", "entityMapLifetime": "P3650D"})
    assert (made.status_code, len(made.json()["entityMap"])) == (201, 5)
    assert made.json()["expiresAt"] < "2030"
    name = name_of(made)
    assert five.patch(f"{MAPS}/{name}", json={"expiresAt": "2999-01-01T00:00:00Z", "entityMap": {"urn:x:a": ["@none"]}}).status_code == 204
    kept = five.get(f"{MAPS}/{name}").json()
    assert kept["expiresAt"] < "2999"
    assert "urn:x:a" not in kept["entityMap"]
    assert five.patch(f"{MAPS}/{name}", json={"expiresAt": "amanha"}).status_code == 400
    assert five.delete(f"{MAPS}/{name}").status_code == 204
    assert [five.get(f"{MAPS}/{name}").status_code, five.delete(f"{MAPS}/{name}").status_code] == [404, 404]
    assert five.get(f"{MAPS}/nada").status_code == 400


def test_one_that_ended_is_made_anew(five):
    made = five.get(MAPS, params={"type": "Contentor"})
    assert five.patch(f"{MAPS}/{name_of(made)}", json={"expiresAt": "2000-01-01T00:00:00Z"}).status_code == 204
    assert five.get(f"{MAPS}/{name_of(made)}").status_code == 404
    again = five.get("entities", params={"type": "Contentor"}, headers={HEADER: made.headers[HEADER]})
    assert again.status_code == 201
    assert again.headers[HEADER] != made.headers[HEADER]


@pytest.mark.parametrize("params", [{"id": "urn:x:Contentor:1"}, {"type": "Contentor", "entityMapLifetime": "1hour"}])
def test_what_cannot_be_asked(five, params):
    assert five.get(MAPS, params=params).status_code == 400


def test_of_what_was(five):
    period = {"timerel": "after", "timeAt": "2000-01-01T00:00:00Z", "timeproperty": "createdAt"}
    assert five.get("temporal/entityMaps", params={"type": "Contentor"}).status_code == 400
    made = five.get("temporal/entities", params={"type": "Contentor", "id": "urn:x:Contentor:1", "entityMap": "true", **period})
    assert (made.status_code, ids(made)) == (201, ["1"])
    after = five.get("temporal/entities", params={"type": "Contentor", **period}, headers={HEADER: made.headers[HEADER]})
    assert (after.status_code, ids(after)) == (200, ["1"])
    assert len(five.get("temporal/entityMaps", params={"type": "Contentor", **period}).json()["entityMap"]) == 5
    none = five.get("temporal/entityMaps", params={"type": "Contentor", **period, "timerel": "before"})
    assert none.json()["entityMap"] == {}
    assert five.get("temporal/entities", params={"type": "Contentor", **period}, headers={HEADER: none.headers[HEADER]}).json() == []


def test_nobody_else_reads_it(five, other_client):
    made = five.get(MAPS, params={"type": "Contentor"})
    assert other_client(five).get(f"{MAPS}/{name_of(made)}").status_code == 404


def test_one_entity_has_a_map_too(five):
    made = five.get("entities/urn:x:Contentor:1", params={"entityMap": "true"})
    assert (made.status_code, made.json()["id"]) == (200, "urn:x:Contentor:1")
    again = five.get("entities/urn:x:Contentor:1", headers={HEADER: made.headers[HEADER]})
    assert again.headers[HEADER] == made.headers[HEADER]
    assert five.get("entities/urn:x:Contentor:1", headers={HEADER: "urn:ngsi-ld:entitymap:nada"}).headers[HEADER] != made.headers[HEADER]
    assert five.get(f"{MAPS}/{name_of(made)}").json()["entityMap"] == {"urn:x:Contentor:1": ["@none"]}


def test_a_query_in_the_body_asks_for_one(five):
    """§5.2.23: `entityMap` in the Query is what the parameter is."""
    ask = {"type": "Query", "entities": [{"type": "Contentor"}], "entityMap": True, "entityMapLifetime": "P3650D"}
    made = five.post("entityOperations/query", params={"limit": 2}, json=ask)
    assert (made.status_code, ids(made)) == (201, ["0", "1"])
    kept = five.get(f"{MAPS}/{name_of(made)}").json()
    assert (len(kept["entityMap"]), kept["expiresAt"] < "2030") == (5, True)
    five.post("entities", json=contentor(9))
    goes_on = {HEADER: made.headers[HEADER]}
    after = five.post("entityOperations/query", params={"limit": 3, "offset": 3}, json=ask, headers=goes_on)
    assert (after.status_code, ids(after), after.headers[HEADER]) == (200, ["3", "4"], made.headers[HEADER])
    none = five.post("entityOperations/query", json={**ask, "entityMap": False})
    assert (none.status_code, HEADER in none.headers) == (200, False)


@pytest.mark.parametrize("said", [{"entityMap": "sim"}, {"entityMap": 1}, {"entityMap": True, "entityMapLifetime": "1hour"}, {"splitEntities": "true"}])
def test_a_query_that_says_it_wrongly_is_refused(five, said):
    refused = five.post("entityOperations/query", json={"type": "Query", "entities": [{"type": "Contentor"}], **said})
    assert refused.status_code == 400
    assert HEADER not in refused.headers


def test_a_temporal_query_in_the_body_asks_for_one(five):
    period = {"timerel": "after", "timeAt": "2000-01-01T00:00:00Z", "timeproperty": "createdAt"}
    ask = {"type": "Query", "entities": [{"type": "Contentor"}], "temporalQ": period, "entityMap": True}
    made = five.post("temporal/entityOperations/query", json=ask)
    assert (made.status_code, len(ids(made))) == (201, 5)
    assert len(five.get(f"{MAPS}/{name_of(made)}").json()["entityMap"]) == 5
