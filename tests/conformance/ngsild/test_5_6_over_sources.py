"""GS CIM 009 §5.6 with §4.3.6: writes that other sources take part in."""

import pytest
from tests.conformance.ngsild.sources import TYPE, entity, level, only


def everything(source_, status=204, body=None):
    """A source that takes every write."""
    source_.answers = _Always(status, body)
    return source_


class _Always(dict):
    def __init__(self, status, body):
        self.said = (status, body)

    def get(self, key, default=None):
        return (201 if key == ("POST", "/entities") and self.said[0] == 204 else self.said[0], self.said[1])


def test_5_6_1_create_is_divided(broker, source, register):
    alone, copy = everything(source()), everything(source())
    register(alone, only("nivel"), mode="exclusive", operations=["redirectionOps"])
    register(copy, operations=["redirectionOps"])
    made = broker.post("entities", json=entity(1, nivel=level(5), peso=level(2)))
    assert (made.status_code, made.headers["location"][-1]) == (201, "1")
    assert set(alone.asked[-1].body) == {"id", "type", "nivel"}
    assert set(copy.asked[-1].body) == {"id", "type", "peso"}
    here = broker.get(f"entities/urn:x:{TYPE}:1?local=true&options=keyValues").json()
    assert ("nivel" in here, here["peso"]) == (False, 2)


def test_5_6_1_redirect_keeps_nothing_here(broker, source, register):
    there = everything(source())
    register(there, mode="redirect", operations=["redirectionOps"])
    assert broker.post("entities", json=entity(1, nivel=level(5))).status_code == 201
    assert broker.get(f"entities/urn:x:{TYPE}:1?local=true").status_code == 404
    assert broker.delete(f"entities/urn:x:{TYPE}:1").status_code == 204
    assert [one.method for one in there.asked] == ["POST", "DELETE"]


def test_a_source_that_does_not_take_the_operation(broker, source, register):
    there = everything(source())
    register(there, mode="redirect", operations=["retrieveOps"])
    refused = broker.post("entities", json=entity(1, nivel=level(5)))
    assert (refused.status_code, refused.json()["type"]) == (409, "https://uri.etsi.org/ngsi-ld/errors/Conflict")
    assert there.asked == []


def test_partial_success_is_207(broker, source, register):
    there = everything(source(), 409, {"type": "https://uri.etsi.org/ngsi-ld/errors/AlreadyExists", "title": "já"})
    uri = register(there, operations=["redirectionOps"])
    partly = broker.post("entities", json=entity(1, nivel=level(5)))
    assert partly.status_code == 207
    (error,) = partly.json()["errors"]
    assert (error["entityId"], error["registrationId"], error["error"]["status"]) == (f"urn:x:{TYPE}:1", uri, 409)
    attrs = broker.patch(f"entities/urn:x:{TYPE}:1/attrs", json={"nivel": 7})
    assert (attrs.status_code, attrs.json()["notUpdated"][0]["registrationId"]) == (207, uri)
    assert broker.get(f"entities/urn:x:{TYPE}:1?local=true&options=keyValues").json()["nivel"] == 7


def test_a_source_that_is_gone_is_504(broker, source, register):
    there = source()
    register(there, only("nivel"), mode="exclusive", operations=["redirectionOps"])
    there.close()
    gone = broker.patch(f"entities/urn:x:{TYPE}:1/attrs", json={"nivel": 7})
    assert gone.status_code == 504, gone.text
    broken = everything(source(), 500)
    register(broken, only("peso"), mode="exclusive", operations=["redirectionOps"])
    assert broker.patch(f"entities/urn:x:{TYPE}:1/attrs", json={"peso": 7}).status_code == 502


WRITES = [
    ("PUT", "", {"id": f"urn:x:{TYPE}:1", "type": TYPE, "nivel": 9}), ("PATCH", "", {"nivel": 9}), ("POST", "/attrs", {"nivel": 9}), ("PATCH", "/attrs", {"nivel": 9}),
    ("PATCH", "/attrs/nivel", {"value": 9}), ("PUT", "/attrs/nivel", {"type": "Property", "value": 9}), ("DELETE", "/attrs/nivel", None), ("DELETE", "", None),
]  # fmt: skip


def test_every_write_reaches_here_and_there(broker, source, register):
    broker.post("entities?local=true", json=entity(1, nivel=level(5)))
    there = everything(source())
    register(there, operations=["redirectionOps"])
    for method, path, body in WRITES:
        answer = broker.request(method, f"entities/urn:x:{TYPE}:1{path}", json=body)
        assert answer.status_code == 204, (method, path, answer.text)
        asked = there.asked[-1]
        assert asked.method == method
        assert path.rsplit("/", 1)[-1] in asked.path
        here = broker.get(f"entities/urn:x:{TYPE}:1?local=true&options=keyValues")
        if method == "DELETE":
            assert here.status_code == 404 or "nivel" not in here.json()
        else:
            assert here.json()["nivel"] == 9
            broker.patch(f"entities/urn:x:{TYPE}:1/attrs?local=true", json={"nivel": 5})
    assert len(there.asked) == len(WRITES)


def test_5_6_7_batches_are_divided(broker, source, register):
    there = everything(source())
    register(there, [{"entities": [{"type": TYPE, "idPattern": ".*:[12]$"}]}], mode="redirect", operations=["createBatch", "upsertBatch", "deleteBatch"])
    made = broker.post("entityOperations/create", json=[entity(n, nivel=level(n)) for n in (1, 2, 3)])
    assert (made.status_code, sorted(made.json())) == (201, [f"urn:x:{TYPE}:{n}" for n in (1, 2, 3)])
    assert [one["id"][-1] for one in there.asked[-1].body] == ["1", "2"]
    assert [one["id"][-1] for one in broker.get("entities", params={"type": TYPE, "local": "true"}).json()] == ["3"]
    assert broker.post("entityOperations/upsert?options=update", json=[entity(1, nivel=level(8)), entity(3, nivel=level(9))]).status_code == 204
    assert there.asked[-1].params["options"] == "update"
    assert broker.post("entityOperations/delete", json=[f"urn:x:{TYPE}:1", f"urn:x:{TYPE}:3"]).status_code == 204
    assert there.asked[-1].body == [f"urn:x:{TYPE}:1"]
    there.answers = _Always(500, None)
    partly = broker.post("entityOperations/create", json=[entity(1, nivel=level(1)), entity(4, nivel=level(1))])
    assert (partly.status_code, partly.json()["success"], [one["entityId"][-1] for one in partly.json()["errors"]]) == (207, [f"urn:x:{TYPE}:4"], ["1"])


@pytest.mark.parametrize(
    ("operations", "options", "there", "after"),
    [
        (["createEntity"], "", None, {"nivel": 7}),
        (["createEntity", "replaceEntity"], "", {"nivel": 1, "peso": 2}, {"nivel": 7}),
        (["createEntity", "updateEntity"], "update", {"nivel": 1, "peso": 2}, {"nivel": 7, "peso": 2}),
        (["replaceEntity"], "", {"nivel": 1, "peso": 2}, {"nivel": 7}),
        (["updateEntity"], "update", {"nivel": 1, "peso": 2}, {"nivel": 7, "peso": 2}),
    ],
)
def test_5_6_8_4_an_upsert_goes_one_by_one_to_a_source_without_batches(broker, party, operations, options, there, after):
    town = party()
    if there is not None:
        assert town.http.post("entities", json=entity(1, **{name: level(value) for name, value in there.items()})).status_code == 201
    town.registered_at(broker, TYPE, mode="redirect", operations=operations)
    done = broker.post("entityOperations/upsert", params={"options": options} if options else {}, json=[entity(1, nivel=level(7))])
    assert done.status_code == (201 if there is None else 204), done.text
    found = town.http.get(f"entities/urn:x:{TYPE}:1").json()
    assert {name: each["value"] for name, each in found.items() if name not in {"id", "type", "@context"}} == after


@pytest.mark.parametrize(("operations", "options"), [(["updateEntity"], ""), (["createEntity", "updateEntity"], ""), (["deleteEntity"], "update")])
def test_5_6_8_4_an_upsert_that_a_source_cannot_do_is_a_conflict(broker, party, operations, options):
    town = party()
    assert town.http.post("entities", json=entity(1, nivel=level(1))).status_code == 201
    town.registered_at(broker, TYPE, mode="redirect", operations=operations)
    done = broker.post("entityOperations/upsert", params={"options": options} if options else {}, json=[entity(1, nivel=level(7))])
    assert (done.status_code, done.json()["success"], done.json()["errors"][0]["error"]["status"]) == (207, [], 409)
    assert town.http.get(f"entities/urn:x:{TYPE}:1").json()["nivel"]["value"] == 1


def test_5_6_6_4_an_entity_of_another_type_is_deleted_nowhere(broker, party):
    town = party()
    assert town.http.post("entities", json=entity(1, nivel=level(1))).status_code == 201
    town.registered_at(broker, TYPE, mode="redirect", operations=["redirectionOps"])
    assert broker.post("entities?local=true", json=entity(1, peso=level(2))).status_code == 201
    assert broker.delete(f"entities/urn:x:{TYPE}:1", params={"type": "Outro"}).status_code == 404
    assert town.http.get(f"entities/urn:x:{TYPE}:1").status_code == 200
    assert broker.get(f"entities/urn:x:{TYPE}:1?local=true").status_code == 200
    assert broker.delete(f"entities/urn:x:{TYPE}:1", params={"type": TYPE}).status_code == 204
    assert town.http.get(f"entities/urn:x:{TYPE}:1").status_code == 404


def test_5_2_33_an_id_goes_before_a_pattern(broker):
    assert broker.post("entityOperations/create", json=[entity(1, nivel=level(1)), entity(2, nivel=level(2))]).status_code == 201
    both = {"type": TYPE, "id": f"urn:x:{TYPE}:1", "idPattern": ":2$"}
    assert [one["id"][-1] for one in broker.post("entityOperations/query", json={"type": "Query", "entities": [both]}).json()] == ["1"]


def test_5_6_21_purge_goes_along(broker, source, register):
    broker.post("entities?local=true", json=entity(1, nivel=level(5)))
    there = everything(source())
    register(there, operations=["redirectionOps"])
    assert broker.delete("entities", params={"type": TYPE}).status_code == 204
    assert (there.asked[-1].method, there.asked[-1].path, there.asked[-1].params["type"].rsplit("/", 1)[-1]) == ("DELETE", "/entities", TYPE)
    assert broker.get("entities", params={"type": TYPE, "local": "true"}).json() == []


def test_reading_alone_does_not_let_write(broker, source, register, new_tenant):
    """A client that may only read reaches no source with a write."""
    from django.conf import settings

    from malha.foundation.access.contracts import Capability
    from malha.foundation.database import service as database
    from malha.foundation.tokens import service as tokens

    there = everything(source())
    register(there, operations=["redirectionOps"])
    with database.connect(autocommit=True) as conn:
        slug = str(broker.base_url).split("/")[3]
        (tenant_id,) = conn.execute("SELECT id FROM organisation WHERE slug = %s", [slug]).fetchone()
        token = tokens.issue(conn, settings.SECRET_KEY, subject="client:leitor", tenants=[tenant_id], capabilities=[Capability.DATA_READ])
    refused = broker.post("entities", json=entity(1, nivel=level(5)), headers={"Authorization": f"Bearer {token}"})
    assert (refused.status_code, there.asked) == (403, [])
