"""GS CIM 009 §5.5.15, §5.16, §6.3.22, §6.36–6.38: answers kept as they were, read again by whoever may."""

import time

import pytest
from django.conf import settings

from malha.context.snapshots import jobs, service
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens

HEADER = "NGSILD-Snapshot"
FAST = {"type": "Query", "entities": [{"type": "Veiculo"}], "q": "velocidade>50"}


def vehicle(name, speed, **more):
    return {"id": f"urn:x:Veiculo:{name}", "type": "Veiculo", "velocidade": {"type": "Property", "value": speed}, **more}


def keep(client, *queries, **more):
    made = client.post("snapshots", json={"type": "Snapshot", "snapshotQueries": list(queries), **more})
    assert made.status_code == 201, made.text
    return ready(client, made.headers["location"].rsplit("/", 1)[-1])


def ready(client, name):
    deadline = time.monotonic() + 20
    while (found := client.get(f"snapshots/{name}").json())["snapshotStatus"] == "preparing" and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def names(answer):
    assert answer.status_code == 200, answer.text
    return [one["id"].rsplit(":", 1)[-1] for one in answer.json()]


@pytest.fixture
def three(broker):
    place = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.61, 41.15]}}
    for one in (vehicle("a", 80, location=place), vehicle("b", 30), vehicle("c", 120, scope="/norte")):
        assert broker.post("entities", json=one).status_code == 201
    return broker


def test_it_stays_as_it_was(three):
    kept = keep(three, FAST)
    assert (kept["type"], kept["snapshotStatus"], kept["snapshotPriority"]) == ("Snapshot", "success", 5)
    assert kept["snapshotQueriesDetails"] == [{"resultStatus": "success"}]
    assert kept["snapshotQueries"] == [FAST]
    within = {HEADER: kept["id"]}
    three.patch("entities/urn:x:Veiculo:a/attrs", json={"velocidade": {"type": "Property", "value": 1}})
    three.delete("entities/urn:x:Veiculo:c")
    answer = three.get("entities", params={"type": "Veiculo", "count": "true", "limit": 1}, headers=within)
    assert (names(answer), answer.headers["NGSILD-Results-Count"], answer.headers[HEADER]) == (["a"], "2", kept["id"])
    assert 'rel="next"' in answer.headers["Link"]
    assert names(three.get("entities", params={"type": "Veiculo", "q": "velocidade>100"}, headers=within)) == ["c"]
    assert names(three.get("entities", params={"type": "Veiculo", "scopeQ": "/norte"}, headers=within)) == ["c"]
    near = {"type": "Veiculo", "georel": "near;maxDistance==500", "geometry": "Point", "coordinates": "[-8.61,41.15]"}
    assert names(three.get("entities", params=near, headers=within)) == ["a"]
    assert names(three.post("entityOperations/query", json=FAST, headers=within)) == ["a", "c"]
    one = three.get("entities/urn:x:Veiculo:c", params={"options": "keyValues"}, headers=within)
    assert (one.json()["velocidade"], one.headers[HEADER]) == (120, kept["id"])
    assert three.get("entities/urn:x:Veiculo:b", headers=within).status_code == 404
    assert three.get("entities/urn:x:Veiculo:a", params={"options": "keyValues"}).json()["velocidade"] == 1


def test_how_it_went(three):
    assert keep(three, {"type": "Query", "entities": [{"type": "Nada"}]})["snapshotStatus"] == "empty"
    partly = keep(three, FAST, {"type": "Query", "entities": [{"type": "Nada"}]})
    assert (partly["snapshotStatus"], [one["resultStatus"] for one in partly["snapshotQueriesDetails"]]) == ("partial", ["success", "empty"])
    wrong = keep(three, {"type": "Query", "entities": [{"type": "Veiculo"}], "q": "(velocidade"})
    assert (wrong["snapshotStatus"], wrong["snapshotQueriesDetails"][0]["problemDetails"]["status"]) == ("failure", 400)


def test_too_many_are_not_cut_in_silence(three, monkeypatch):
    monkeypatch.setattr("malha.context.snapshots.filling.MOST", 1)
    found = keep(three, {"type": "Query", "entities": [{"type": "Veiculo"}]})
    assert (found["snapshotStatus"], found["snapshotQueriesDetails"][0]["resultStatus"]) == ("failure", "failure")
    assert names(three.get("entities", params={"type": "Veiculo"}, headers={HEADER: found["id"]})) == []


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"type": "Snapshot"}, 400),
        ({"type": "Snapshot", "snapshotQueries": []}, 400),
        ({"type": "Snapshot", "snapshotQueries": [{"type": "Query", "temporalQ": {"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"}}]}, 400),
        ({"type": "Snapshot", "snapshotQueries": [FAST] * 11}, 400),
        ({"type": "Snapshot", "snapshotQueries": [FAST], "snapshotPriority": 0}, 400),
        ({"type": "Snapshot", "snapshotQueries": [FAST], "snapshotLifetime": "um dia"}, 400),
        ({"type": "Snapshot", "snapshotQueries": [FAST], "id": "sem esquema"}, 400),
        ({"type": "Snapshot", "snapshotQueries": [FAST], "outro": 1}, 400),
        ({"type": "Snapshot", "snapshotQueries": [FAST], "endpoint": "ftp://exemplo.pt"}, 400),
        ({"type": "Snapshot", "snapshotQueries": [FAST], "endpoint": {"uri": "http://exemplo.pt"}}, 400),
        ({"type": "Snapshot", "snapshotQueries": [FAST], "endpoint": "https://eu:segredo@exemplo.pt"}, 400),
        ({"type": "Snapshot", "snapshotQueries": [FAST], "endpoint": "https://exemplo.pt", "receiverInfo": [{"key": "a"}]}, 400),
        ({"type": "Snapshot", "snapshotTemporalQueries": [FAST]}, 400),
        ({"type": "Snapshot", "snapshotTemporalQueries": []}, 400),
        ([], 400),
    ],
)
def test_what_cannot_be_one(broker, said, status):
    assert broker.post("snapshots", json=said).status_code == status


def test_what_is_not_done_inside_one(three):
    within = {HEADER: keep(three, FAST)["id"]}
    assert three.get("entities", params={"type": "Veiculo"}, headers={HEADER: "urn:x:nenhum"}).status_code == 404
    assert three.get("entities", params={"type": "Veiculo"}, headers={HEADER: "nada"}).status_code == 400
    assert three.get("entities", params={"type": "Veiculo", "entityMap": "true"}, headers=within).status_code == 422
    body = {**vehicle("a", 0), "velocidade": [{"type": "Property", "value": 0, "observedAt": "2026-03-01T10:00:00Z"}]}
    refused = [
        three.post("temporal/entities", json=body, headers=within), three.delete("temporal/entities/urn:x:Veiculo:a", headers=within),
        three.get("subscriptions", headers=within), three.get("csourceRegistrations", headers=within), three.get("entityMaps", headers=within),
    ]  # fmt: skip
    assert {answer.status_code for answer in refused} == {422}
    assert three.get("entities/urn:x:Veiculo:a", params={"options": "keyValues"}).json()["velocidade"] == 80


def test_changed_cloned_and_ended(three):
    kept = keep(three, FAST, snapshotLifetime="PT1H")
    changed = three.patch(f"snapshots/{kept['id']}", json={"snapshotPriority": 2, "snapshotLifetime": "P3650D"})
    assert (changed.status_code, changed.json()["snapshotPriority"]) == (200, 2)
    assert kept["expiresAt"] < changed.json()["expiresAt"] < "2030"
    for said in ({"snapshotQueries": []}, {"snapshotStatus": "success"}, {"id": "urn:x:outro"}):
        assert three.patch(f"snapshots/{kept['id']}", json=said).status_code == 400
    made = three.post(f"snapshots/{kept['id']}/clone", json={"type": "Snapshot", "id": "urn:x:Snapshot:outro", "snapshotPriority": 9})
    assert (made.status_code, made.headers["location"].rsplit("/", 1)[-1]) == (201, "urn:x:Snapshot:outro")
    assert three.post(f"snapshots/{kept['id']}/clone", json={"id": "urn:x:Snapshot:outro"}).status_code == 400
    assert three.delete("snapshots", params={"q": "velocidade>50"}).status_code == 400
    assert three.delete("snapshots").status_code == 400
    assert three.delete("snapshots", params={"q": "snapshotPriority<5"}).status_code == 204
    assert three.get(f"snapshots/{kept['id']}").status_code == 404
    copy = three.get("snapshots/urn:x:Snapshot:outro").json()
    assert (copy["snapshotStatus"], copy["snapshotPriority"]) == ("success", 9)
    assert names(three.get("entities", params={"type": "Veiculo"}, headers={HEADER: copy["id"]})) == ["a", "c"]
    assert [three.delete(f"snapshots/{copy['id']}").status_code for _ in range(2)] == [204, 404]


def test_no_more_than_a_tenant_may_have(three, monkeypatch):
    monkeypatch.setattr(service, "MOST", 1)
    keep(three, FAST)
    assert three.post("snapshots", json={"type": "Snapshot", "snapshotQueries": [FAST]}).status_code == 400


def test_other_readers_see_what_they_may(three, other_client, new_tenant):
    kept = keep(three, FAST, {"type": "Query", "entities": [{"type": "Pessoa"}]})
    other = other_client(three)
    assert names(other.get("entities", params={"type": "Veiculo"}, headers={HEADER: kept["id"]})) == ["a", "c"]
    assert other.patch(f"snapshots/{kept['id']}", json={"snapshotPriority": 1}).status_code == 404
    assert other.delete(f"snapshots/{kept['id']}").status_code == 404
    assert other.delete("snapshots", params={"q": "snapshotPriority>0"}).status_code == 204
    assert three.get(f"snapshots/{kept['id']}").status_code == 200

    with database.connect(autocommit=True) as conn:
        stranger = tokens.issue(conn, settings.SECRET_KEY, subject="client:fora", tenants=[new_tenant().id], capabilities=(Capability.DATA_READ,))
        (own,) = conn.execute("SELECT id FROM organisation WHERE slug = %s", [three.base_url.path.split("/")[1]]).fetchone()
        narrow = tokens.issue(conn, settings.SECRET_KEY, subject="client:um-tipo", tenants=[own], capabilities=(Capability.DATA_READ,), types=["Outro"])
    base = str(three.base_url).replace(three.base_url.path, "/ngsi-ld/v1/")
    outside = {"Authorization": f"Bearer {stranger}", HEADER: kept["id"]}
    assert three.get(f"{base}entities", params={"type": "Veiculo"}, headers=outside).status_code == 404
    assert three.get(f"{base}snapshots/{kept['id']}", headers={"Authorization": f"Bearer {stranger}"}).status_code == 404
    within = {"Authorization": f"Bearer {narrow}", HEADER: kept["id"]}
    assert names(three.get(f"{base}entities", params={"type": "Veiculo"}, headers=within)) == []
    assert three.get(f"{base}entities/urn:x:Veiculo:a", headers=within).status_code == 404


def test_one_that_ended_is_taken_away(three):
    kept = keep(three, FAST, snapshotLifetime="PT1S")
    deadline = time.monotonic() + 20
    while three.get(f"snapshots/{kept['id']}").status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert three.get("entities", params={"type": "Veiculo"}, headers={HEADER: kept["id"]}).status_code == 404
    jobs.take_ended.__wrapped__() if hasattr(jobs.take_ended, "__wrapped__") else jobs.take_ended()
    with database.connect(autocommit=True) as conn:
        (own,) = conn.execute("SELECT id FROM organisation WHERE slug = %s", [three.base_url.path.split("/")[1]]).fetchone()
        with database.tenant_transaction(conn, [own]):
            assert conn.execute("SELECT count(*) FROM snapshot_entity").fetchone() == (0,)


def test_other_sources_are_in_it(three, source):
    there = source()
    there.serve(vehicle("longe", 90))
    said = {"type": "ContextSourceRegistration", "endpoint": there.url, "information": [{"entities": [{"type": "Veiculo"}]}], "operations": ["queryEntity"]}
    assert three.post("csourceRegistrations", json=said).status_code == 201
    kept = keep(three, FAST)
    assert kept["snapshotStatus"] == "success"
    there.answers["GET", "/entities"] = (500, None)
    assert names(three.get("entities", params={"type": "Veiculo"}, headers={HEADER: kept["id"]})) == ["a", "c", "longe"]
    silent = keep(three, FAST)
    assert silent["snapshotStatus"] == "partial"
    assert "problemDetails" in silent["snapshotQueriesDetails"][0]


def told(receiver, count):
    deadline = time.monotonic() + 20
    while len(receiver.asked) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(receiver.asked) == count
    return receiver.asked[-1]


def test_5_16_6_who_asked_for_it_is_told_how_it_fares(three, source):
    receiver = source()
    receiver.answers["POST", "/aviso"] = (200, None)
    kept = keep(three, FAST, endpoint=f"{receiver.url}/aviso", receiverInfo=[{"key": "Authorization", "value": "Bearer segredo"}])
    first = told(receiver, 1)
    assert first.headers["Authorization"] == "Bearer segredo"
    assert "segredo" not in str(kept)
    assert kept["endpoint"] == f"{receiver.url}/aviso"
    assert (first.body["type"], first.body["snapshotId"], first.body["snapshotStatus"]) == ("SnapshotNotification", kept["id"], "success")
    assert (first.body["expiresAt"], first.body["snapshotQueriesDetails"]) == (kept["expiresAt"], [{"resultStatus": "success"}])
    changed = three.patch(f"snapshots/{kept['id']}", json={"snapshotLifetime": "PT2H"}).json()
    assert told(receiver, 2).body["expiresAt"] == changed["expiresAt"] != kept["expiresAt"]
    copy = three.post(f"snapshots/{kept['id']}/clone", json={"type": "Snapshot"})  # it tells nobody: who it tells is not copied
    assert copy.status_code == 201
    assert three.delete(f"snapshots/{kept['id']}").status_code == 204
    ended = told(receiver, 3).body
    assert ended["expiresAt"] <= ended["notifiedAt"]
    assert len({one.body["id"] for one in receiver.asked}) == 3


def test_5_16_6_one_that_is_away_is_told_a_little_later(three, source, monkeypatch):
    monkeypatch.setattr("malha.context.snapshots.telling.AGAIN_SECONDS", (0.1, 0.1))
    receiver = source()
    answers = iter([(503, None), (200, None)])
    receiver.answers["POST", "/aviso"] = lambda _: next(answers)
    keep(three, FAST, endpoint=f"{receiver.url}/aviso")
    told(receiver, 2)
    assert len({one.body["id"] for one in receiver.asked}) == 1


def test_5_16_6_an_address_within_is_not_reached(three, monkeypatch):
    kept = keep(three, FAST, endpoint="http://127.0.0.1:9/aviso")
    assert kept["snapshotStatus"] == "success"


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("velocidade", "bacd"), ("velocidade;desc", "cabd"), ("id;desc", "dcba"), ("nome", "bdac"), ("nome&collation=pt", "abdc"), ("createdAt;desc", "dcba"),
        ("velocidade.observedAt,id;desc", "adcb"), ("marca[ano]", "bacd"), ("location;dist-desc&orderFrom=[-8.61,41.15]", "bacd"),
    ],
)  # fmt: skip
def test_it_is_ordered_as_the_present_is(broker, by, order):
    """§4.23: the same question to the present and to a snapshot of it has the same order."""

    def at(lon):
        return {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [lon, 41.15]}}

    for one in (
        vehicle("a", 80, location=at(-8.62), nome={"type": "Property", "value": "Ávila"}, marca={"type": "Property", "value": {"ano": "x"}}),
        vehicle("b", 30, location=at(-8.7), nome={"type": "Property", "value": "Beja"}, marca={"type": "Property", "value": {"ano": 2}}),
        vehicle("c", 120, location=at(-8.61)),
        {"id": "urn:x:Veiculo:d", "type": "Veiculo", "nome": {"type": "Property", "value": "beja"}},
    ):
        assert broker.post("entities", json=one).status_code == 201
    moment = {"type": "Property", "value": 80, "observedAt": "2026-03-01T10:00:00Z"}
    assert broker.patch("entities/urn:x:Veiculo:a/attrs", json={"velocidade": moment}).status_code == 204
    within = {HEADER: keep(broker, {"type": "Query", "entities": [{"type": "Veiculo"}]})["id"]}
    params = {"type": "Veiculo", **dict(part.split("=", 1) for part in f"orderBy={by}".split("&"))}
    live = names(broker.get("entities", params=params))
    assert names(broker.get("entities", params=params, headers=within)) == live
    assert "".join(live) == order
    assert names(broker.get("entities", params={**params, "limit": 2, "offset": 1}, headers=within)) == live[1:3]


def test_relationships_lead_to_what_is_in_it(broker):
    """§4.5.23, §4.9: linked entities are those of the snapshot, never those of the present."""
    owner = {"id": "urn:x:Dono:1", "type": "Dono", "nome": {"type": "Property", "value": "Ana"}}
    other = {"id": "urn:x:Dono:2", "type": "Dono", "nome": {"type": "Property", "value": "Rui"}}
    for one in (owner, other, *(vehicle(str(n), n, dono={"type": "Relationship", "object": f"urn:x:Dono:{n}"}) for n in (1, 2))):
        assert broker.post("entities", json=one).status_code == 201
    kept = keep(broker, {"type": "Query", "entities": [{"type": "Veiculo"}]}, {"type": "Query", "entities": [{"type": "Dono", "id": "urn:x:Dono:1"}]})
    within = {HEADER: kept["id"]}
    assert broker.patch("entities/urn:x:Dono:1/attrs", json={"nome": {"type": "Property", "value": "Eva"}}).status_code == 204
    inline = broker.get("entities", params={"type": "Veiculo", "join": "inline"}, headers=within).json()
    assert [each["dono"].get("entity", {}).get("nome", {}).get("value") for each in inline] == ["Ana", None]
    flat = broker.get("entities/urn:x:Veiculo:1", params={"join": "flat", "options": "keyValues"}, headers=within).json()
    assert [each.get("nome") for each in flat] == [None, "Ana"]
    asked = {"type": "Veiculo", "join": "inline", "q": 'dono{nome}=="Ana"'}
    live = names(broker.get("entities", params={**asked, "q": 'dono{nome}=="Eva"'}))
    assert (names(broker.get("entities", params=asked, headers=within)), live) == (["1"], ["1"])


def test_the_types_and_attributes_that_it_holds(three):
    """§5.7.5 to §5.7.10, inside one."""
    assert three.post("entities", json={"id": "urn:x:Outro:1", "type": "Outro"}).status_code == 201
    within = {HEADER: keep(three, FAST)["id"]}
    assert three.get("types", headers=within).json()["typeList"] == ["Veiculo"]
    assert sorted(three.get("types").json()["typeList"]) == ["Outro", "Veiculo"]
    details = three.get("types", params={"details": "true", "count": "true"}, headers=within)
    assert (details.json()[0]["attributeNames"], details.headers["NGSILD-Results-Count"]) == (["location", "velocidade"], "1")
    one = three.get("types/Veiculo", headers=within).json()
    assert (one["entityCount"], sorted(each["attributeName"] for each in one["attributeDetails"])) == (2, ["location", "velocidade"])
    assert three.get("types/Outro", headers=within).status_code == 404
    assert three.get("attributes", headers=within).json()["attributeList"] == ["location", "velocidade"]
    speed = three.get("attributes/velocidade", headers=within)
    assert (speed.json()["attributeCount"], speed.json()["typeNames"], speed.headers[HEADER]) == (2, ["Veiculo"], within[HEADER])
    assert three.get("attributes/nada", headers=within).status_code == 404
    assert three.get("types", headers={HEADER: "urn:x:nenhum"}).status_code == 404


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"q": 'dono>"urn:x"'}, []), ({"q": 'dono=="urn:x:Dono:1"'}, ["a"]), ({"q": 'dono!="urn:x:Dono:1"'}, ["b"]), ({"q": 'dono~="Dono"'}, ["a", "b"]),
        ({"q": "uso==frota"}, []), ({"q": "uso==frota", "expandValues": "uso"}, ["a"]), ({"q": "uso"}, ["a"]), ({"q": "dono"}, ["a", "b"]),
        ({"q": "velocidade==80,30"}, ["a", "b"]), ({"q": "nome==Ana"}, ["b"]), ({"q": "nome[pt]==Ana"}, ["b"]), ({"idPattern": ".*:b$"}, ["b"]),
        ({"idPattern": "["}, 400), ({"q": "(velocidade"}, 400),
    ],
)  # fmt: skip
def test_it_is_asked_as_the_present_is(broker, asked, found):
    """§4.9, §5.7.2: the same question to the present and to a snapshot of it has the same answer."""
    for one in (
        vehicle("a", 80, dono={"type": "Relationship", "object": "urn:x:Dono:1"}, uso={"type": "VocabProperty", "vocab": "frota"}),
        vehicle(
            "b", 30, dono={"type": "Relationship", "object": ["urn:x:Dono:2", "urn:x:Dono:3"]}, nome={"type": "LanguageProperty", "languageMap": {"pt": "Ana"}}
        ),
    ):
        assert broker.post("entities", json=one).status_code == 201
    within = {HEADER: keep(broker, {"type": "Query", "entities": [{"type": "Veiculo"}]})["id"]}
    for headers in ({}, within):
        answer = broker.get("entities", params={"type": "Veiculo", **asked}, headers=headers)
        assert (names(answer) if answer.status_code == 200 else answer.status_code) == found


def test_an_id_goes_before_a_pattern_and_a_type_is_looked_at(three):
    """§5.2.33, §5.7.1.4"""
    within = {HEADER: keep(three, FAST)["id"]}
    said = {"type": "Query", "entities": [{"type": "Veiculo", "id": "urn:x:Veiculo:a", "idPattern": ".*:c$"}]}
    assert names(three.post("entityOperations/query", json=said, headers=within)) == names(three.post("entityOperations/query", json=said)) == ["a"]
    assert three.get("entities/urn:x:Veiculo:a", params={"type": "Outro"}, headers=within).status_code == 404
    assert three.get("entities/urn:x:Veiculo:a", params={"type": "Veiculo"}, headers=within).status_code == 200
