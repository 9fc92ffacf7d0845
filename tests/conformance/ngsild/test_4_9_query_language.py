"""§4.9, §4.10, §5.7.2: finding entities by what they say and where they are."""

import json

import pytest

TOWN = [
    {"id": "urn:x:W:1", "type": "W", "temperature": 21.5, "status": "ok", "location": {"type": "Point", "coordinates": [0.0, 0.0]}, "owner": {"object": "urn:x:O:1"}},
    {"id": "urn:x:W:2", "type": "W", "temperature": 25, "status": "fault", "location": {"type": "Point", "coordinates": [0.001, 0.0]}, "seen": "2026-11-01T00:00:00Z"},
    {"id": "urn:x:Z:3", "type": "V", "temperature": "hot", "address": {"value": {"addressLocality": "Évora"}}, "location": {"type": "Point", "coordinates": [1.0, 1.0]}},
]  # fmt: skip


@pytest.fixture
def town(broker):
    assert broker.post("entityOperations/create", json=TOWN).status_code == 201
    return broker


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=temperature>21", "12"), ("q=temperature==20..22", "1"), ("q=temperature==25,99", "2"), ('q=status=="ok"|status=="fault"', "12"),
        ("q=temperature>20;status!=ok", "2"), ("q=(temperature>24|status==ok);temperature<30", "12"), ("q=address[addressLocality]==Évora", "3"),
        ("q=owner==urn:x:O:1", "1"), ("q=seen>=2026-10-31T23:59:59Z", "2"), ("q=status~=^f", "2"), ("q=temperature!=25", "13"), ("q=owner", "1"),
        ("q=!owner", "23"), ("q=!owner;temperature>20", "2"), ("q=!owner|status==ok", "123"), ("q=!address[addressLocality]", "12"), ("q=!(owner)", None),
        ("q=!owner==1", None),
        ("type=W,V", "123"), ("type=(W|V)", "123"), ("type=W&id=urn:x:W:2,urn:x:Z:3", "2"), ("type=W&idPattern=.*:1$", "1"), ("attrs=address", "3"),
        ("type=W&georel=near;maxDistance==50&geometry=Point&coordinates=[0,0]", "1"), ("type=W&georel=near;minDistance==50&geometry=Point&coordinates=[0,0]", "2"),
        ("georel=within&geometry=Polygon&coordinates=[[[-1,-1],[0.5,-1],[0.5,0.5],[-1,0.5],[-1,-1]]]", "12"),
        ("georel=disjoint&geometry=Polygon&coordinates=[[[-1,-1],[0.5,-1],[0.5,0.5],[-1,0.5],[-1,-1]]]", "3"),
        ("georel=equals&geometry=Point&coordinates=[1,1]", "3"), ("georel=intersects&geometry=LineString&coordinates=[[0,0],[1,1]]", "13"),
        ("local=true", "123"), ("type=Nothing", ""),
    ],
)  # fmt: skip
def test_4_9_and_4_10(town, query, found):
    answer = town.get(f"entities?{query}&count=true&options=keyValues")
    if found is None:  # what the grammar does not have
        assert answer.status_code == 400
        return
    assert answer.status_code == 200, answer.text
    assert "".join(e["id"][-1] for e in answer.json()) == found
    assert answer.headers["ngsild-results-count"] == str(len(found))


def test_5_7_2_the_same_by_body(town):
    body = {
        "type": "Query",
        "entities": [{"type": "W"}],
        "q": "temperature>24",
        "geoQ": {"georel": "near;maxDistance==500", "geometry": "Point", "coordinates": [0, 0]},
    }
    assert [e["id"] for e in town.post("entityOperations/query", json=body).json()] == ["urn:x:W:2"]


def test_5_5_9_pages_cover_everything_once(town):
    seen, path = [], "entities?local=true&limit=1"
    while path:
        answer = town.get(path)
        seen += [e["id"] for e in answer.json()]
        link = answer.links.get("next", {}).get("url", "")
        path = f"entities{link.partition('/entities')[2]}" if link else ""
    assert seen == [e["id"] for e in TOWN]


def test_5_7_5_types_and_attributes(town):
    assert town.get("types").json()["typeList"] == ["V", "W"]
    assert {t["typeName"]: t["attributeNames"] for t in town.get("types?details=true").json()}["V"] == ["address", "location", "temperature"]
    assert town.get("types/W").json()["entityCount"] == 2
    assert town.get("types/Nothing").status_code == 404
    assert "seen" in town.get("attributes").json()["attributeList"]


def test_6_3_6_context_of_the_answer(town):
    as_json = town.get("entities/urn:x:W:1", headers={"Accept": "application/json"})
    assert "@context" not in as_json.json()
    assert 'rel="http://www.w3.org/ns/json-ld#context"' in as_json.headers["link"]
    as_ld = town.get("entities/urn:x:W:1", headers={"Accept": "application/ld+json"})
    assert "@context" in as_ld.json()
    assert json.loads(town.get("entities?type=W").text)[0]["@context"]
