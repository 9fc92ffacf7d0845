"""GS CIM 009 §4.5.19, §5.7.3, §5.7.4: sums of one series, of which several sources have a part, each value counted once; with real second planes."""

import math
import statistics

import pytest

from malha.context.federation.gathering import recounting
from malha.history.temporal import evolution

TYPE, URI = "Contentor", "urn:x:Contentor:1"
METHODS = ("totalCount", "distinctCount", "sum", "avg", "min", "max", "stddev", "sumsq")
#: by place: (minute, value); that of 08:20 lies at two, and so does that of 11:00
PARTS = {
    "here": [("08:10", 4), ("08:20", 9), ("09:05", 2)],
    "one": [("08:20", 9), ("08:30", 7.5), ("09:30", -3), ("11:00", 5)],
    "other": [("08:40", 4), ("10:15", 12), ("11:00", 5)],
}
EVERY = sorted({pair for part in PARTS.values() for pair in part})
WINDOW = {"timerel": "after", "timeAt": "2026-01-01T08:00:00Z"}


def evolution_of(part):
    return {"id": URI, "type": TYPE, "nivel": [{"type": "Property", "value": value, "observedAt": f"2026-01-01T{at}:00Z"} for at, value in part]}


@pytest.fixture
def places(broker, party):
    assert broker.post("temporal/entities?local=true", json=evolution_of(PARTS["here"])).status_code == 201
    for name in ("one", "other"):
        there = party()
        assert there.http.post("temporal/entities", json=evolution_of(PARTS[name])).status_code == 201
        there.registered_at(broker, TYPE, operations=["retrieveTemporal", "queryTemporal"])
    return broker


def expected(values):
    return {
        "totalCount": len(values), "sum": sum(values), "avg": statistics.fmean(values), "min": min(values), "max": max(values),
        "stddev": statistics.pstdev(values), "sumsq": sum(value * value for value in values), "distinctCount": len(set(values)),
    }  # fmt: skip


def by_hour():
    found = {}
    for at, value in EVERY:
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
    ((entity,), every) = answer.json(), [value for _, value in EVERY]
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


def test_buckets_that_begin_with_the_first_value_of_all(places):
    params = {
        "timerel": "before",
        "timeAt": "2026-01-02T00:00:00Z",
        "options": "aggregatedValues",
        "aggrMethods": "sum,totalCount",
        "aggrPeriodDuration": "PT1H",
    }
    answer = places.get(f"temporal/entities/{URI}", params=params)
    assert "NGSILD-Warning" not in answer.headers
    counts = {start[11:16]: value for value, start, _ in answer.json()["nivel"]["totalCount"]}
    assert counts == {"08:10": 5, "09:10": 1, "10:10": 2}
    assert math.isclose(sum(value for value, _, _ in answer.json()["nivel"]["sum"]), sum(value for _, value in EVERY))


def test_values_that_are_texts_and_links(broker, party):
    texts = {"here": [("08:10", "verde"), ("08:20", "azul")], "there": [("08:20", "azul"), ("08:30", "verde"), ("08:40", "rubro")]}
    there = party()
    for place, part in texts.items():
        shown = {
            "id": URI, "type": TYPE,
            "cor": [{"type": "Property", "value": value, "observedAt": f"2026-01-01T{at}:00Z"} for at, value in part],
            "rua": [{"type": "Relationship", "object": f"urn:x:Rua:{value}", "observedAt": f"2026-01-01T{at}:00Z"} for at, value in part],
        }  # fmt: skip
        asked = broker.post("temporal/entities?local=true", json=shown) if place == "here" else there.http.post("temporal/entities", json=shown)
        assert asked.status_code == 201
    there.registered_at(broker, TYPE, operations=["retrieveTemporal"])
    params = {**WINDOW, "options": "aggregatedValues", "aggrMethods": "distinctCount,totalCount,min,max"}
    found = broker.get(f"temporal/entities/{URI}", params=params).json()
    for name, first, last in (("cor", "azul", "verde"), ("rua", "urn:x:Rua:azul", "urn:x:Rua:verde")):
        assert {method: found[name][method][0][0] for method in ("distinctCount", "totalCount", "min", "max")} == {
            "distinctCount": 3, "totalCount": 4, "min": first, "max": last,
        }  # fmt: skip


def test_6_3_10_values_are_read_page_by_page(places, monkeypatch):
    monkeypatch.setattr(evolution, "MOST_VALUES", 2)
    answer = places.get(f"temporal/entities/{URI}", params={**WINDOW, "options": "aggregatedValues", "aggrMethods": "distinctCount,sum"})
    assert (answer.status_code, answer.headers.get("NGSILD-Warning")) == (200, None)
    assert {method: answer.json()["nivel"][method][0][0] for method in ("distinctCount", "sum")} == {
        method: expected([value for _, value in EVERY])[method] for method in ("distinctCount", "sum")
    }


def test_more_values_than_are_read_are_put_together_as_sums_and_that_is_said(places, monkeypatch):
    monkeypatch.setattr(recounting, "MOST_VALUES", 8)
    params = {**WINDOW, "options": "aggregatedValues", "aggrMethods": "distinctCount,sum,max", "aggrPeriodDuration": "PT1H"}
    answer = places.get(f"temporal/entities/{URI}", params=params, headers={"Accept-Language": "en"})
    assert told(answer.json()["nivel"], "distinctCount") == {"10": 1}
    assert told(answer.json()["nivel"], "sum")["11"] == 10
    assert told(answer.json()["nivel"], "max") == {hour: max(values) for hour, values in by_hour().items()}
    said = answer.headers.get_list("NGSILD-Warning")
    assert all(value.startswith("199 ") for value in said)
    assert "distinctCount" in said[0]


def sums_of(*hours, count=1):
    """What a source says of its sums: of each hour one value, 10."""
    buckets = [(f"2026-01-01T{hour:02}:00:00Z", f"2026-01-01T{hour + 1:02}:00:00Z") for hour in hours]
    return {
        "id": URI, "type": TYPE,
        "nivel": {"type": "Property", "sum": [[10 * count, *each] for each in buckets], "totalCount": [[count, *each] for each in buckets]},
    }  # fmt: skip


HOURLY = {**WINDOW, "options": "aggregatedValues", "aggrMethods": "sum", "aggrPeriodDuration": "PT1H"}


@pytest.fixture
def told_by(source, broker):
    """Makes a source that says sums, and the values to who asks for them."""

    def make(summed, values=(403, {"title": "sums only"})):
        there = source()
        there.answers["GET", f"/temporal/entities/{URI}"] = lambda asked: (200, summed) if asked.params.get("options") == "aggregatedValues" else values
        said = {"type": "ContextSourceRegistration", "endpoint": there.url, "information": [{"entities": [{"type": TYPE}]}], "operations": ["retrieveTemporal"]}
        assert broker.post("csourceRegistrations", json=said).status_code == 201
        return there

    return make


def test_a_series_of_one_place_is_asked_for_once(broker, told_by):
    there = told_by(sums_of(8, 9))
    found = broker.get(f"temporal/entities/{URI}", params=HOURLY)
    assert told(found.json()["nivel"], "sum") == {"08": 10, "09": 10}
    assert found.json()["nivel"].keys() == {"type", "sum"}
    assert len(there.asked) == 1


def test_places_with_different_periods_are_asked_once(broker, told_by):
    assert broker.post("temporal/entities?local=true", json=evolution_of([("08:10", 4), ("09:05", 2)])).status_code == 201
    there = told_by(sums_of(10, 11))
    assert told(broker.get(f"temporal/entities/{URI}", params=HOURLY).json()["nivel"], "sum") == {"08": 4, "09": 2, "10": 10, "11": 10}
    assert len(there.asked) == 1


def test_the_least_and_the_greatest_are_the_same_either_way(places, monkeypatch):
    async def never(*_):
        raise AssertionError("nobody is to be asked for values")

    monkeypatch.setattr(recounting._Reading, "of_place", never)
    answer = places.get(f"temporal/entities/{URI}", params={**WINDOW, "options": "aggregatedValues", "aggrMethods": "min,max"})
    assert [answer.json()["nivel"][method][0][0] for method in ("min", "max")] == [-3, 12]


def test_only_the_hours_that_both_have_are_read(broker, told_by):
    assert broker.post("temporal/entities?local=true", json=evolution_of([("08:10", 4), ("09:05", 10), ("09:10", 1)])).status_code == 201
    values = {"id": URI, "type": TYPE, "nivel": {"type": "Property", "values": [[10, "2026-01-01T09:05:00.000Z"]]}}
    there = told_by(sums_of(9, 10), (200, values))
    answer = broker.get(f"temporal/entities/{URI}", params=HOURLY)
    assert told(answer.json()["nivel"], "sum") == {"08": 4, "09": 11, "10": 10}
    assert [one.params.get("timeAt") for one in there.asked] == ["2026-01-01T08:00:00Z", "2026-01-01T09:00:00Z"]
    assert there.asked[1].params["endTimeAt"] == "2026-01-01T10:00:00Z"
    assert "NGSILD-Warning" not in answer.headers


@pytest.mark.parametrize("values", [(403, {"title": "sums only"}), (200, {"id": URI, "type": TYPE}), (200, b"{")])
def test_a_source_that_gives_no_values_is_put_together_as_sums_and_that_is_said(broker, told_by, values):
    assert broker.post("temporal/entities?local=true", json=evolution_of([("09:05", 10)])).status_code == 201
    told_by(sums_of(9), values)
    answer = broker.get(f"temporal/entities/{URI}", params=HOURLY, headers={"Accept-Language": "en"})
    assert told(answer.json()["nivel"], "sum") == {"09": 20}
    assert any("counts twice" in value for value in answer.headers.get_list("NGSILD-Warning"))


def test_places_apart_and_limited_to_this_broker(places):
    params = {**WINDOW, "options": "aggregatedValues", "aggrMethods": "avg", "local": "true"}
    assert places.get(f"temporal/entities/{URI}", params=params).json()["nivel"]["avg"][0][0] == 5
