"""GS CIM 009 §4.5.19, §5.7.3, §5.7.4: sums of one series, of which several sources have a part; with real second planes, against a computation apart."""

import math
import statistics

import pytest

TYPE, URI = "Contentor", "urn:x:Contentor:1"
METHODS = ("totalCount", "sum", "avg", "min", "max", "stddev", "sumsq")
#: by place: (minute, value)
PARTS = {
    "here": [("08:10", 4), ("08:20", 9), ("09:05", 2)],
    "one": [("08:30", 7.5), ("09:30", -3), ("11:00", 5)],
    "other": [("08:40", 0), ("10:15", 12)],
}
WINDOW = {"timerel": "after", "timeAt": "2026-01-01T08:00:00Z"}


def evolution(part):
    return {"id": URI, "type": TYPE, "nivel": [{"type": "Property", "value": value, "observedAt": f"2026-01-01T{at}:00Z"} for at, value in part]}


@pytest.fixture
def places(broker, party):
    assert broker.post("temporal/entities?local=true", json=evolution(PARTS["here"])).status_code == 201
    for name in ("one", "other"):
        there = party()
        assert there.http.post("temporal/entities", json=evolution(PARTS[name])).status_code == 201
        there.registered_at(broker, TYPE, operations=["retrieveTemporal", "queryTemporal"])
    return broker


def expected(values):
    return {
        "totalCount": len(values), "sum": sum(values), "avg": statistics.fmean(values), "min": min(values), "max": max(values),
        "stddev": statistics.pstdev(values), "sumsq": sum(value * value for value in values),
    }  # fmt: skip


def by_hour():
    found = {}
    for part in PARTS.values():
        for at, value in part:
            found.setdefault(at[:2], []).append(value)
    return found


def told(attribute, method):
    return {start[11:13]: value for value, start, _ in attribute[method]}


def close(one, other):
    return one.keys() == other.keys() and all(math.isclose(one[key], other[key], abs_tol=1e-9) for key in one)


def test_by_the_hour(places):
    params = {**WINDOW, "options": "aggregatedValues", "aggrMethods": ",".join(METHODS), "aggrPeriodDuration": "PT1H"}
    answer = places.get(f"temporal/entities/{URI}", params=params)
    assert (answer.status_code, answer.headers.get("NGSILD-Warning")) == (200, None)
    for method in METHODS:
        assert close(told(answer.json()["nivel"], method), {hour: expected(values)[method] for hour, values in by_hour().items()}), method


@pytest.mark.parametrize("method", METHODS)
def test_each_alone_and_of_the_whole_period(places, method):
    answer = places.get("temporal/entities", params={**WINDOW, "type": TYPE, "options": "aggregatedValues", "aggrMethods": method})
    ((entity,), every) = answer.json(), [value for part in PARTS.values() for _, value in part]
    assert entity["nivel"].keys() == {"type", method}
    ((value, start, end),) = entity["nivel"][method]
    assert math.isclose(value, expected(every)[method], abs_tol=1e-9)
    assert (start[11:16], end[11:16]) == ("08:00", "11:00")


def test_by_a_body_and_the_last_buckets(places):
    asked = {
        "type": "Query", "entities": [{"type": TYPE}],
        "temporalQ": {**WINDOW, "lastN": 2, "aggrMethods": ["avg"], "aggrPeriodDuration": "PT1H"},
    }  # fmt: skip
    (entity,) = places.post("temporal/entityOperations/query", json=asked).json()
    assert told(entity["nivel"], "avg") == {"10": 12, "11": 5}
    assert entity["nivel"].keys() == {"type", "avg"}


def test_what_cannot_be_put_together_is_left_out_and_said(places):
    params = {**WINDOW, "options": "aggregatedValues", "aggrMethods": "distinctCount,sum", "aggrPeriodDuration": "PT1H"}
    answer = places.get(f"temporal/entities/{URI}", params=params, headers={"Accept-Language": "en"})
    assert told(answer.json()["nivel"], "distinctCount") == {"10": 1, "11": 1}
    assert told(answer.json()["nivel"], "sum") == {hour: sum(values) for hour, values in by_hour().items()}
    assert all(value.startswith("199 ") for value in answer.headers.get_list("NGSILD-Warning"))
    assert "distinctCount" in answer.headers["NGSILD-Warning"]


def test_buckets_that_begin_apart_are_said(places):
    params = {"timerel": "before", "timeAt": "2026-01-02T00:00:00Z", "options": "aggregatedValues", "aggrMethods": "sum", "aggrPeriodDuration": "PT1H"}
    answer = places.get(f"temporal/entities/{URI}", params=params)
    assert "timerel=after" in answer.headers["NGSILD-Warning"]
    assert math.isclose(sum(value for value, _, _ in answer.json()["nivel"]["sum"]), sum(value for part in PARTS.values() for _, value in part))


def test_places_apart_and_limited_to_this_broker(places):
    params = {**WINDOW, "options": "aggregatedValues", "aggrMethods": "avg", "local": "true"}
    assert places.get(f"temporal/entities/{URI}", params=params).json()["nivel"]["avg"][0][0] == 5
