"""§4.5.6 to §4.5.9, §4.5.19, §4.11, §5.6.11 to §5.6.16, §5.7.3, §5.7.4: how entities evolved."""

import pytest

from malha.history.lake import service as lake

URI = "urn:x:Vehicle:1"
SPEED = [
    {"type": "Property", "value": 120, "observedAt": "2020-09-01T12:03:00Z"},
    {"type": "Property", "value": 80, "observedAt": "2020-09-01T12:05:00Z"},
    {"type": "Property", "value": 100, "observedAt": "2020-09-01T12:07:00Z"},
]
FUEL = [
    {"type": "Property", "value": 67, "observedAt": "2020-09-01T12:03:00Z"},
    {"type": "Property", "value": 53, "observedAt": "2020-09-01T13:05:00Z"},
    {"type": "Property", "value": 40, "observedAt": "2020-09-01T14:07:00Z", "datasetId": "urn:x:fuel:2"},
]
VEHICLE = {"id": URI, "type": "Vehicle", "speed": SPEED, "fuelLevel": FUEL}
ALL = {"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"}


@pytest.fixture
def vehicle(broker):
    made = broker.post("temporal/entities", json=VEHICLE)
    assert made.status_code == 201, made.text
    assert made.headers["Location"].endswith(f"/ngsi-ld/v1/temporal/entities/{URI}")
    return broker


@pytest.fixture
def compacted(vehicle):
    """The vehicle when its history has moved to the lake."""
    lake.compact(tenant_of(vehicle))
    return vehicle


def tenant_of(broker):
    from malha.context.broker import tenants
    from malha.foundation.database import service as database

    with database.connect(autocommit=True) as conn:
        return tenants.find(conn, str(broker.base_url).split("/")[3]).id


def get(broker, path=f"temporal/entities/{URI}", **params):
    answer = broker.get(path, params=params, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def without_ids(instances):
    return [{name: value for name, value in one.items() if name != "instanceId"} for one in instances]


def test_5_6_11_a_created_evolution_reads_back_and_its_newest_is_the_present(vehicle):
    body = get(vehicle)
    assert without_ids(body["speed"]) == SPEED
    assert without_ids(body["fuelLevel"]) == FUEL
    assert len({one["instanceId"] for one in body["speed"] + body["fuelLevel"]}) == 6
    now = vehicle.get(f"entities/{URI}").json()
    assert now["speed"]["value"] == 100
    assert [one["value"] for one in now["fuelLevel"]] == [53, 40]


def test_5_6_11_more_of_the_same_evolution_is_added_and_types_are_united(vehicle):
    more = {"id": URI, "type": ["Vehicle", "Truck"], "speed": [{"type": "Property", "value": "urn:ngsi-ld:null", "observedAt": "2020-09-02T00:00:00Z"}]}
    assert vehicle.post("temporal/entities", json=more).status_code == 204
    body = get(vehicle)
    assert body["type"] == ["Vehicle", "Truck"]
    assert [one["value"] for one in body["speed"]] == [*(one["value"] for one in SPEED), "urn:ngsi-ld:null"]
    ended = get(vehicle, timeproperty="deletedAt")["speed"]
    assert [(one["value"], one["deletedAt"]) for one in ended] == [("urn:ngsi-ld:null", "2020-09-02T00:00:00Z")]


def test_5_6_11_the_same_again_changes_nothing(vehicle):
    assert vehicle.post("temporal/entities", json=VEHICLE).status_code == 204
    assert without_ids(get(vehicle)["speed"]) == SPEED


@pytest.mark.parametrize(
    ("params", "speeds"),
    [
        ({"timerel": "after", "timeAt": "2020-09-01T12:05:00Z"}, [80, 100]),
        ({"timerel": "before", "timeAt": "2020-09-01T12:05:00.000Z"}, [120]),
        ({"timerel": "between", "timeAt": "2020-09-01T12:03:00Z", "endTimeAt": "2020-09-01T12:07:00Z"}, [120, 80]),
        ({"lastN": "2"}, [80, 100]),
        ({**ALL, "lastN": "1"}, [100]),
    ],
)
def test_4_11_periods(vehicle, params, speeds):
    assert [one["value"] for one in get(vehicle, **params, attrs="speed")["speed"]] == speeds


@pytest.mark.parametrize(
    "query",
    [
        "timerel=around&timeAt=2020-01-01T00:00:00Z", "timerel=between&timeAt=2020-01-01T00:00:00Z", "timerel=after&timeAt=2020-01-01", "timerel=after&timeAt=ontem",
        "lastN=0", "lastN=1.5", "timeproperty=birthday", "options=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=hour", "options=aggregatedValues&aggrMethods=mode",
        "options=temporalValues,aggregatedValues&aggrMethods=avg", "options=nothing", "format=nothing", "surprise=1", "pick=speed&attrs=speed", "pick=speed&omit=speed",
    ],
)  # fmt: skip
def test_4_11_what_cannot_be_is_refused(vehicle, query):
    answer = vehicle.get(f"temporal/entities/{URI}?{query}")
    assert answer.status_code == 400
    assert answer.json()["type"].rsplit("/", 1)[1] in {"BadRequestData", "InvalidRequest"}


def test_4_5_9_the_simplified_form(vehicle):
    for params in ({"options": "temporalValues"}, {"format": "simplified"}, {"format": "temporalValues", "options": "sysAttrs"}):
        body = get(vehicle, **params)
        assert body["speed"] == {"type": "Property", "values": [[120, "2020-09-01T12:03:00Z"], [80, "2020-09-01T12:05:00Z"], [100, "2020-09-01T12:07:00Z"]]}
        assert body["fuelLevel"][1] == {"type": "Property", "datasetId": "urn:x:fuel:2", "values": [[40, "2020-09-01T14:07:00Z"]]}


KINDS = {
    "location": ({"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1.0, 2.0]}}, "values", {"type": "Point", "coordinates": [1.0, 2.0]}),
    "owner": ({"type": "Relationship", "object": "urn:x:O:1"}, "objects", "urn:x:O:1"),
    "label": ({"type": "LanguageProperty", "languageMap": {"pt": "Olá"}}, "languageMaps", {"languageMap": {"pt": "Olá"}}),
    "category": ({"type": "VocabProperty", "vocab": "urban"}, "vocabs", {"vocab": "urban"}),
    "raw": ({"type": "JsonProperty", "json": {"@id": "kept"}}, "jsons", {"json": {"@id": "kept"}}),
    "steps": ({"type": "ListProperty", "valueList": [3, 1, 2]}, "valueLists", [3, 1, 2]),
    "open": ({"type": "Property", "value": True}, "values", True),
    "word": ({"type": "Property", "value": "<'sim'>"}, "values", "<'sim'>"),
}


@pytest.mark.parametrize("name", KINDS)
def test_4_5_7_every_kind_of_attribute(broker, name):
    attribute, member, simple = KINDS[name]
    instance = attribute | {"observedAt": "2026-01-01T00:00:00Z"}
    made = broker.post("temporal/entities", json={"id": URI, "type": "T", name: [instance]})
    assert made.status_code == 201, made.text
    assert without_ids(get(broker)[name]) == [instance]
    assert get(broker, options="temporalValues")[name] == {"type": attribute["type"], member: [[simple, "2026-01-01T00:00:00Z"]]}


def test_4_5_19_all_eight_methods(vehicle):
    methods = "totalCount,distinctCount,sum,avg,min,max,stddev,sumsq"
    body = get(vehicle, options="aggregatedValues", aggrMethods=methods, aggrPeriodDuration="PT1H", attrs="speed")
    span = ["2020-09-01T12:03:00Z", "2020-09-01T13:03:00Z"]
    results = {"totalCount": 3, "distinctCount": 3, "sum": 300, "avg": 100, "min": 80, "max": 120, "sumsq": 120**2 + 80**2 + 100**2}
    for method, value in results.items():
        assert body["speed"][method] == [[value, *span]]
    assert body["speed"]["stddev"][0][0] == pytest.approx((800 / 3) ** 0.5)


@pytest.mark.parametrize(
    ("duration", "params", "buckets"),
    [
        ("PT1H", {}, [[67, "2020-09-01T12:03:00Z", "2020-09-01T13:03:00Z"], [53, "2020-09-01T13:03:00Z", "2020-09-01T14:03:00Z"], [40, "2020-09-01T14:03:00Z", "2020-09-01T15:03:00Z"]]),
        ("P1D", {"timerel": "after", "timeAt": "2020-08-31T06:00:00Z"}, [[160 / 3, "2020-09-01T06:00:00Z", "2020-09-02T06:00:00Z"]]),
        ("P1M", {"timerel": "after", "timeAt": "2020-07-31T00:00:00Z"}, [[160 / 3, "2020-08-31T00:00:00Z", "2020-09-30T00:00:00Z"]]),
        ("PT0S", {"timerel": "between", "timeAt": "2020-08-01T00:00:00Z", "endTimeAt": "2020-10-01T00:00:00Z"}, [[160 / 3, "2020-08-01T00:00:00Z", "2020-10-01T00:00:00Z"]]),
    ],
)  # fmt: skip
def test_4_5_19_buckets_begin_where_the_period_does(vehicle, duration, params, buckets):
    found = get(vehicle, options="aggregatedValues", aggrMethods="avg", aggrPeriodDuration=duration, attrs="fuelLevel", **params)["fuelLevel"]["avg"]
    assert [[pytest.approx(value), *span] for value, *span in buckets] == found


def test_4_5_19_texts_have_a_least_and_a_greatest(broker):
    these = [{"value": word, "observedAt": f"2026-01-0{n}T00:00:00Z"} for n, word in enumerate("cab", 1)]
    broker.post("temporal/entities", json={"id": URI, "type": "T", "word": these})
    body = get(broker, options="aggregatedValues", aggrMethods="min,max,avg,totalCount")
    assert (body["word"]["min"][0][0], body["word"]["max"][0][0], body["word"]["totalCount"][0][0]) == ("a", "c", 3)
    assert "avg" not in body["word"]


def test_5_6_12_attributes_are_added(vehicle):
    more = {
        "speed": [{"type": "Property", "value": 60, "observedAt": "2020-09-01T11:00:00Z"}],
        "brand": [{"type": "Property", "value": "X", "observedAt": "2020-09-01T11:00:00Z"}],
    }
    assert vehicle.post(f"temporal/entities/{URI}/attrs", json=more).status_code == 204
    body = get(vehicle)
    assert [one["value"] for one in body["speed"]] == [60, 120, 80, 100]
    assert body["brand"][0]["value"] == "X"
    assert vehicle.get(f"entities/{URI}").json()["speed"]["value"] == 100
    assert vehicle.post("temporal/entities/urn:x:none/attrs", json=more).status_code == 404
    assert vehicle.post(f"temporal/entities/{URI}/attrs", json={}).status_code == 400


@pytest.mark.parametrize(("query", "left"), [("", [40]), ("?datasetId=urn:x:fuel:2", [67, 53]), ("?deleteAll=true", None)])
def test_5_6_13_an_attribute_is_deleted(vehicle, query, left):
    assert vehicle.delete(f"temporal/entities/{URI}/attrs/fuelLevel{query}").status_code == 204
    body = get(vehicle)
    assert [one["value"] for one in body["fuelLevel"]] == left if left else "fuelLevel" not in body
    assert vehicle.delete(f"temporal/entities/{URI}/attrs/nothing").status_code == 404
    assert vehicle.delete(f"temporal/entities/{URI}/attrs/bad(name").status_code == 400


def test_5_6_14_and_15_an_instance_is_changed_and_deleted(vehicle):
    first = get(vehicle)["speed"][0]["instanceId"]
    path = f"temporal/entities/{URI}/attrs/speed/"
    assert vehicle.patch(path + first, json={"type": "Property", "value": 129, "observedAt": "2020-09-01T12:03:00Z"}).status_code == 204
    body = get(vehicle)
    assert (body["speed"][0]["value"], body["speed"][0]["instanceId"]) == (129, first)
    last = body["speed"][2]["instanceId"]
    assert vehicle.patch(path + last, json={"speed": [{"type": "Property", "value": 101}]}).status_code == 204
    assert vehicle.get(f"entities/{URI}").json()["speed"]["value"] == 101
    assert vehicle.delete(path + first).status_code == 204
    assert [one["value"] for one in get(vehicle)["speed"]] == [80, 101]
    assert vehicle.delete(path + "urn:x:none").status_code == 404
    assert vehicle.delete(path + "none").status_code == 400


def test_5_6_16_an_evolution_is_deleted(vehicle):
    assert vehicle.delete(f"temporal/entities/{URI}").status_code == 204
    assert vehicle.get(f"temporal/entities/{URI}").status_code == 404
    assert vehicle.delete(f"temporal/entities/{URI}").status_code == 404
    assert vehicle.delete("temporal/entities/").status_code == 405  # all evolutions at once are never meant


def test_5_7_3_a_deleted_attribute_leaves_a_mark(vehicle):
    assert vehicle.delete(f"entities/{URI}/attrs/speed").status_code == 204
    body = get(vehicle, timeproperty="deletedAt")
    assert body["speed"][0]["value"] == "urn:ngsi-ld:null"
    assert body["speed"][0]["deletedAt"]
    assert "fuelLevel" not in body
    assert len(get(vehicle)["speed"]) == 3


def test_5_7_3_an_instance_that_was_given_no_instant_shows_when_it_came(broker):
    broker.post("entities", json={"id": URI, "type": "T", "speed": 5})
    (one,) = get(broker, options="sysAttrs")["speed"]
    assert "observedAt" not in one
    assert one["createdAt"] == one["modifiedAt"]
    assert get(broker, timeproperty="modifiedAt", timerel="after", timeAt="2020-01-01T00:00:00Z")["speed"][0]["value"] == 5
    assert "speed" not in get(broker, timeproperty="createdAt", timerel="before", timeAt="2020-01-01T00:00:00Z")


def test_5_7_3_pick_omit_and_dataset(vehicle):
    assert set(get(vehicle, pick="speed,type")) == {"type", "speed"}
    assert set(get(vehicle, pick="id")) == {"id"}
    assert set(get(vehicle, attrs="speed")) == {"id", "type", "speed"}
    assert set(get(vehicle, omit="speed")) == {"id", "type", "fuelLevel"}
    assert [one["value"] for one in get(vehicle, datasetId="urn:x:fuel:2")["fuelLevel"]] == [40]
    assert [one["value"] for one in get(vehicle, datasetId="@none")["fuelLevel"]] == [67, 53]
    assert vehicle.get(f"temporal/entities/{URI}?attrs=nothing").status_code == 404


def test_4_5_6_a_change_of_scope_is_remembered(broker):
    broker.post("entities", json={"id": URI, "type": "T", "scope": "/Old", "speed": 1})
    broker.post("entityOperations/upsert?options=update", json=[{"id": URI, "type": "T", "scope": "/New"}])
    told = get(broker, options="sysAttrs")["scope"]
    assert [one["value"] for one in told] == ["/Old", "/New"]
    assert told[1]["observedAt"] == told[1]["modifiedAt"]


def test_from_the_lake_it_reads_and_changes_as_from_hot_rows(compacted):
    assert without_ids(get(compacted)["speed"]) == SPEED
    first, _, last = (one["instanceId"] for one in get(compacted)["speed"])
    path = f"temporal/entities/{URI}/attrs/"
    assert compacted.patch(path + "speed/" + first, json={"type": "Property", "value": 129, "observedAt": "2020-09-01T12:03:00Z"}).status_code == 204
    assert compacted.delete(path + "speed/" + last).status_code == 204
    assert compacted.delete(path + "fuelLevel?datasetId=urn:x:fuel:2").status_code == 204
    for _ in range(2):
        body = get(compacted)
        assert [one["value"] for one in body["speed"]] == [129, 80]
        assert [one["value"] for one in body["fuelLevel"]] == [67, 53]
        assert body["speed"][0]["instanceId"] == first
        assert get(compacted, options="aggregatedValues", aggrMethods="avg")["speed"]["avg"][0][0] == 104.5
        lake.compact(tenant_of(compacted))


@pytest.fixture
def town(broker):
    for n in range(3):
        these = [{"value": n * 10 + i, "observedAt": f"2026-01-0{i + 1}T00:00:00Z"} for i in range(5)]
        place = [{"value": {"type": "Point", "coordinates": [n, 0]}, "observedAt": "2026-01-01T00:00:00Z"}]
        assert broker.post("temporal/entities", json={"id": f"urn:x:W:{n}", "type": "W", "temperature": these, "location": place}).status_code == 201
    return broker


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=W", "012"), ("type=W&q=temperature>14", "2"), ("type=W&q=temperature==12", "1"), ("type=W&q=temperature<12", "01"),
        ("type=W&timerel=before&timeAt=2026-01-02T12:00:00Z&q=temperature==12", ""), ("type=W&timerel=after&timeAt=2027-01-01T00:00:00Z", ""),
        ("type=W&georel=near;maxDistance==1000&geometry=Point&coordinates=[1,0]", "1"), ("type=W&id=urn:x:W:2", "2"), ("type=W&idPattern=.*:0", "0"),
        ("attrs=temperature", "012"), ("type=W&limit=1&offset=1", "1"), ("type=W&orderBy=id;desc", "210"), ("type=W&attrs=nothing", ""),
    ],
)  # fmt: skip
def test_5_7_4_entities_are_found_by_what_they_were(town, query, found):
    query = query if "timerel" in query else query + "&timerel=after&timeAt=2025-01-01T00:00:00Z"
    body = town.get(f"temporal/entities?{query}&count=true", headers={"Accept": "application/json"})
    assert body.status_code == 200, body.text
    assert "".join(one["id"][-1] for one in body.json()) == found
    assert int(body.headers["NGSILD-Results-Count"]) == (3 if "limit" in query else len(found))
    assert ('rel="next"' in body.headers.get("link", "")) == ("limit=1" in query)


@pytest.mark.parametrize(
    "query", ["id=urn:x:W:1&timerel=after&timeAt=2020-01-01T00:00:00Z", "type=W&orderBy=temperature", "timerel=after&timeAt=2020-01-01T00:00:00Z"]
)
def test_5_7_4_too_wide_or_unordered_is_refused(town, query):
    assert town.get(f"temporal/entities?{query}").status_code == 400


def test_5_7_4_by_body(town):
    query = {
        "type": "Query",
        "entities": [{"type": "W"}],
        "q": "temperature>14",
        "temporalQ": {"timerel": "after", "timeAt": "2025-01-01T00:00:00Z", "lastN": 1},
    }
    body = town.post("temporal/entityOperations/query", json=query, headers={"Accept": "application/json"}).json()
    assert [(one["id"], [i["value"] for i in one["temperature"]]) for one in body] == [("urn:x:W:2", [24])]
    sums = query | {"temporalQ": query["temporalQ"] | {"lastN": 9, "aggrMethods": ["avg"], "aggrPeriodDuration": "P1Y"}}
    body = town.post("temporal/entityOperations/query", json=sums, headers={"Accept": "application/json"}).json()
    assert body[0]["temperature"]["avg"] == [[22.0, "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]] or body[0]["temperature"]["avg"][0][0] == 22.0
    for wrong in ({"lastN": 0}, {"lastN": 1.5}, {"timerel": "x"}, {"timerel": "between", "timeAt": "2025-01-01T00:00:00Z"}):
        assert town.post("temporal/entityOperations/query", json=query | {"temporalQ": query["temporalQ"] | wrong}).status_code == 400


def test_6_3_10_too_many_values_are_cut_at_one_instant_for_all(broker, monkeypatch):
    from malha.history.temporal import evolution

    monkeypatch.setattr(evolution, "MOST_VALUES", 4)
    many = [{"value": i, "observedAt": f"2026-01-{i + 1:02}T00:00:00Z"} for i in range(9)]
    broker.post("temporal/entities", json={"id": URI, "type": "T", "a": many, "b": many[:3] + many[8:]})
    answer = broker.get(f"temporal/entities/{URI}?timerel=after&timeAt=2025-01-01T00:00:00Z", headers={"Accept": "application/json"})
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == "date-time 2025-01-01T00:00:00Z-2026-01-04T00:00:00Z/*"
    assert ([one["value"] for one in answer.json()["a"]], [one["value"] for one in answer.json()["b"]]) == ([0, 1, 2, 3], [0, 1, 2])
    last = broker.get(f"temporal/entities/{URI}?lastN=50", headers={"Accept": "application/json"})
    assert (last.status_code, last.headers["Content-Range"]) == (206, "date-time 2026-01-09T00:00:00Z-2026-01-01T00:00:00Z/50")


WINDOW = {"timerel": "between", "timeAt": "2026-03-01T12:00:00Z", "endTimeAt": "2026-03-01T13:00:00Z"}
SCOPED = {
    "ab": [("/A/B", "10:00")], "both": [(["/A/B", "/C"], "10:00")], "late": [("/A/B", "14:00")], "none": [],
    "moved": [("/R", "10:00"), ("/A/B", "12:10")], "ended": [("/A/B", "10:00"), ("urn:ngsi-ld:null", "12:10")],
}  # fmt: skip


@pytest.fixture
def scoped(broker):
    for name, scopes in SCOPED.items():
        speed = [{"type": "Property", "value": f"{name}-{at}", "observedAt": f"2026-03-01T12:{at}:00Z"} for at in ("05", "15")]
        scope = [{"type": "Property", "value": value, "observedAt": f"2026-03-01T{at}:00Z"} for value, at in scopes]
        body = {"id": f"urn:x:Vehicle:{name}", "type": "Vehicle", "speed": speed} | ({"scope": scope} if scope else {})
        made = broker.post("temporal/entities", json=body)
        assert made.status_code == 201, made.text
    return broker


def of_scope(broker, selection, **params):
    found = get(broker, "temporal/entities", type="Vehicle", scopeQ=selection, **WINDOW, **params)
    return {one["id"].rsplit(":", 1)[1]: [value["value"].rsplit("-", 1)[1] for value in one["speed"]] for one in found}


@pytest.mark.parametrize(
    ("selection", "answer"),
    [
        ("/A/B", {"ab": ["05", "15"], "both": ["05", "15"], "moved": ["15"], "ended": ["05"]}),
        ("/A/#", {"ab": ["05", "15"], "both": ["05", "15"], "moved": ["15"], "ended": ["05"]}),
        ("(/A/B;/C)", {"both": ["05", "15"]}),
        ("/R|/C", {"both": ["05", "15"], "moved": ["05"]}),
        ("/R,/A/B", {"ab": ["05", "15"], "both": ["05", "15"], "moved": ["05", "15"], "ended": ["05"]}),
        ("/Y", {}),
    ],
)
def test_5_7_4_only_what_was_while_the_scope_held_is_told(scoped, selection, answer):
    assert of_scope(scoped, selection) == answer
    lake.compact(tenant_of(scoped))
    assert of_scope(scoped, selection) == answer


def test_5_7_4_the_scope_that_held_comes_along_and_sums_keep_to_it(scoped):
    found = {one["id"]: one for one in get(scoped, "temporal/entities", type="Vehicle", scopeQ="/A/B", **WINDOW)}
    assert without_ids(found["urn:x:Vehicle:ab"]["scope"]) == [{"type": "Property", "value": "/A/B", "observedAt": "2026-03-01T10:00:00Z"}]
    sums = get(scoped, "temporal/entities", type="Vehicle", scopeQ="/A/B", **WINDOW, options="aggregatedValues", aggrMethods="totalCount", attrs="speed")
    assert {one["id"].rsplit(":", 1)[1]: one["speed"]["totalCount"][0][0] for one in sums} == {"ab": 2, "both": 2, "moved": 1, "ended": 1}
    bare = get(scoped, "temporal/entities", type="Vehicle", scopeQ="/A/B", **WINDOW, attrs="speed")
    assert not [one for one in bare if "scope" in one]


def test_5_6_11_the_newest_scope_is_the_present_and_an_older_one_leaves_it(scoped):
    now = {name: scoped.get(f"entities/urn:x:Vehicle:{name}").json().get("scope") for name in SCOPED}
    assert now == {"ab": "/A/B", "both": ["/A/B", "/C"], "late": "/A/B", "none": None, "moved": "/A/B", "ended": None}
    path = "temporal/entities/urn:x:Vehicle:ab/attrs"
    older = {"scope": [{"type": "Property", "value": "/Old", "observedAt": "2025-01-01T00:00:00Z"}]}
    assert scoped.post(path, json=older).status_code == 204
    assert scoped.get("entities/urn:x:Vehicle:ab").json()["scope"] == "/A/B"
    newer = {"scope": {"type": "Property", "value": "/New", "observedAt": "2026-04-01T00:00:00Z"}}
    assert scoped.post(path, json=newer).status_code == 204
    assert scoped.get("entities/urn:x:Vehicle:ab").json()["scope"] == "/New"
    told = get(scoped, "temporal/entities/urn:x:Vehicle:ab")["scope"]
    assert [one["value"] for one in told] == ["/Old", "/A/B", "/New"]
    changed = scoped.patch(f"{path}/scope/{told[2]['instanceId']}", json={"scope": {"type": "Property", "value": ["/New", "/Other"]}})
    assert changed.status_code == 204, changed.text
    assert scoped.get("entities/urn:x:Vehicle:ab").json()["scope"] == ["/New", "/Other"]
    assert scoped.delete(f"{path}/scope").status_code == 204
    assert "scope" not in scoped.get("entities/urn:x:Vehicle:ab").json()


@pytest.mark.parametrize(
    "scope", [[{"type": "Relationship", "object": "urn:x:1"}], [{"type": "Property", "value": 3}], ["/A", {"type": "Property", "value": "/B"}], [None]]
)
def test_5_6_11_what_is_no_scope_is_refused(broker, scope):
    assert broker.post("temporal/entities", json={"id": URI, "type": "T", "speed": SPEED, "scope": scope}).status_code == 400


def test_4_18_a_scope_that_was_taken_away_is_an_empty_list(broker):
    assert broker.post("entities", json={"id": URI, "type": "T", "scope": "/A", "a": {"type": "Property", "value": 1}}).status_code == 201
    assert broker.delete(f"entities/{URI}/attrs/scope").status_code == 204
    (ended,) = get(broker, timeproperty="deletedAt")["scope"]
    assert ended["value"] == []
    assert get(broker, timeproperty="deletedAt", options="temporalValues")["scope"] == {"type": "Property", "values": [[[], ended["deletedAt"]]]}


def test_4_5_7_a_language_property_that_ended(broker):
    gone = {"type": "LanguageProperty", "languageMap": {"@none": "urn:ngsi-ld:null"}, "observedAt": "2026-02-01T00:00:00Z"}
    label = [{"type": "LanguageProperty", "languageMap": {"pt": "Olá"}, "observedAt": "2026-01-01T00:00:00Z"}, gone]
    assert broker.post("temporal/entities", json={"id": URI, "type": "T", "label": label}).status_code == 201
    ended = without_ids(get(broker, timeproperty="deletedAt")["label"])
    assert ended == [
        {"type": "LanguageProperty", "languageMap": {"@none": "urn:ngsi-ld:null"}, "deletedAt": "2026-02-01T00:00:00Z", "observedAt": "2026-02-01T00:00:00Z"}
    ]
    simple = get(broker, timeproperty="deletedAt", options="temporalValues")["label"]
    assert simple == {"type": "LanguageProperty", "languageMaps": [[{"languageMap": {"@none": "urn:ngsi-ld:null"}}, "2026-02-01T00:00:00Z"]]}


def test_4_11_an_attribute_that_ended_is_told_by_what_its_instance_conveys(broker):
    value, ended = {"type": "Property", "value": 1}, {"type": "Property", "value": "urn:ngsi-ld:null"}
    shown = {
        "seen": [{**value, "observedAt": "2026-01-01T00:00:00Z"}, {**ended, "observedAt": "2026-02-01T00:00:00Z"}],
        "gone": [{**value, "observedAt": "2026-01-01T00:00:00Z"}, {**ended, "deletedAt": "2026-02-01T00:00:00Z"}],
    }
    assert broker.post("temporal/entities", json={"id": URI, "type": "T", **shown}).status_code == 201
    body = get(broker, timerel="before", timeAt="2026-03-01T00:00:00Z")
    assert [without_ids(body[name] if isinstance(body[name], list) else [body[name]])[1:] for name in ("seen", "gone")] == [
        [{**ended, "observedAt": "2026-02-01T00:00:00Z", "deletedAt": "2026-02-01T00:00:00Z"}], [],
    ]  # fmt: skip
    simple = get(broker, options="temporalValues")
    assert simple["seen"]["values"] == [[1, "2026-01-01T00:00:00Z"], ["urn:ngsi-ld:null", "2026-02-01T00:00:00Z"]]
    assert get(broker, options="aggregatedValues", aggrMethods="totalCount")["seen"]["totalCount"][0][0] == 1
    by_end = get(broker, timeproperty="deletedAt")
    assert [by_end[name][0]["deletedAt"] for name in ("seen", "gone")] == ["2026-02-01T00:00:00Z"] * 2
    (instance,) = (one["instanceId"] for one in body["seen"] if "deletedAt" in one)
    assert broker.delete(f"temporal/entities/{URI}/attrs/seen/{instance}").status_code == 204
    assert [one["value"] for one in get(broker)["seen"]] == [1]


def test_4_5_9_a_list_of_relationships_is_the_list_of_their_objects(broker):
    route = {"type": "ListRelationship", "objectList": ["urn:x:R:1", "urn:x:R:2"], "observedAt": "2026-01-01T00:00:00Z"}
    assert broker.post("temporal/entities", json={"id": URI, "type": "T", "route": route}).status_code == 201
    assert get(broker, options="temporalValues")["route"] == {"type": "ListRelationship", "objectLists": [[["urn:x:R:1", "urn:x:R:2"], "2026-01-01T00:00:00Z"]]}


@pytest.mark.parametrize(("order", "ids"), [("id", ["a", "b", "c"]), ("id;asc", ["a", "b", "c"]), ("id;desc", ["c", "b", "a"])])
def test_5_7_4_in_order_of_their_ids(broker, order, ids):
    for name in ("b", "a", "c"):
        assert broker.post("temporal/entities", json=VEHICLE | {"id": f"urn:x:Vehicle:{name}"}).status_code == 201
    assert [one["id"][-1] for one in get(broker, "temporal/entities", type="Vehicle", orderBy=order, **ALL)] == ids


def test_6_3_11_the_end_of_an_entity_is_told_with_the_system_attributes_only(broker):
    body = {"id": URI, "type": "T", "expiresAt": "2100-01-01T00:00:00Z", "speed": {"type": "Property", "value": 7}}
    assert broker.post("entities", json=body).status_code == 201
    assert get(broker, options="sysAttrs")["expiresAt"] == "2100-01-01T00:00:00Z"
    assert "expiresAt" not in get(broker)


def test_6_22_an_instance_of_no_attribute_is_refused(vehicle):
    instance = get(vehicle)["speed"][0]["instanceId"]
    assert vehicle.delete(f"temporal/entities/{URI}/attrs//{instance}").status_code == 400
