"""GS CIM 009 §4.3.6, §5.7.1, §5.7.2, §6.3.17, §6.3.18: readings with other sources in them."""

import threading
import time

import pytest
from tests.conformance.ngsild.sources import CSR, TYPE, entity, level, only

from malha.context.broker import door
from malha.context.federation import service as federation
from malha.context.federation.gathering import gather
from malha.context.federation.registrations import outcomes
from malha.foundation.database import service as database
from malha.foundation.tenancy import service as tenancy


def test_it_works(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)), entity(2, nivel=level(6)))
    register(there)
    broker.post("entities?local=true", json=entity(3, nivel=level(7)))
    found = broker.get("entities", params={"type": TYPE, "format": "keyValues"}, headers={"Accept": "application/json"})
    assert {one["id"][-1]: one["nivel"] for one in found.json()} == {"1": 5, "2": 6, "3": 7}
    assert broker.get(f"entities/urn:x:{TYPE}:1?options=keyValues").json()["nivel"] == 5
    assert [one["id"][-1] for one in broker.get("entities", params={"type": TYPE, "local": "true"}).json()] == ["3"]
    assert broker.get(f"entities/urn:x:{TYPE}:1?local=true").status_code == 404
    body = {"type": "Query", "entities": [{"type": TYPE}]}
    assert len(broker.post("entityOperations/query", json=body).json()) == 3


def test_5_5_14_a_map_has_the_entities_of_all_places_and_its_pages_stay(broker, source, register):
    there = source()
    there.serve(*(entity(n, nivel=level(n)) for n in (4, 5)))
    registered = register(there)
    for n in (1, 2, 3):
        broker.post("entities?local=true", json=entity(n, nivel=level(n)))
    asked = {"type": TYPE, "limit": 2, "count": "true", "entityMap": "true"}
    first = broker.get("entities", params=asked)
    assert (first.status_code, [one["id"][-1] for one in first.json()], first.headers["NGSILD-Results-Count"]) == (201, ["1", "2"], "5")
    goes_on = {"NGSILD-EntityMap": first.headers["NGSILD-EntityMap"]}
    name = goes_on["NGSILD-EntityMap"].rsplit("/", 1)[-1]
    places = broker.get(f"entityMaps/{name}").json()["entityMap"]
    assert list(places) == [f"urn:x:{TYPE}:{n}" for n in (1, 2, 3, 4, 5)]
    assert places[f"urn:x:{TYPE}:1"] == ["@none"]
    assert places[f"urn:x:{TYPE}:5"] == [registered]
    broker.post("entities?local=true", json=entity(0, nivel=level(9)))
    there.serve(*(entity(n, nivel=level(n)) for n in (4, 5, 6)))
    before = len(there.asked)
    second = broker.get("entities", params={**asked, "offset": 2}, headers=goes_on)
    assert (second.status_code, [one["id"][-1] for one in second.json()]) == (200, ["3", "4"])
    assert "next" in second.headers["Link"]
    (only,) = there.asked[before:]
    assert set(only.params["id"].split(",")) <= {f"urn:x:{TYPE}:3", f"urn:x:{TYPE}:4"}
    broker.delete(f"entities/urn:x:{TYPE}:1?local=true")
    again = broker.get("entities", params=asked, headers=goes_on)
    assert [one["id"][-1] for one in again.json()] == ["2"]
    body = {"type": "Query", "entities": [{"type": TYPE}]}
    last = broker.post("entityOperations/query", json=body, params={"offset": 4, "limit": 2}, headers=goes_on)
    assert (last.status_code, [one["id"][-1] for one in last.json()]) == (200, ["5"])


def test_5_14_4_a_map_is_made_of_all_places(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    register(there)
    broker.post("entities?local=true", json={"id": "urn:x:Outro:1", "type": "Outro"})
    made = broker.get("entityMaps", params={"type": TYPE})
    assert (made.status_code, list(made.json()["entityMap"])) == (201, [f"urn:x:{TYPE}:1"])
    for own in ({"type": "Outro"}, {"type": TYPE, "local": "true"}):
        before = len(there.asked)
        answer = broker.get("entities", params={**own, "entityMap": "true"})
        assert answer.status_code == 201
        assert "NGSILD-EntityMap" in answer.headers
        assert len(there.asked) == before


def test_4_5_5_the_newest_instance_wins(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5, "10:00"), peso=level(1, modifiedAt="2020-01-01T00:00:00Z"), cor=level("azul"), modifiedAt="2020-01-01T00:00:00Z"))
    register(there)
    broker.post("entities?local=true", json=entity(1, nivel=[level(6, "09:00"), level(9, datasetId="urn:x:d")], peso=level(2)))
    found = broker.get(f"entities/urn:x:{TYPE}:1").json()
    assert {one.get("datasetId", ""): one["value"] for one in found["nivel"]} == {"": 5, "urn:x:d": 9}
    assert (found["peso"]["value"], found["cor"]["value"]) == (2, "azul")


def test_4_3_6_2_auxiliary_only_fills(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5, "23:00"), cor=level("azul")), entity(2, nivel=level(1)))
    register(there, mode="auxiliary")
    broker.post("entities?local=true", json=entity(1, nivel=level(6, "01:00")))
    found = broker.get(f"entities/urn:x:{TYPE}:1?options=keyValues").json()
    assert (found["nivel"], found["cor"]) == (6, "azul")


def test_4_3_6_3_an_exclusive_source_alone_answers_for_its_attribute(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5), peso=level(99)))
    broker.post("entities?local=true", json=entity(1, peso=level(2)))
    register(there, only("nivel"), mode="exclusive")
    found = broker.get(f"entities/urn:x:{TYPE}:1?options=keyValues").json()
    assert (found["nivel"], found["peso"]) == (5, 2)
    assert there.asked[-1].params["attrs"].endswith("nivel")


def test_split_entities_are_filtered_when_they_are_whole(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(90)), entity(2, nivel=level(10)))
    register(there, [{"entities": [{"type": TYPE}], "propertyNames": ["nivel"]}])
    for number in (1, 2):
        broker.post("entities?local=true", json=entity(number, zona=level("norte" if number == 1 else "sul")))
    found = broker.get("entities", params={"type": TYPE, "q": 'nivel>50;zona=="norte"', "count": "true"})
    assert ([one["id"][-1] for one in found.json()], found.headers["ngsild-results-count"]) == (["1"], "1")
    assert "q" not in there.asked[-1].params
    assert broker.get("entities", params={"type": TYPE, "q": 'nivel>50;zona=="sul"'}).json() == []


def test_filters_are_passed_on_where_entities_are_whole(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(90)))
    register(there)
    params = {"type": TYPE, "q": "nivel>50", "georel": "near;maxDistance==100", "geometry": "Point", "coordinates": "[-8,41]"}
    broker.get("entities", params=params)
    asked = there.asked[-1].params
    assert asked["q"] == "nivel>50"
    assert (asked["georel"], asked["geometry"], asked["coordinates"]) == ("near;maxDistance==100", "Point", "[-8,41]")


def test_pages_go_over_all_sources(broker, source, register):
    first, second = source(), source()
    first.serve(*(entity(f"a{n:02}", nivel=level(n)) for n in range(7)))
    second.serve(*(entity(f"b{n:02}", nivel=level(n)) for n in range(7)), entity("a00", peso=level(1)))
    for one in (first, second):
        register(one)
    broker.post("entities?local=true", json=entity("c", nivel=level(1)))
    seen, offset = [], 0
    while True:
        page = broker.get("entities", params={"type": TYPE, "limit": 4, "offset": offset, "count": "true"})
        seen += [one["id"].rsplit(":", 1)[-1] for one in page.json()]
        offset += 4
        if 'rel="next"' not in page.headers.get("link", ""):
            break
    assert (len(seen), len(set(seen))) == (15, 15)
    whole = broker.get(f"entities/urn:x:{TYPE}:a00?options=keyValues").json()
    assert (whole["nivel"], whole["peso"]) == (0, 1)


def test_6_3_17_warnings(broker, source, register):
    good, refuses, broken, slow = source(), source(), source(), source()
    good.serve(entity(1, nivel=level(5)))
    refuses.answers["GET", "/entities"] = (403, {"title": "não"})
    broken.answers["GET", "/entities"] = (200, b"isto nao e JSON")
    slow.serve(entity(2, nivel=level(5)))
    slow.delay = 1.5
    for one in (good, refuses, broken):
        register(one)
    register(slow, management={"timeout": 200})
    found = broker.get("entities", params={"type": TYPE})
    assert [one["id"][-1] for one in found.json()] == ["1"]
    assert sorted(value.strip()[:3] for value in found.headers.get_list("ngsild-warning")) == ["111", "199", "299"]
    asked = len(slow.asked)
    assert sorted(value.strip()[:3] for value in broker.get("entities", params={"type": TYPE}).headers.get_list("ngsild-warning")) == ["111", "199", "299"]
    assert len(slow.asked) == asked  # it rests


def test_6_3_17_nothing_found_is_not_amiss(broker, source, register):
    register(source())
    answer = broker.get(f"entities/urn:x:{TYPE}:1")
    assert (answer.status_code, "ngsild-warning" in answer.headers) == (404, False)


def test_what_a_source_sends_is_not_trusted(broker, source, register):
    there = source()
    mixed = [entity(1, nivel=level(1)), {"id": "urn:x:Outro:1", "type": "Outro"}, {"type": TYPE}, {"id": "urn:x:Contentor:9", "type": TYPE, "a b": 1}]
    there.answers["GET", "/entities"] = (200, mixed)
    register(there)
    found = broker.get("entities", params={"type": TYPE})
    assert [one["id"] for one in found.json()] == ["urn:x:Contentor:1"]
    assert found.headers["ngsild-warning"].startswith("111")


def test_4_20_only_operations_that_a_source_takes(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    register(there, operations=["updateOps"])
    assert broker.get(f"entities/urn:x:{TYPE}:1").status_code == 404
    assert broker.get("entities", params={"type": TYPE}).json() == []
    assert there.asked == []


def test_4_3_6_5_headers_of_a_source(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    info = [("Authorization", "Bearer dela"), ("X-Vez", "urn:ngsi-ld:request"), ("NGSILD-Tenant", "outro"), ("Via", "1.1 mau"), ("Host", "mau")]
    register(there, tenant="o-dela", contextSourceInfo=[{"key": key, "value": value} for key, value in info])
    broker.get(f"entities/urn:x:{TYPE}:1", headers={"X-Vez": "a"})
    got = there.asked[-1].headers
    assert (got["Authorization"], got["X-Vez"], got["NGSILD-Tenant"]) == ("Bearer dela", "a", "o-dela")
    assert "mau" not in got["Via"] + got["Host"]
    broker.get(f"entities/urn:x:{TYPE}:1")
    assert "X-Vez" not in there.asked[-1].headers


def test_6_3_18_a_request_that_came_back_goes_no_further(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    register(there)
    broker.get("entities", params={"type": TYPE})
    via = there.asked[-1].headers["Via"]
    asked = len(there.asked)
    assert broker.get("entities", params={"type": TYPE}, headers={"Via": via}).json() == []
    assert len(there.asked) == asked
    other = source()
    register(other, only("peso", 5), mode="exclusive", operations=["redirectionOps"])
    refused = broker.patch(f"entities/urn:x:{TYPE}:5/attrs", json={"peso": 1}, headers={"Via": f"1.1 a, {via}"})
    assert (refused.status_code, refused.json()["type"]) == (508, "https://uri.etsi.org/ngsi-ld/errors/LoopDetected")
    assert broker.get("entities", params={"type": TYPE}, headers={"Via": "1.1 a"}).status_code == 200
    assert there.asked[-1].headers["Via"].startswith("1.1 a, 1.1 malha-")


def test_5_7_2_4_orders_do_not_reach_over_sources(broker, source, register):
    register(source())
    assert broker.get("entities", params={"type": TYPE, "orderBy": "nivel"}).status_code == 400
    assert broker.get("entities", params={"type": TYPE, "orderBy": "nivel", "local": "true"}).status_code == 200


def test_what_is_asked_for_a_condition_alone_makes_no_answer(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)), entity(2, nivel=level(7), peso=level(9)))
    register(there)
    broker.post("entities?local=true", json=entity(3, nivel=level(6), peso=level(1)))
    found = broker.get("entities", params={"type": TYPE, "q": "nivel>4", "attrs": "peso", "count": "true"})
    assert there.asked[-1].params["attrs"] == "nivel,peso"
    assert sorted(one["id"][-1] for one in found.json()) == ["2", "3"]
    assert found.headers["NGSILD-Results-Count"] == "2"


def test_what_lies_here_alone_is_ordered_as_without_sources(broker, source, register):
    register(source())
    for n, how_much in ((1, 5), (2, 4)):
        broker.post("entities", json={**entity(n, nivel=level(how_much)), "type": "SoAqui"})
    assert [one["id"][-1] for one in broker.get("entities", params={"type": "SoAqui", "orderBy": "nivel"}).json()] == ["2", "1"]


def test_5_2_9_how_a_source_answers(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    uri = register(there)
    broker.get("entities", params={"type": TYPE})
    found = broker.get(f"{CSR}/{uri}").json()
    assert (found["status"], found["timesSent"], "lastSuccess" in found) == ("ok", 1, True)


def test_5_2_9_no_answer_waits_until_it_is_written_how_a_source_answered(broker, source, register, monkeypatch):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    uri = register(there)
    write, done = outcomes.gathered.write, threading.Event()

    def slow():
        done.wait(10)
        write()

    monkeypatch.setattr(outcomes.gathered, "write", slow)
    monkeypatch.setattr(outcomes, "WRITE_SECONDS", 0.0)
    assert len(broker.get("entities", params={"type": TYPE}).json()) == 1
    assert not done.is_set()
    done.set()
    assert broker.get(f"{CSR}/{uri}").json()["timesSent"] == 1


def test_5_2_9_what_comes_just_after_a_writing_is_written_without_another_question(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    register(there)
    tenant = tenancy.by_slug(broker.base_url.path.split("/")[1])
    for _ in range(3):
        broker.get("entities", params={"type": TYPE})
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [tenant.id]):
            ((_one, state),) = federation.every(conn, tenant.id)
        if state.times_sent == 3:
            return
        time.sleep(0.1)
    pytest.fail(f"only {state.times_sent} of 3 are written")


# --- what there is (§5.7.5–5.7.10), and what was (§5.7.3, §5.7.4)


def test_5_7_5_types_and_attributes_of_all_sources(broker, source, register):
    there = source()
    iri = "https://uri.etsi.org/ngsi-ld/default-context/"
    there.answers["GET", "/types"] = lambda asked: (
        (200, [{"id": iri + TYPE, "type": "EntityType", "typeName": TYPE, "attributeNames": ["nivel"]}])
        if asked.params.get("details")
        else (200, {"id": "urn:x:list", "type": "EntityTypeList", "typeList": [TYPE, "Ecoponto"]})
    )
    info = {"id": iri + TYPE, "type": "EntityTypeInfo", "typeName": TYPE, "entityCount": 3}
    there.answers["GET", f"/types/{TYPE}"] = (
        200,
        {**info, "attributeDetails": [{"id": iri + "nivel", "attributeName": "nivel", "attributeTypes": ["Property"]}]},
    )
    there.answers["GET", "/attributes"] = (200, {"id": "urn:x:list", "type": "AttributeList", "attributeList": ["nivel"]})
    register(there)
    broker.post("entities?local=true", json=entity(1, peso=level(2)))
    assert sorted(broker.get("types").json()["typeList"]) == [TYPE, "Ecoponto"]
    (detail,) = broker.get("types?details=true").json()
    assert detail["attributeNames"] == ["nivel", "peso"]
    found = broker.get(f"types/{TYPE}").json()
    assert (found["entityCount"], sorted(each["attributeName"] for each in found["attributeDetails"])) == (4, ["nivel", "peso"])
    assert sorted(broker.get("attributes").json()["attributeList"]) == ["nivel", "peso"]
    assert broker.get("types?local=true").json()["typeList"] == [TYPE]
    assert broker.get("types/Nada").status_code == 404


def test_5_7_3_evolution_over_sources(broker, source, register):
    there = source()
    past = {"id": f"urn:x:{TYPE}:1", "type": TYPE, "nivel": [level(5, "08:00"), level(6, "10:00")]}
    there.answers["GET", f"/temporal/entities/urn:x:{TYPE}:1"] = (200, past)
    there.answers["GET", "/temporal/entities"] = (200, [past, {**past, "id": f"urn:x:{TYPE}:2"}])
    register(there, operations=["retrieveTemporal", "queryTemporal"])
    broker.post("entities?local=true", json=entity(1, nivel=level(7, "09:00")))
    found = broker.get(f"temporal/entities/urn:x:{TYPE}:1?timerel=after&timeAt=2025-01-01T00:00:00Z").json()
    assert [one["value"] for one in found["nivel"]] == [5, 7, 6]
    assert there.asked[-1].params["timerel"] == "after"
    listed = broker.get("temporal/entities", params={"type": TYPE, "timerel": "after", "timeAt": "2025-01-01T00:00:00Z"})
    assert sorted(one["id"][-1] for one in listed.json()) == ["1", "2"]
    local = broker.get(f"temporal/entities/urn:x:{TYPE}:1?local=true&timerel=after&timeAt=2025-01-01T00:00:00Z").json()
    assert local["nivel"]["value"] == 7 if isinstance(local["nivel"], dict) else [one["value"] for one in local["nivel"]] == [7]


def test_5_7_4_a_question_of_the_past_in_a_body_goes_over_sources(broker, source, register):
    there = source()
    past = {"id": f"urn:x:{TYPE}:1", "type": TYPE, "nivel": [level(5, "08:00")], "peso": [level(9, "08:00")]}
    there.answers["POST", "/temporal/entityOperations/query"] = (200, [past])
    register(there, [{"entities": [{"type": TYPE}], "propertyNames": ["nivel"]}], operations=["queryTemporal"])
    broker.post("entities?local=true", json=entity(1, nivel=level(7, "09:00")))
    period = {"timerel": "after", "timeAt": "2025-01-01T00:00:00Z"}
    asked = {"type": "Query", "entities": [{"type": TYPE}], "attrs": ["nivel"], "temporalQ": period}
    (found,) = broker.post("temporal/entityOperations/query", json=asked).json()
    assert [one["value"] for one in found["nivel"]] == [5, 7]
    assert "peso" not in found
    told = there.asked[-1].body
    assert (told["temporalQ"], told["attrs"], told["entities"]) == (period, ["nivel"], [{"type": TYPE}])
    before = len(there.asked)
    for elsewhere in ({**asked, "entities": [{"type": "Outro"}]}, {**asked, "attrs": ["peso"]}):
        assert broker.post("temporal/entityOperations/query", json=elsewhere).status_code == 200
    assert broker.post("temporal/entityOperations/query?local=true", json=asked).status_code == 200
    assert broker.post("temporal/entityOperations/query", json={**asked, "type": "Nada"}).status_code == 400
    assert len(there.asked) == before


def test_4_5_23_linked_entities_of_sources_come_along(broker, source, register):
    there = source()
    there.serve({"id": "urn:x:Rua:1", "type": "Rua", "nome": level("Direita"), "freguesia": {"type": "Relationship", "object": "urn:x:Freguesia:1"}})
    register(there, [{"entities": [{"type": "Rua"}]}])
    broker.post("entities?local=true", json=entity(1, rua={"type": "Relationship", "object": "urn:x:Rua:1"}))
    broker.post("entities?local=true", json={"id": "urn:x:Freguesia:1", "type": "Freguesia", "nome": level("Sé")})
    for answer in (
        broker.get(f"entities/urn:x:{TYPE}:1", params={"join": "inline", "joinLevel": 2}).json(),
        broker.get("entities", params={"type": TYPE, "join": "inline", "joinLevel": 2}).json()[0],
    ):
        street = answer["rua"]["entity"]
        assert street["nome"]["value"] == "Direita"
        assert street["freguesia"]["entity"]["nome"]["value"] == "Sé"
    assert {each.params.get("id") for each in there.asked} >= {"urn:x:Rua:1", "urn:x:Freguesia:1"}
    flat = broker.get("entities", params={"type": TYPE, "join": "flat", "joinLevel": 2}).json()
    assert [one["type"] for one in flat] == [TYPE, "Rua", "Freguesia"]
    there.answers["GET", "/entities"] = (500, None)
    alone = broker.get(f"entities/urn:x:{TYPE}:1", params={"join": "inline"})
    assert "entity" not in alone.json()["rua"]
    assert "NGSILD-Warning" in alone.headers


def test_a_source_is_asked_while_the_store_looks(broker, source, register, monkeypatch):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    register(there)
    broker.post("entities?local=true", json=entity(2, nivel=level(6)))
    look, order = gather._own, []

    def slow(*given):
        end = time.monotonic() + 5
        while not there.asked and time.monotonic() < end:
            time.sleep(0.01)
        order.append(len(there.asked))
        return look(*given)

    monkeypatch.setattr(gather, "_own", slow)
    assert {one["id"][-1] for one in broker.get("entities", params={"type": TYPE}).json()} == {"1", "2"}
    assert order == [1]


def test_what_a_reader_may_not_ask_is_asked_nowhere(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    register(there)
    hidden = frozenset({"nivel"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "personal", lambda *_: hidden)
        for _ in range(2):  # the second time from memory
            assert broker.get("entities", params={"type": TYPE, "q": "nivel>1"}).status_code == 403
            assert broker.post("entityOperations/query", json={"type": "Query", "entities": [{"type": TYPE}], "q": "nivel>1"}).status_code == 403
    assert there.asked == []


def test_from_memory_as_from_the_database(broker, source, register):
    there = source()
    there.serve(*(entity(n, nivel=level(n)) for n in range(1, 4)))
    register(there)
    answers = [broker.get("entities", params={"type": TYPE, "q": "nivel>1", "limit": 2, "count": "true"}) for _ in range(5)]
    assert {(one.text, one.headers["NGSILD-Results-Count"], one.headers["Link"]) for one in answers} == {(answers[0].text, "3", answers[0].headers["Link"])}
    assert len(answers[0].json()) == 2
    assert broker.get("entities", params={"type": TYPE}, headers={"Authorization": "Bearer no"}).status_code == 401
    assert broker.get("entities", params={"type": TYPE, "orderBy": "nivel"}).status_code == 400


def test_5_2_34_a_source_that_fails_rests_as_long_as_it_is_registered_for(broker, source, register):
    tired, other = source(), source()
    for one, management in ((tired, {"management": {"cooldown": 60_000}}), (other, {})):
        one.answers["GET", "/entities"] = (500, {"title": "boom"})
        register(one, **management)
    codes = [
        sorted(value.strip()[:3] for value in broker.get("entities", params={"type": TYPE}).headers.get_list("ngsild-warning", split_commas=True))
        for _ in range(2)
    ]
    assert codes == [["299", "299"], ["199", "299"]]
    assert (len(tired.asked), len(other.asked)) == (1, 2)


@pytest.mark.parametrize(
    ("place", "asked"),
    [
        ({"georel": "near;maxDistance==5000", "geometry": "Point", "coordinates": "[2.35,48.85]"}, False),
        ({"georel": "near;maxDistance==5000", "geometry": "Point", "coordinates": "[13.4,52.52]"}, True),
        ({"georel": "near;maxDistance==2000000", "geometry": "Point", "coordinates": "[2.35,48.85]"}, True),
        ({"georel": "within", "geometry": "Polygon", "coordinates": "[[[0,40],[5,40],[5,50],[0,50],[0,40]]]"}, False),
        ({"georel": "disjoint", "geometry": "Point", "coordinates": "[2.35,48.85]"}, True),
        ({"georel": "within", "geometry": "Polygon", "coordinates": "[[[0,40],[5,40],[5,50],[0,50],[0,40]]]", "geoproperty": "observationSpace"}, True),
        ({}, True),
    ],
)  # fmt: skip
def test_4_3_6_1_a_source_is_asked_where_its_things_are(broker, source, register, place, asked):
    there = source()
    there.serve()
    register(there, location={"type": "Polygon", "coordinates": [[[13.0, 52.2], [13.8, 52.2], [13.8, 52.8], [13.0, 52.8], [13.0, 52.2]]]})
    assert broker.get("entities", params={"type": TYPE, **place}).status_code == 200
    assert bool(there.asked) is asked


@pytest.mark.parametrize(("datasets", "asked"), [("urn:x:a", False), ("@none", False), ("urn:x:a,urn:x:b", True), (None, True)])
def test_5_12_a_source_is_asked_for_its_datasets(broker, source, register, datasets, asked):
    there = source()
    there.serve(entity(1, nivel=level(5, datasetId="urn:x:b")))
    register(there, datasetId=["urn:x:b"])
    params = {"datasetId": datasets} if datasets else {}
    assert broker.get("entities", params={"type": TYPE, **params}).status_code == 200
    assert broker.get(f"entities/urn:x:{TYPE}:1", params=params).status_code == (200 if asked else 404)
    assert bool(there.asked) is asked


def test_6_3_17_sources_that_point_at_each_other_are_warned_of(party):
    one, other = party(), party()
    one.registered_at(other.http, TYPE)
    other.registered_at(one.http, TYPE)
    assert one.http.post("entities?local=true", json=entity(1, nivel=level(1))).status_code == 201
    assert other.http.post("entities?local=true", json=entity(2, nivel=level(2))).status_code == 201
    found = one.http.get("entities", params={"type": TYPE})
    assert sorted(each["id"][-1] for each in found.json()) == ["1", "2"]
    (said,) = found.headers.get_list("NGSILD-Warning")
    assert said.startswith("199 ")
    assert "contextSourceAlias" in said


def test_5_12_sources_that_know_each_other_by_name_are_no_loop(party):
    one, other = party(), party()
    names = [each.http.get("info/sourceIdentity").json()["contextSourceAlias"] for each in (one, other)]
    one.registered_at(other.http, TYPE, contextSourceAlias=names[0])
    other.registered_at(one.http, TYPE, contextSourceAlias=names[1])
    assert other.http.post("entities?local=true", json=entity(2, nivel=level(2))).status_code == 201
    found = one.http.get("entities", params={"type": TYPE})
    assert ([each["id"][-1] for each in found.json()], "NGSILD-Warning" in found.headers) == (["2"], False)


def test_6_3_17_what_was_amiss_at_sources_of_a_source_is_told(broker, source, register):
    there = source()
    there.answers["GET", "/entities"] = (200, [entity(1, nivel=level(1))], {"NGSILD-Warning": '110 far "stale", 199 "no such" "x" 1, 199 b2 "silent"'})
    register(there)
    found = broker.get("entities", params={"type": TYPE})
    assert [each["id"][-1] for each in found.json()] == ["1"]
    assert [(said[:3], said.rstrip('"').rsplit(" ", 1)[-1]) for said in found.headers.get_list("NGSILD-Warning")] == [("110", "stale"), ("199", "silent")]
