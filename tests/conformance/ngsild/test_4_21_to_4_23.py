"""§4.18 and §4.19 scopes, §4.21 pick and omit, §4.22 transient entities, §4.5.23 linked entities, §4.23 order."""

import time
from datetime import UTC, datetime, timedelta

import pytest


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [one["id"].rpartition(":")[2] for one in answer.json()]


def many(broker, *entities):
    answer = broker.post("entityOperations/create", json=list(entities))
    assert answer.status_code == 201, answer.text


@pytest.fixture
def scoped(broker):
    many(
        broker, {"id": "urn:x:T:1", "type": "T", "scope": "/porto/ribeira", "a": 1}, {"id": "urn:x:T:2", "type": "T", "scope": ["/porto/foz", "/rio"], "a": 2},
        {"id": "urn:x:T:3", "type": "T", "scope": "/gaia", "a": 3}, {"id": "urn:x:T:4", "type": "T", "a": 4},
    )  # fmt: skip
    return broker


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ("/porto/ribeira", ["1"]), ("/porto/%23", ["1", "2"]), ("/%2B/foz", ["2"]), ("/porto/%23;/rio", ["2"]), ("/gaia,/rio", ["2", "3"]), ("(/gaia|/rio);/porto/foz", ["2"]),
        ("/%23", ["1", "2", "3"]), ("/porto", []),
    ],
)  # fmt: skip
def test_4_19_scope_queries(scoped, scope, found):
    assert ids(scoped.get(f"entities?type=T&scopeQ={scope}")) == found


def test_4_18_scopes_are_kept_changed_and_taken_away(scoped):
    assert scoped.get("entities/urn:x:T:2").json()["scope"] == ["/porto/foz", "/rio"]
    assert scoped.patch("entities/urn:x:T:2", json={"scope": "/lisboa"}).status_code == 204
    assert scoped.get("entities/urn:x:T:2").json()["scope"] == "/lisboa"
    assert scoped.delete("entities/urn:x:T:2/attrs/scope").status_code == 204
    assert "scope" not in scoped.get("entities/urn:x:T:2").json()
    assert scoped.patch("entities/urn:x:T:1/attrs/scope", json={"value": "/x"}).status_code == 400
    assert scoped.post("entities", json={"id": "urn:x:T:9", "type": "T", "scope": "/a b"}).status_code == 400


@pytest.fixture
def linked(broker):
    many(
        broker,
        {"id": "urn:x:Sala:1", "type": "Sala", "nome": "A", "fica": {"type": "Relationship", "object": "urn:x:Casa:1", "objectType": "Casa"}, "lotação": 9},
        {"id": "urn:x:Casa:1", "type": "Casa", "nome": "Casa", "rua": {"type": "Relationship", "object": "urn:x:Rua:1"}},
        {"id": "urn:x:Rua:1", "type": "Rua", "nome": "Rua"},
    )  # fmt: skip
    return broker


def test_4_21_pick_and_omit(linked):
    assert set(linked.get("entities/urn:x:Sala:1?pick=id,nome").json()) - {"@context"} == {"id", "nome"}
    assert set(linked.get("entities/urn:x:Sala:1?omit=nome,type").json()) - {"@context"} == {"id", "fica", "lotação"}
    assert [set(one) - {"@context"} for one in linked.get("entities?type=Sala&pick=nome").json()] == [{"nome"}]
    for wrong in ("pick=nome&omit=nome", "pick=nome&attrs=nome", "omit=nome&attrs=nome", "pick=nome{", "pick=%7B%7D"):
        assert linked.get(f"entities/urn:x:Sala:1?{wrong}").status_code == 400, wrong


def test_4_5_23_linked_entities(linked):
    inside = linked.get("entities/urn:x:Sala:1?join=inline&options=keyValues").json()
    assert inside["fica"]["nome"] == "Casa"
    assert inside["fica"]["rua"] == "urn:x:Rua:1"
    deeper = linked.get("entities/urn:x:Sala:1?join=inline&joinLevel=2&options=keyValues").json()
    assert deeper["fica"]["rua"]["nome"] == "Rua"
    flat = linked.get("entities/urn:x:Sala:1?join=flat&joinLevel=2&options=keyValues").json()
    assert [one["id"] for one in flat] == ["urn:x:Sala:1", "urn:x:Casa:1", "urn:x:Rua:1"]
    alone = linked.get("entities/urn:x:Sala:1?join=@none&options=keyValues").json()
    assert alone["fica"] == "urn:x:Casa:1"
    assert ids(linked.get('entities?type=Sala&q=fica{nome}=="Casa"&join=flat&joinLevel=1'))[0] == "1"
    assert ids(linked.get('entities?type=Sala&q=fica{nome}=="Nada"&join=flat&joinLevel=1')) == []
    for wrong in ("join=nada", "join=inline&joinLevel=0", "joinLevel=x&join=flat"):
        assert linked.get(f"entities/urn:x:Sala:1?{wrong}").status_code == 400, wrong


def test_4_5_23_4_what_contains_an_entity_is_not_repeated_in_it(broker):
    many(
        broker,
        {"id": "urn:x:A:1", "type": "A", "b": {"type": "Relationship", "object": "urn:x:B:1"}},
        {"id": "urn:x:B:1", "type": "B", "a": {"type": "Relationship", "object": "urn:x:A:1"}},
    )
    answer = broker.get("entities/urn:x:A:1?join=inline&joinLevel=5&options=keyValues")
    assert answer.status_code == 200
    assert answer.json()["b"]["a"] == "urn:x:A:1"


def test_4_23_order(broker):
    point = [[-8.6, 41.1], [-8.7, 41.1], [-8.61, 41.1]]
    many(broker, *({"id": f"urn:x:T:{n}", "type": "T", "n": value, "s": text, "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": point[n]}}} for n, (value, text) in enumerate([(3, "b"), (1, "Á"), (2, "a")])))  # fmt: skip
    assert ids(broker.get("entities?type=T&orderBy=n")) == ["1", "2", "0"]
    assert ids(broker.get("entities?type=T&orderBy=n;desc")) == ["0", "2", "1"]
    assert ids(broker.get("entities?type=T&orderBy=n;desc&limit=2&offset=1")) == ["2", "1"]
    assert ids(broker.get("entities?type=T&orderBy=id;desc")) == ["2", "1", "0"]
    near = "entities?type=T&orderBy=location;dist-asc&orderFrom=[-8.6,41.1]"
    assert ids(broker.get(near)) == ["0", "2", "1"]
    for wrong in ("orderBy=n;up", "orderBy=location;dist-asc&orderFrom=x"):
        assert broker.get(f"entities?type=T&{wrong}").status_code == 400, wrong


def test_4_22_what_has_ended_is_not_there(broker):
    soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat().replace("+00:00", "Z")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "expiresAt": soon, "a": 1}).status_code == 201
    assert (
        broker.post(
            "entities", json={"id": "urn:x:T:2", "type": "T", "expiresAt": later, "a": 1, "b": {"type": "Property", "value": 2, "expiresAt": soon}}
        ).status_code
        == 201
    )
    assert broker.get("entities/urn:x:T:2?sysAttrs=true").json()["expiresAt"].startswith(later[:16])
    until = time.monotonic() + 20
    while broker.get("entities/urn:x:T:1").status_code == 200 and time.monotonic() < until:
        time.sleep(0.1)
    assert broker.get("entities/urn:x:T:1").status_code == 404
    assert ids(broker.get("entities?type=T")) == ["2"]
    assert set(broker.get("entities/urn:x:T:2").json()) - {"@context"} == {"id", "type", "a"}
    assert broker.post("entities", json={"id": "urn:x:T:1", "type": "T", "a": 5}).status_code == 201
    past = "2020-01-01T00:00:00Z"
    assert broker.post("entities", json={"id": "urn:x:T:3", "type": "T", "expiresAt": past}).status_code == 400


def test_5_6_21_purge(broker):
    many(broker, *({"id": f"urn:x:T:{n}", "type": "T", "a": n, "b": n} for n in range(4)))
    assert broker.delete("entities").status_code == 400
    assert broker.delete("entities?type=T&q=a>2").status_code == 204
    assert ids(broker.get("entities?type=T")) == ["0", "1", "2"]
    assert broker.delete("entities?type=T&drop=b&q=a<2").status_code == 204
    assert ["b" in one for one in broker.get("entities?type=T").json()] == [False, False, True]
    assert broker.delete("entities?type=T&keep=b&q=a==2").status_code == 204
    assert set(broker.get("entities/urn:x:T:2").json()) - {"@context"} == {"id", "type", "b"}
    assert broker.delete("entities?type=T&keep=b&drop=b").status_code == 400
