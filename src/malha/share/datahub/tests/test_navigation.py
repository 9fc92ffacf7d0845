import xml.etree.ElementTree as ET

import pytest

from malha.history.lake import service as lake
from malha.share.datahub.odata import navigation
from malha.share.datahub.tests.test_odata import values
from malha.share.datahub.tests.town import write

AIR = "AirQualityObserved"


def test_metadata_declares_what_may_be_followed(client, town):
    ours = client.of(town)
    edm = "{http://docs.oasis-open.org/odata/ns/edm}"
    tree = ET.fromstring(ours.get("odata/$metadata").text)
    types = {one.get("Name"): one for one in tree.iter(f"{edm}EntityType")}
    links = {one.get("Name"): one.get("Type") for one in types[AIR].iter(f"{edm}NavigationProperty")}
    assert links == {name: f"Collection(Malha.{AIR}_{name})" for name in ("hourly", "daily", "series")}
    [back] = types[f"{AIR}_daily"].iter(f"{edm}NavigationProperty")
    assert back.get("Type") == f"Malha.{AIR}"
    assert back.find(f"{edm}ReferentialConstraint").attrib == {"Property": "entity", "ReferencedProperty": "id"}
    sets = {one.get("Name") for one in tree.iter(f"{edm}EntitySet")}
    assert {one.get("Target") for one in tree.iter(f"{edm}NavigationPropertyBinding")} <= sets
    json = ours.get("odata/$metadata", params={"$format": "json"}).json()
    assert json["Malha"][AIR]["hourly"] == {"$Kind": "NavigationProperty", "$Type": f"Malha.{AIR}_hourly", "$Collection": True, "$Partner": "current"}


@pytest.mark.parametrize("compacted", [False, True], ids=["hot", "lake"])
def test_a_thing_comes_with_its_past(client, town, compacted):
    if compacted:
        lake.compact(town.id)
    ours = client.of(town)
    asked = "hourly($select=start,sum;$filter=attribute eq 'pm10' and sum gt 1;$orderby=start desc;$top=2;$count=true)"
    rows = values(ours.get(f"odata/{AIR}", params={"$expand": asked, "$select": "pm10", "$orderby": "id"}))
    assert set(rows[0]) == {"pm10", "hourly", "hourly@odata.count"}
    assert rows[2]["hourly"] == [{"start": "2026-03-01T02:00:00Z", "sum": 4.0}, {"start": "2026-03-01T01:00:00Z", "sum": 3.0}]
    assert [row["hourly@odata.count"] for row in rows] == [1, 2, 3, 3, 0]
    assert rows[4]["hourly"] == []
    one = ours.get(f"odata/{AIR}('urn:x:AirQualityObserved:00001')", params={"$expand": "series($filter=attribute eq 'pm10'),daily($top=1)"}).json()
    assert [row["value"] for row in one["series"]] == [1.0, 2.0, 3.0]
    assert len(one["daily"]) == 1


def test_a_value_comes_with_its_thing(client, town):
    lake.compact(town.id)
    ours = client.of(town)
    asked = {
        "$expand": "current($select=stationName;$expand=daily($select=sum;$filter=attribute eq 'pm10'))",
        "$filter": "attribute eq 'pm10'",
        "$select": "value",
    }
    rows = values(ours.get(f"odata/{AIR}_series", params=asked, headers={"Prefer": "odata.maxpagesize=4"}))
    assert [row["value"] for row in rows] == [0.0, 1.0, 2.0, 1.0]
    assert rows[3] == {"value": 1.0, "current": {"stationName": "Estação B", "daily": [{"sum": 6.0}]}}


def test_what_is_left_of_a_past_follows_by_its_link(client, town, monkeypatch):
    monkeypatch.setattr(navigation, "EACH", 2)
    monkeypatch.setattr(navigation, "PARENTS", 3)
    ours = client.of(town)
    first = ours.get(f"odata/{AIR}", params={"$expand": "series($filter=attribute eq 'pm10';$select=value)"}).json()
    assert len(first["value"]) == 3
    row = first["value"][1]
    assert [one["value"] for one in row["series"]] == [1.0, 2.0]
    assert values(ours.get(row["series@odata.nextLink"])) == [{"value": 3.0}]
    rest = ours.get(first["@odata.nextLink"]).json()
    assert [len(one["series"]) for one in rest["value"]] == [2, 0]


def test_following_by_address(client, town):
    write(town, ("urn:x:it's/odd:1", AIR, {"pm10": {"type": "Property", "value": 7, "observedAt": "2026-03-01T00:00:00Z"}}))
    ours = client.of(town)
    first = ours.get(f"odata/{AIR}('urn:x:AirQualityObserved:00002')/series?$select=attribute,value", headers={"Prefer": "odata.maxpagesize=2"}).json()
    rest = ours.get(first["@odata.nextLink"]).json()
    assert {row["attribute"] for row in first["value"] + rest["value"]} >= {"pm10"}
    assert values(ours.get(f"odata/{AIR}('urn:x:it''s/odd:1')/hourly"))[0]["sum"] == 7.0
    row = values(ours.get(f"odata/{AIR}_series?$filter=attribute eq 'pm10'&$top=1"))[0]
    key = ",".join(
        f"{name}={row[name] if name == 'observedAt' else chr(39) + row[name] + chr(39)}" for name in ("attribute", "entity", "instance", "observedAt")
    )
    assert ours.get(f"odata/{AIR}_series({key})/current?$select=id").json()["id"] == row["entity"]
    assert ours.get(f"odata/{AIR}('nada')/series").status_code == 404
    assert ours.get(f"odata/{AIR}('urn:x:AirQualityObserved:00002')/nada").status_code == 400


@pytest.mark.parametrize(
    "asked",
    [
        "nada", "hourly,hourly", "", ",", "hourly(", "hourly)", "hourly($filter=sum gt 1", "hourly($filter=entity eq 'x)", "hourly($top=1001)", "hourly($top=-1)",
        "hourly($filter=nada eq 1)", "hourly($select=nada)", "hourly($filter=sum eq '; DROP TABLE entity; --')", "hourly($expand=current($expand=hourly))",
        "hourly($filter=pg_sleep(9) eq 1)", "hourly($orderby=(select 1))",
    ],
)  # fmt: skip
def test_bad_expansions_are_told(client, town, asked):
    answer = client.of(town).get(f"odata/{AIR}", params={"$expand": asked})
    assert answer.status_code == 400 or asked == "", answer.text
    if asked:
        assert answer.json()["error"]["message"]


def test_injection_in_an_expansion_finds_nothing(client, town):
    ours = client.of(town)
    for text in ("' OR '1'='1", "x') OR (1=1", "'; SELECT 1; --", "%(tenant)s", "$h0", ";$top=1", ",series"):
        quoted = text.replace("'", "''")
        rows = values(ours.get(f"odata/{AIR}", params={"$expand": f"series($filter=entity eq '{quoted}' or text eq '{quoted}')"}))
        assert [row["series"] for row in rows] == [[]] * 5


def test_what_the_reader_does_not_get_stays_out_of_expansions(client, town):
    ours = client.of(town, scope={"attributes": ["pm10"]})
    rows = values(ours.get(f"odata/{AIR}", params={"$expand": "series"}))
    assert {one["attribute"] for row in rows for one in row["series"]} == {"pm10"}
    west = {"type": "Polygon", "coordinates": [[[-9, 38], [-8.5985, 38], [-8.5985, 42], [-9, 42], [-9, 38]]]}
    rows = values(client.of(town, scope={"area": west}).get(f"odata/{AIR}", params={"$expand": "series,hourly"}))
    assert {one["entity"][-1] for row in rows for one in row["series"] + row["hourly"]} == {"0", "1"}
    assert client.of(town, scope={"area": west}).get(f"odata/{AIR}('urn:x:AirQualityObserved:00004')/series").status_code == 404
