"""GS CIM 009 §5.2.34: answers of sources that are kept as long as their registration says."""

import time

from tests.conformance.ngsild.sources import CSR, TYPE, entity, level

from malha.context.federation.asking import caching
from malha.context.federation.contracts import Answer


def cached(duration):
    return {"management": {"cacheDuration": duration}, "operations": ["federationOps", "redirectionOps", "retrieveTemporal"]}


def test_5_2_34_a_source_is_not_asked_again_so_soon(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    register(there, **cached("PT1M"))
    body = {"type": "Query", "entities": [{"type": TYPE}]}
    for _ in range(2):
        assert [one["nivel"]["value"] for one in broker.get("entities", params={"type": TYPE}).json()] == [5]
        assert broker.get(f"entities/urn:x:{TYPE}:1").json()["nivel"]["value"] == 5
        assert len(broker.post("entityOperations/query", json=body).json()) == 1
    assert [one.path for one in there.asked] == ["/entities", f"/entities/urn:x:{TYPE}:1"]  # a question is the same however it came
    there.serve(entity(1, nivel=level(6)))
    assert broker.get("entities", params={"type": TYPE}).json()[0]["nivel"]["value"] == 5
    assert broker.get("entities", params={"type": TYPE, "q": "nivel>0"}).json()[0]["nivel"]["value"] == 6  # another question
    there.answers["PATCH", f"/entities/urn:x:{TYPE}:1/attrs"] = (204, None)
    assert broker.patch(f"entities/urn:x:{TYPE}:1/attrs", json={"nivel": level(7)}).status_code in {204, 207}
    assert broker.get("entities", params={"type": TYPE}).json()[0]["nivel"]["value"] == 6  # what was changed is asked for again


def test_5_2_34_after_that_it_is(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    register(there, **cached("PT1S"))
    assert broker.get("entities", params={"type": TYPE}).json()[0]["nivel"]["value"] == 5
    there.serve(entity(1, nivel=level(6)))
    assert broker.get("entities", params={"type": TYPE}).json()[0]["nivel"]["value"] == 5
    time.sleep(1.1)
    assert broker.get("entities", params={"type": TYPE}).json()[0]["nivel"]["value"] == 6
    assert len(there.asked) == 2


def test_5_2_34_answers_are_kept_within_bounds(monkeypatch):
    monkeypatch.setattr(caching, "MOST_BYTES", 10_000)
    monkeypatch.setattr(caching, "ANSWER_BYTES", 5_000)
    kept = caching.Cache()
    for name in "abcd":
        kept.keep((name,), Answer(200, b"x" * 2_000), 60)
        assert kept.find(("a",)) is not None  # used, so not the one to go
    assert [name for name in "abcd" if kept.find((name,)) is not None] == ["a", "c", "d"]
    kept.keep(("large",), Answer(200, b"x" * 5_001), 60)
    kept.keep(("refused",), Answer(404), 60)
    kept.keep(("old",), Answer(200, b"x"), 0)
    assert [name for name in ("large", "refused", "old") if kept.find((name,)) is not None] == []


def test_5_2_34_what_failed_is_not_kept(broker, source, register):
    there = source()
    register(there, **cached("PT1M"))
    there.answers["GET", "/entities"] = (500, None)
    assert "NGSILD-Warning" in broker.get("entities", params={"type": TYPE}).headers
    there.serve(entity(1, nivel=level(5)))
    assert len(broker.get("entities", params={"type": TYPE}).json()) == 1


def test_5_2_34_an_answer_for_one_credential_is_not_given_to_another(broker, source, register, other_client):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    register(there, **cached("PT1M"), contextSourceInfo=[{"key": "X-Leitor", "value": "urn:ngsi-ld:request"}])
    for name in ("a", "b", "a"):
        assert len(broker.get("entities", params={"type": TYPE}, headers={"X-Leitor": name}).json()) == 1
    assert [one.headers["X-Leitor"] for one in there.asked] == ["a", "b"]
    assert len(other_client(broker).get("entities", params={"type": TYPE}, headers={"X-Leitor": "a"}).json()) == 1
    assert len(there.asked) == 2  # the source sees the same question


def test_5_2_34_a_registration_that_changes_is_asked_anew(broker, source, register):
    there = source()
    there.serve(entity(1, nivel=level(5)))
    uri = register(there, **cached("PT1M"))
    assert len(broker.get("entities", params={"type": TYPE}).json()) == 1
    assert broker.patch(f"{CSR}/{uri}", json={"description": "outra"}).status_code == 204
    assert len(broker.get("entities", params={"type": TYPE}).json()) == 1
    assert len(there.asked) == 2
