"""OGC 18-088 §9.3: query options."""

import pytest


def values(sta, path):
    answer = sta.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()["value"]


def names(sta, where, kind="Things"):
    return sorted(one["name"] for one in values(sta, f"{kind}?$filter={where}"))


def results(sta, where):
    return sorted(one["result"] for one in values(sta, f"Observations?$filter={where}"))


def test_pages_are_walked_by_their_next_link(sta):
    seen, path = [], "Observations?$top=5&$orderby=result desc&$count=true"
    while path:
        body = sta.get(path).json()
        assert body["@iot.count"] == 12
        seen += [one["result"] for one in body["value"]]
        path = body.get("@iot.nextLink")
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 12
    assert [one["result"] for one in values(sta, "Observations?$orderby=result desc&$skip=10")] == [1, 0]
    assert sta.get("Observations?$top=0&$count=true").json() == {"@iot.count": 12, "value": []}


def test_references_are_walked_by_their_next_link(sta):
    seen, path = [], "Things/$ref?$top=2"
    while path and len(seen) < 10:
        body = sta.get(path).json()
        seen += [one["@iot.selfLink"] for one in body["value"]]
        path = body.get("@iot.nextLink")
    assert len(seen) == len(set(seen)) == 3


def test_an_observation_of_another_century_is_refused(sta):
    (stream, *_rest) = values(sta, "Datastreams?$filter=name ne ''")
    said = {"result": 4, "phenomenonTime": "2106-02-07T06:28:15Z"}
    refused = sta.post(f"{stream['@iot.selfLink']}/Observations", json=said, headers={"Accept-Language": "en"})
    assert refused.status_code == 400
    assert "Set the clock" in refused.json()["detail"]
    assert "2106" not in sta.get("Observations?$orderby=phenomenonTime desc&$top=1").text


def test_expand_is_nested_with_options_of_its_own(sta):
    wanted = "Datastreams($select=name,unitOfMeasurement/symbol;$expand=ObservedProperty,Observations($top=2;$orderby=phenomenonTime desc;$count=true;$select=result)),Locations"
    body = values(sta, f"Things?$orderby=name asc&$expand={wanted}")
    assert [one["name"] for one in body] == ["Estação A", "Estação B", "Estação C"]
    stream = body[2]["Datastreams"][0]
    assert stream["Observations"] == [{"result": 5}, {"result": 4}]
    assert stream["Observations@iot.count"] == 4
    assert len(values(sta, stream["Observations@iot.nextLink"])) == 2
    assert stream["unitOfMeasurement"] == {"symbol": "µg/m³"}
    assert "description" not in stream
    assert stream["ObservedProperty"]["@iot.id"]
    assert body[0]["Locations"][0]["location"]["type"] == "Point"
    short = values(sta, "Things?$expand=Datastreams/Observations&$top=1")[0]
    assert len(short["Datastreams"][0]["Observations"]) == 4
    one = values(sta, "Observations?$top=1&$expand=Datastream/Thing,FeatureOfInterest")[0]
    assert one["Datastream"]["Thing"]["name"] == "Estação A"
    assert one["FeatureOfInterest"]["feature"]["type"] == "Point"


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("result gt 4", [5]),
        ("result add 1 eq 6 or result mul 2 eq 0", [0, 5]),
        ("result div 2 ge 2 and not (result eq 4)", [5]),
        ("result mod 4 eq 1", [1, 1, 5]),
        ("result in (0,5)", [0, 5]),
        ("phenomenonTime ge 2026-03-01T03:00:00Z", [3, 4, 5]),
        ("phenomenonTime lt 2026-03-01T02:00:00Z add duration'PT1H' and phenomenonTime gt 2026-03-01T01:00:00Z", [2, 3, 4]),
        ("hour(phenomenonTime) eq 0", [0, 1, 2]),
        ("date(resultTime) eq 2026-03-01 and result eq 5", [5]),
        ("Datastream/Thing/name eq 'Estação C' and result lt 4", [2, 3]),
        ("Datastream/unitOfMeasurement/symbol eq 'µg/m³' and result eq 5", [5]),
        ("Datastream/Thing/name eq 'Estação A' or result eq 5", [0, 1, 2, 3, 5]),
        ("geo.distance(FeatureOfInterest/feature, geography'POINT(-8.6 41.1)') lt 100 and result gt 1", [2, 3]),
        ("round(result div 2) eq 1 and result lt 2", [1, 1]),
        ("fractionalseconds(phenomenonTime) eq 0 and phenomenonTime gt mindatetime() and totaloffsetminutes(resultTime) eq 0 and result ge 5", [5]),
        ("phenomenonTime gt now() sub duration'P1D'", []),
    ],
)
def test_filters_of_observations(sta, where, found):
    assert results(sta, where.replace("µ", "%C2%B5")) == found


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("name eq 'Estação B'", ["B"]),
        ("startswith(name, 'Estação') and endswith(name, 'A')", ["A"]),
        ("substringof('ção C', name)", ["C"]),
        ("contains(tolower(name), 'estação b') or length(name) eq 0", ["B"]),
        ("concat(name, '!') eq 'Estação A!'", ["A"]),
        ("properties/id eq 'urn:x:AirQualityObserved:2'", ["C"]),
        ("properties/type ne 'AirQualityObserved'", []),
        ("Datastreams/Observations/result eq 5", ["C"]),
        ("Datastreams/ObservedProperty/definition eq 'x'", []),
        ("not (Datastreams/Observations/result gt 4)", ["A", "B"]),
        ("Datastreams/unitOfMeasurement/symbol eq 'µg/m³' and name gt 'Estação A'", ["B", "C"]),
        ("st_within(Locations/location, geography'POLYGON((-8.605 41, -8.595 41, -8.595 41.2, -8.605 41.2, -8.605 41))')", ["A"]),
        ("geo.distance(Locations/location, geography'POINT(-8.6 41.1)') gt 1000", ["C"]),
        ("geo.distance(Locations/location, geometry'POINT(-8.6 41.1)') le 0.0101", ["A", "B"]),
        ("st_disjoint(Locations/location, geography'POINT(-8.6 41.1)')", ["B", "C"]),
        ("geo.intersects(Locations/location, geography'POINT(-8.59 41.1)')", ["B"]),
        ("st_equals(Locations/location, geography'POINT(-8.58 41.1)')", ["C"]),
    ],
)
def test_filters_of_things(sta, where, found):
    assert [name[-1] for name in names(sta, where.replace("µ", "%C2%B5"))] == found


def test_order_by_what_a_link_leads_to(sta):
    found = values(sta, "Datastreams?$orderby=Thing/name desc&$expand=Thing")
    assert [one["Thing"]["name"][-1] for one in found] == ["C", "B", "A"]


def test_order_and_count_without_answers(sta):
    body = sta.get("Things?$filter=name eq 'x'&$count=true").json()
    assert body == {"@iot.count": 0, "value": []}


@pytest.mark.parametrize(
    "query",
    [
        "Things?$filter=name eq", "Things?$filter=nada eq 1", "Things?$filter=name", "Things?$orderby=nada", "Things?$top=-1", "Things?$skip=x",
        "Things?$count=sim", "Things?$select=nada", "Things?$expand=nada", "Things?$expand=Datastreams($top=1", "Things?$nada=1", "Things?$top=1&$top=2",
        "Things?$filter=st_within(Locations/location, geography'POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))')", "Things?$filter=st_within(name, geography'POINT(0 0)')",
        "Things?$expand=Datastreams($expand=Thing($expand=Datastreams($expand=Thing($expand=Datastreams))))", "Things(1)/name/$value/x",
        "Observations?$filter=phenomenonTime gt 2026-13-01T00:00:00Z", "Observations?$filter=phenomenonTime add duration'x' gt now()", "Things/$value",
        "Things?resultFormat=dataArray", "Observations?$filter=result gt 1 sub 'x'", "Things?$filter=" + "(" * 200,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(sta, query):
    answer = sta.get(query)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["detail"]


def test_data_array(sta):
    body = sta.get("Observations?$resultFormat=dataArray&$orderby=phenomenonTime asc&$top=6").json()
    assert [group["components"] for group in body["value"]] == [["id", "phenomenonTime", "result", "resultTime"]] * 3
    assert sum(group["dataArray@iot.count"] for group in body["value"]) == 6
    assert {group["dataArray"][0][2] for group in body["value"]} == {0, 1, 2}
    few = sta.get("Observations?resultFormat=dataArray&$select=result&$top=1").json()["value"][0]
    assert few["components"] == ["result"]
    assert few["dataArray"] == [[0]]
