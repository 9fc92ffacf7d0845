"""GS CIM 009 §5.5.15, §6.3.22: what is written inside a snapshot, which is that snapshot's alone."""

import threading

import pytest
from django.conf import settings

from malha.context.snapshots import keeping, service
from malha.context.snapshots.contracts import Status
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens

from .test_5_16_snapshots import HEADER, keep, names, vehicle

ALL = {"type": "Query", "entities": [{"type": "Veiculo"}]}


def speed(value, **more):
    return {"velocidade": {"type": "Property", "value": value, **more}}


def value(client, name, **headers):
    answer = client.get(f"entities/urn:x:Veiculo:{name}", params={"options": "keyValues"}, headers=headers)
    return answer.json().get("velocidade") if answer.status_code == 200 else answer.status_code


@pytest.fixture
def here(broker):
    """Two vehicles, and the header of a snapshot that has them."""
    for one in (vehicle("a", 80), vehicle("b", 30)):
        assert broker.post("entities", json=one).status_code == 201
    return {HEADER: keep(broker, ALL)["id"]}


#: (verb, path, body, status as outside, speed of a after it)
CHANGES = [
    ("PUT", "entities/urn:x:Veiculo:a", {"type": "Veiculo", **speed(1)}, 204, 1),
    ("PATCH", "entities/urn:x:Veiculo:a", speed(2), 204, 2),
    ("POST", "entities/urn:x:Veiculo:a/attrs", speed(3), 204, 3),
    ("POST", "entities/urn:x:Veiculo:a/attrs?options=noOverwrite", {**speed(4), "cor": {"type": "Property", "value": "azul"}}, 207, 80),
    ("PATCH", "entities/urn:x:Veiculo:a/attrs", speed(5), 204, 5),
    ("PATCH", "entities/urn:x:Veiculo:a/attrs/velocidade", {"value": 6}, 204, 6),
    ("PUT", "entities/urn:x:Veiculo:a/attrs/velocidade", {"type": "Property", "value": 7}, 204, 7),
    ("DELETE", "entities/urn:x:Veiculo:a/attrs/velocidade", None, 204, None),
    ("DELETE", "entities/urn:x:Veiculo:a", None, 204, 404),
    ("DELETE", "entities?type=Veiculo&q=velocidade>50", None, 204, 404),
    ("DELETE", "entities?type=Veiculo&drop=velocidade", None, 204, None),
    ("POST", "entityOperations/upsert", [vehicle("a", 8)], 204, 8),
    ("POST", "entityOperations/upsert", [vehicle("a", 8), vehicle("novo", 1)], 201, 8),
    ("POST", "entityOperations/update", [vehicle("a", 9)], 204, 9),
    ("POST", "entityOperations/merge", [vehicle("a", 10)], 204, 10),
    ("POST", "entityOperations/merge", [vehicle("a", 10), vehicle("nada", 1)], 207, 10),
    ("POST", "entityOperations/delete", ["urn:x:Veiculo:a"], 204, 404),
    ("POST", "entityOperations/delete", ["urn:x:Veiculo:a", "urn:x:Veiculo:nada"], 207, 404),
    ("POST", "entityOperations/create", [vehicle("a", 1), vehicle("novo", 1)], 207, 80),
    ("POST", "entities", vehicle("a", 1), 409, 80),
    ("PATCH", "entities/urn:x:Veiculo:nada", speed(1), 404, 80),
    ("PATCH", "entities/urn:x:Veiculo:a/attrs/nada", {"value": 1}, 404, 80),
    ("DELETE", "entities/urn:x:Veiculo:nada", None, 404, 80),
    ("POST", "entities", {"id": "urn:x:Veiculo:c"}, 400, 80),
    ("DELETE", "entities", None, 400, 80),
    ("PATCH", "entities/urn:x:Veiculo:a", {"velocidade": {"type": "Property", "value": None}}, 400, 80),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "path", "body", "status", "after"), CHANGES)
def test_it_is_answered_as_outside_and_stays_inside(broker, here, verb, path, body, status, after):
    answer = broker.request(verb, path, json=body, headers=here)
    assert answer.status_code == status, answer.text
    assert value(broker, "a", **here) == after
    assert (value(broker, "a"), value(broker, "novo")) == (80, 404)
    outside = broker.request(verb, path, json=body)
    assert (outside.status_code, outside.text) == (status, answer.text)
    assert value(broker, "a") == after


def test_made_inside_it_is_nowhere_else(broker, here):
    made = broker.post("entities", json=vehicle("c", 120, scope="/norte"), headers=here)
    assert (made.status_code, made.headers["location"].rsplit("/", 1)[-1], made.headers[HEADER]) == (201, "urn:x:Veiculo:c", here[HEADER])
    assert names(broker.get("entities", params={"type": "Veiculo"}, headers=here)) == ["a", "b", "c"]
    assert names(broker.get("entities", params={"type": "Veiculo", "q": "velocidade>100", "scopeQ": "/norte"}, headers=here)) == ["c"]
    assert names(broker.get("entities", params={"type": "Veiculo"})) == ["a", "b"]
    assert broker.get("types/Veiculo", headers=here).json()["entityCount"] == 3
    assert broker.post("entities", json=vehicle("d", 1)).status_code == 201
    assert value(broker, "d", **here) == 404
    clone = broker.post(f"snapshots/{here[HEADER]}/clone", json={"type": "Snapshot"}).headers[HEADER]
    assert broker.delete("entities/urn:x:Veiculo:c", headers=here).status_code == 204
    assert (value(broker, "c", **here), value(broker, "c", **{HEADER: clone})) == (404, 120)


def test_members_are_kept_as_outside(broker, here):
    """Instances by datasetId, places of any shape, languages, types that are added, scopes and instants."""
    line = {"type": "LineString", "coordinates": [[-8.61, 41.15], [-8.6, 41.16]]}
    given = {
        "id": "urn:x:Veiculo:e", "type": "Veiculo", "location": {"type": "GeoProperty", "value": line}, "nome": {"type": "LanguageProperty", "languageMap": {"pt": "Carro"}},
        "velocidade": [{"type": "Property", "value": 1}, {"type": "Property", "value": 2, "datasetId": "urn:x:gps", "unitCode": "KMH"}],
    }  # fmt: skip
    more = {"type": ["Veiculo", "Elétrico"], "velocidade": {"type": "Property", "value": 3, "datasetId": "urn:x:gps"}, "scope": ["/a", "/b"]}
    found = []
    for headers in ({}, here):
        assert broker.post("entities", json=given, headers=headers).status_code == 201
        assert broker.post("entities/urn:x:Veiculo:e/attrs", json=more, headers=headers).status_code == 204
        assert (
            broker.patch("entities/urn:x:Veiculo:e", json={"nome": {"type": "LanguageProperty", "languageMap": {"en": "Car"}}}, headers=headers).status_code
            == 204
        )
        assert broker.delete("entities/urn:x:Veiculo:e/attrs/velocidade", headers=headers).status_code == 204
        found.append(broker.get("entities/urn:x:Veiculo:e", headers=headers).json())
    assert found[0] == found[1]
    assert (found[1]["type"], found[1]["scope"], found[1]["location"]["value"]) == (["Veiculo", "Elétrico"], ["/a", "/b"], line)
    stamped = broker.get("entities/urn:x:Veiculo:e", params={"options": "sysAttrs"}, headers=here).json()
    assert stamped["createdAt"] < stamped["modifiedAt"]
    near = {"type": "Veiculo", "georel": "near;maxDistance==500", "geometry": "Point", "coordinates": "[-8.61,41.15]"}
    assert names(broker.get("entities", params=near, headers=here)) == ["e"]
    assert broker.delete("entities/urn:x:Veiculo:e/attrs/scope", headers=here).status_code == 204
    assert "scope" not in broker.get("entities/urn:x:Veiculo:e", headers=here).json()


def test_what_ends_by_itself_ends_inside_too(broker, here):
    """§4.22"""
    assert broker.post("entities", json=vehicle("g", 1, expiresAt="2020-01-01T00:00:00Z"), headers=here).status_code == 400
    assert broker.post("entities", json=vehicle("g", 1, expiresAt="2099-01-01T00:00:00Z"), headers=here).status_code == 201
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [own(conn, broker)]):
        conn.execute("UPDATE snapshot_entity SET expires_at = now() - interval '1 second' WHERE uri = 'urn:x:Veiculo:g'")
    assert value(broker, "g", **here) == 404
    assert broker.post("entities", json=vehicle("g", 2), headers=here).status_code == 201
    assert value(broker, "g", **here) == 2


def own(conn, client):
    return conn.execute("SELECT id FROM organisation WHERE slug = %s", [client.base_url.path.split("/")[1]]).fetchone()[0]


def counted(client):
    """Rows of what the present, its history, its events and its notices leave."""
    with database.connect(autocommit=True) as conn:
        tenant = own(conn, client)
        with database.tenant_transaction(conn, [tenant]):
            tables = ("entities", "observations", "outbox", "entity_deleted")
            return {table: conn.execute(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", [tenant]).fetchone()[0] for table in tables}


def test_nothing_of_the_tenant_hears_of_it(broker, here, source):
    """No history, no event, no notice, no other source; and what sources hear outside goes by the snapshot."""
    there = source()
    said = {
        "type": "ContextSourceRegistration",
        "endpoint": there.url,
        "information": [{"entities": [{"type": "Veiculo"}]}],
        "operations": ["redirectionOps", "updateOps"],
    }
    assert broker.post("csourceRegistrations", json=said).status_code == 201
    watch = {
        "type": "Subscription", "entities": [{"type": "Veiculo"}], "notificationTrigger": ["entityCreated", "entityUpdated", "entityDeleted"],
        "notification": {"endpoint": {"uri": f"{there.url}/aviso"}},
    }  # fmt: skip
    assert broker.post("subscriptions", json=watch).status_code == 201
    before, asked = counted(broker), len(there.asked)
    for verb, path, body, _, _ in CHANGES:
        assert broker.request(verb, path, json=body, headers=here).status_code < 500
    assert broker.post("entityOperations/upsert", json=[vehicle(f"n{n}", n) for n in range(250)], headers=here).status_code == 201
    assert (counted(broker), len(there.asked)) == (before, asked)
    assert broker.get("temporal/entities/urn:x:Veiculo:novo").status_code == 404


def test_one_that_is_being_filled_is_not_written(broker, here):
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [own(conn, broker)]):
        conn.execute("UPDATE snapshot SET status = %s", [Status.PREPARING])
    answer = broker.post("entities", json=vehicle("c", 1), headers=here)
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[-1]) == (409, "Conflict")
    assert broker.post("entities", json=vehicle("c", 1), headers={HEADER: "urn:x:nenhum"}).status_code == 404
    assert value(broker, "c") == 404


def test_it_stays_bounded(broker, here, monkeypatch):
    monkeypatch.setattr(keeping, "MOST_ENTITIES", 3)
    assert broker.post("entities", json=vehicle("c", 1), headers=here).status_code == 201
    answer = broker.post("entityOperations/upsert", json=[vehicle("a", 1), vehicle("d", 1)], headers=here)
    assert (answer.status_code, "3" in answer.json()["detail"]) == (413, True)
    assert (value(broker, "a", **here), value(broker, "d", **here)) == (80, 404)
    assert broker.delete("entities/urn:x:Veiculo:b", headers=here).status_code == 204
    assert broker.post("entities", json=vehicle("d", 1), headers=here).status_code == 201
    monkeypatch.setattr(keeping, "MOST_BYTES", 1_000)
    assert broker.patch("entities/urn:x:Veiculo:a", json=speed("".join(map(str, range(900)))), headers=here).status_code == 413
    assert value(broker, "a", **here) == 80


def test_whoever_writes_inside_may_write_that(broker, here, other_client):
    base = str(broker.base_url).replace(broker.base_url.path, "/ngsi-ld/v1/")
    with database.connect(autocommit=True) as conn:
        tenant = own(conn, broker)
        reads = tokens.issue(conn, settings.SECRET_KEY, subject="client:le", tenants=[tenant], capabilities=(Capability.DATA_READ,))
        both = (Capability.DATA_READ, Capability.DATA_WRITE)
        narrow = tokens.issue(conn, settings.SECRET_KEY, subject="client:um-tipo", tenants=[tenant], capabilities=both, types=["Outro"])
    for token, status in ((reads, 403), (narrow, 404)):
        answer = broker.patch(f"{base}entities/urn:x:Veiculo:a", json=speed(1), headers={"Authorization": f"Bearer {token}", **here})
        assert answer.status_code == status, answer.text
    headers = {"Authorization": f"Bearer {narrow}", **here}
    assert broker.post(f"{base}entities", json=vehicle("z", 1), headers=headers).status_code == 403
    assert broker.delete(f"{base}entities", params={"type": "Veiculo"}, headers=headers).status_code == 204
    assert broker.post(f"{base}entities", json={"id": "urn:x:Outro:1", "type": "Outro"}, headers=headers).status_code == 201
    assert names(broker.get("entities", params={"type": "Veiculo"}, headers=here)) == ["a", "b"]
    assert other_client(broker).patch("entities/urn:x:Veiculo:a", json=speed(2), headers=here).status_code in {204, 403}


def test_two_who_write_one_entity_lose_nothing(broker, here):
    """Attributes that several add to one entity at once are all there, and as many of them as were acknowledged."""
    done = []

    def add(who):
        for n in range(10):
            answer = broker.post("entities/urn:x:Veiculo:a/attrs", json={f"a{who}_{n}": {"type": "Property", "value": n}}, headers=here)
            done.append(answer.status_code)

    threads = [threading.Thread(target=add, args=(who,)) for who in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert done == [204] * 40
    assert len(broker.get("entities/urn:x:Veiculo:a", headers=here).json().keys() - {"id", "type", "velocidade", "@context"}) == 40
    assert service.MOST == 50
