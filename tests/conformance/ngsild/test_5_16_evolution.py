"""GS CIM 009 §5.2.41, §5.5.15, §5.16: snapshots of how entities evolved, and what is read of that inside them."""

import pytest
from django.conf import settings

from malha.context.snapshots import keeping
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.vocabulary.models import service as models

from .test_5_16_inside import own
from .test_5_16_snapshots import HEADER, keep, names, ready, vehicle

PERIOD = {"timerel": "between", "timeAt": "2026-03-01T00:00:00Z", "endTimeAt": "2026-03-02T00:00:00Z"}
DAY = {"type": "Query", "entities": [{"type": "Veiculo"}], "temporalQ": PERIOD}
METHODS = ("totalCount", "distinctCount", "sum", "avg", "min", "max", "stddev", "sumsq")


def reading(value, hour, **more):
    return {"type": "Property", "value": value, "observedAt": f"2026-03-01T{hour:02}:00:00Z", **more}


def evolve(client, name, *values, headers=None):
    for hour, value in enumerate(values):
        body = {**vehicle(name, 0), "velocidade": reading(value, hour)}
        answer = client.post("entityOperations/upsert", params={"options": "update"}, json=[body], headers=headers)
        assert answer.status_code in {201, 204}, answer.text


def keep_past(client, *queries, **more):
    """A snapshot of how entities evolved."""
    made = client.post("snapshots", json={"type": "Snapshot", "snapshotTemporalQueries": list(queries), **more})
    assert made.status_code == 201, made.text
    return keep_ready(client, made)


def keep_ready(client, made):
    return ready(client, made.headers["location"].rsplit("/", 1)[-1])


def values(client, name, headers=None, **params):
    answer = client.get(f"temporal/entities/urn:x:Veiculo:{name}", params={**PERIOD, "options": "temporalValues", **params}, headers=headers)
    return [value for value, _ in answer.json()["velocidade"]["values"]] if answer.status_code == 200 else answer.status_code


@pytest.fixture
def past(broker):
    evolve(broker, "a", 1, 2, 3, 2)
    evolve(broker, "b", 10, 20)
    return broker


def test_it_stays_as_it_was(past):
    kept = keep_past(past, DAY)
    assert (kept["snapshotStatus"], kept["snapshotTemporalQueriesDetails"]) == ("success", [{"resultStatus": "success"}])
    assert (kept["snapshotTemporalQueries"], "snapshotQueries" in kept, "snapshotQueriesDetails" in kept) == ([DAY], False, False)
    within = {HEADER: kept["id"]}
    past.post("temporal/entities/urn:x:Veiculo:a/attrs", json={"velocidade": [reading(99, 2), reading(77, 7)]})
    assert past.delete("entities/urn:x:Veiculo:b").status_code == 204
    assert (values(past, "a"), values(past, "b")) == ([1, 2, 99, 2, 77], 404)
    assert (values(past, "a", within), values(past, "b", within)) == ([1, 2, 3, 2], [10, 20])
    assert values(past, "c", within) == 404
    answer = past.get("temporal/entities", params={"type": "Veiculo", **PERIOD, "count": "true"}, headers=within)
    assert (names(answer), answer.headers["NGSILD-Results-Count"], answer.headers[HEADER]) == (["a", "b"], "2", kept["id"])
    assert [one["value"] for one in answer.json()[0]["velocidade"]] == [1, 2, 3, 2]
    assert {one["observedAt"] for one in answer.json()[1]["velocidade"]} == {"2026-03-01T00:00:00Z", "2026-03-01T01:00:00Z"}


def test_it_is_asked_as_the_history_is(past):
    """The same questions to the history and to a snapshot of it have the same answers."""
    at = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.61, 41.15]}, "observedAt": "2026-03-01T05:00:00Z"}
    body = {**vehicle("a", 0), "velocidade": reading(5, 5, datasetId="urn:x:gps", unitCode="KMH"), "location": at, "scope": "/norte"}
    assert past.post("entityOperations/upsert", params={"options": "update"}, json=[body]).status_code == 204
    assert past.delete("entities/urn:x:Veiculo:b/attrs/velocidade").status_code == 204
    every = {"type": "Query", "entities": [{"type": "Veiculo"}], "temporalQ": {"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"}}
    within = {HEADER: keep_past(past, every)["id"]}
    asked = [
        ("temporal/entities", {"type": "Veiculo", **PERIOD}), ("temporal/entities", {"type": "Veiculo", **PERIOD, "q": "velocidade>15"}),
        ("temporal/entities", {"type": "Veiculo", **PERIOD, "lastN": 2}), ("temporal/entities", {"type": "Veiculo", **PERIOD, "attrs": "location"}),
        ("temporal/entities", {"type": "Veiculo", **PERIOD, "limit": 1}), ("temporal/entities", {"type": "Veiculo", **PERIOD, "limit": 1, "offset": 1}),
        ("temporal/entities", {"type": "Veiculo", **PERIOD, "orderBy": "id;desc"}), ("temporal/entities", {"type": "Veiculo", **PERIOD, "idPattern": ".*b$"}),
        ("temporal/entities", {"type": "Veiculo", **PERIOD, "georel": "near;maxDistance==500", "geometry": "Point", "coordinates": "[-8.61,41.15]"}),
        ("temporal/entities", {"type": "Veiculo", **PERIOD, "options": "temporalValues"}), ("temporal/entities", {"type": "Veiculo", **PERIOD, "pick": "id,velocidade"}),
        ("temporal/entities/urn:x:Veiculo:a", {"options": "sysAttrs"}), ("temporal/entities/urn:x:Veiculo:a", {"datasetId": "urn:x:gps"}),
        ("temporal/entities/urn:x:Veiculo:a", {"timerel": "before", "timeAt": "2026-03-01T02:00:00Z"}), ("temporal/entities/urn:x:Veiculo:a", {"attrs": "nada"}),
        ("temporal/entities/urn:x:Veiculo:a", {"timerel": "after", "timeAt": "2026-01-01T00:00:00Z", "timeproperty": "createdAt"}),
        ("temporal/entities", {"type": "Veiculo", "timerel": "after", "timeAt": "2026-01-01T00:00:00Z", "timeproperty": "deletedAt"}),
        ("temporal/entities", {"type": "Veiculo", "timerel": "after", "timeAt": "2020-01-01T00:00:00Z", "scopeQ": "/norte"}),
        ("temporal/entities", {"timerel": "sempre", "type": "Veiculo"}), ("temporal/entities", {**PERIOD}),
    ]  # fmt: skip
    for path, params in asked:
        live, kept = past.get(path, params=params), past.get(path, params=params, headers=within)
        assert (kept.status_code, unnumbered(kept.json()), kept.headers.get("Link")) == (live.status_code, unnumbered(live.json()), live.headers.get("Link")), (
            params
        )
    said = {"type": "Query", "entities": [{"type": "Veiculo"}], "temporalQ": PERIOD, "q": "velocidade>15"}
    live, kept = (past.post("temporal/entityOperations/query", json=said, headers=headers) for headers in ({}, within))
    assert (names(kept), unnumbered(kept.json())) == (["b"], unnumbered(live.json()))


def unnumbered(found):
    """An answer without the instanceIds, which say in which entity of which place an instance is."""
    if isinstance(found, list):
        return [unnumbered(each) for each in found]
    return {key: unnumbered(each) for key, each in found.items() if key != "instanceId"} if isinstance(found, dict) else found


@pytest.mark.parametrize("period", ["PT0S", "PT2H", "P1D"])
def test_all_eight_aggregates(past, period):
    within = {HEADER: keep_past(past, DAY)["id"]}
    assert past.delete("entities/urn:x:Veiculo:b").status_code == 204
    params = {**PERIOD, "options": "aggregatedValues", "aggrMethods": ",".join(METHODS), "aggrPeriodDuration": period}
    live = past.get("temporal/entities/urn:x:Veiculo:a", params=params)
    kept = past.get("temporal/entities/urn:x:Veiculo:a", params=params, headers=within)
    assert (kept.status_code, kept.json()) == (200, live.json())
    if period == "PT0S":
        found = {method: kept.json()["velocidade"][method][0][0] for method in METHODS}
        assert found == {"totalCount": 4, "distinctCount": 3, "sum": 8, "avg": 2, "min": 1, "max": 3, "stddev": pytest.approx(0.5**0.5), "sumsq": 18}
    if period == "PT2H":
        assert [one[0] for one in kept.json()["velocidade"]["sum"]] == [3, 5]
    both = past.get("temporal/entities", params={"type": "Veiculo", **params}, headers=within).json()
    assert [one["id"][-1] for one in both] == ["a", "b"]
    assert both[1]["velocidade"]["max"][-1][0] == 20


def test_only_what_was_asked_for_is_kept(past):
    assert past.post("entities/urn:x:Veiculo:a/attrs", json={"cor": reading("azul", 3)}).status_code == 204
    morning = {"timerel": "before", "timeAt": "2026-03-01T02:00:00Z"}
    kept = keep_past(past, {**DAY, "temporalQ": morning, "attrs": ["velocidade"]}, {"type": "Query", "entities": [{"type": "Nada"}], "temporalQ": PERIOD})
    assert (kept["snapshotStatus"], [one["resultStatus"] for one in kept["snapshotTemporalQueriesDetails"]]) == ("partial", ["success", "empty"])
    within = {HEADER: kept["id"]}
    assert values(past, "a", within) == [1, 2]
    assert "cor" not in past.get("temporal/entities/urn:x:Veiculo:a", headers=within).json()
    last = {HEADER: keep_past(past, {**DAY, "temporalQ": {**PERIOD, "lastN": 1}})["id"]}
    assert (values(past, "a", last), values(past, "b", last)) == ([2], [20])


def test_how_entities_are_and_how_they_were_are_two_things(past):
    """What is asked for by one list is not found by way of the other."""
    only = {HEADER: keep_past(past, DAY)["id"]}
    assert names(past.get("entities", params={"type": "Veiculo"}, headers=only)) == []
    assert past.get("entities/urn:x:Veiculo:a", headers=only).status_code == 404
    assert past.get("types", headers=only).json()["typeList"] == []
    made = past.post(
        "snapshots",
        json={
            "type": "Snapshot",
            "snapshotQueries": [{"type": "Query", "entities": [{"type": "Veiculo", "id": "urn:x:Veiculo:a"}]}],
            "snapshotTemporalQueries": [DAY],
        },
    )
    kept = keep_ready(past, made)
    assert (kept["snapshotQueriesDetails"], kept["snapshotTemporalQueriesDetails"]) == ([{"resultStatus": "success"}], [{"resultStatus": "success"}])
    both = {HEADER: kept["id"]}
    assert names(past.get("entities", params={"type": "Veiculo"}, headers=both)) == ["a"]
    assert names(past.get("temporal/entities", params={"type": "Veiculo", **PERIOD}, headers=both)) == ["a", "b"]
    now = {HEADER: keep(past, {"type": "Query", "entities": [{"type": "Veiculo"}]})["id"]}
    assert names(past.get("temporal/entities", params={"type": "Veiculo", **PERIOD}, headers=now)) == []


def test_what_is_written_inside_goes_on_with_it(past):
    """History and present are one inside as outside; a clone takes both."""
    made = past.post(
        "snapshots", json={"type": "Snapshot", "snapshotQueries": [{"type": "Query", "entities": [{"type": "Veiculo"}]}], "snapshotTemporalQueries": [DAY]}
    )
    kept = keep_ready(past, made)
    within = {HEADER: kept["id"]}
    assert past.patch("entities/urn:x:Veiculo:a/attrs", json={"velocidade": reading(50, 6)}, headers=within).status_code == 204
    evolve(past, "novo", 7, 8, headers=within)
    assert (values(past, "a", within), values(past, "novo", within), values(past, "a"), values(past, "novo")) == ([1, 2, 3, 2, 50], [7, 8], [1, 2, 3, 2], 404)
    totals = {"options": "aggregatedValues", "aggrMethods": "max,totalCount"}
    summed = past.get("temporal/entities/urn:x:Veiculo:a", params={**PERIOD, **totals}, headers=within).json()["velocidade"]
    assert (summed["max"][0][0], summed["totalCount"][0][0]) == (50, 5)
    clone = {HEADER: past.post(f"snapshots/{kept['id']}/clone", json={"type": "Snapshot"}).headers[HEADER]}
    assert past.delete("entities/urn:x:Veiculo:a", headers=within).status_code == 204
    assert (values(past, "a", within), values(past, "a", clone)) == (404, [1, 2, 3, 2, 50])
    told = past.get(f"snapshots/{clone[HEADER]}").json()
    assert (told["snapshotTemporalQueries"], told["snapshotTemporalQueriesDetails"]) == ([DAY], [{"resultStatus": "success"}])
    assert past.delete("entities/urn:x:Veiculo:a/attrs/velocidade", headers=clone).status_code == 204
    ended = past.get(
        "temporal/entities", params={"type": "Veiculo", "timerel": "after", "timeAt": "2026-01-01T00:00:00Z", "timeproperty": "deletedAt"}, headers=clone
    )
    assert names(ended) == ["a"]


def test_what_is_not_done_inside(past):
    kept = keep_past(past, DAY)
    within = {HEADER: kept["id"]}
    refused = [
        past.get("temporal/entities", params={"type": "Veiculo", **PERIOD, "entityMap": "true"}, headers=within),
        past.get("temporal/entities", params={"type": "Veiculo", **PERIOD, "at": "2026-03-01T00:00:00Z"}, headers=within),
        past.get("temporal/entityMaps", params={"type": "Veiculo", **PERIOD}, headers=within),
        past.post("temporal/entities", json={**vehicle("a", 0), "velocidade": [reading(1, 1)]}, headers=within),
        past.delete("temporal/entities/urn:x:Veiculo:a/attrs/velocidade", headers=within),
    ]
    assert {answer.status_code for answer in refused} == {422}
    assert past.get("temporal/entities", params={"type": "Veiculo", **PERIOD}, headers={HEADER: "urn:x:nenhum"}).status_code == 404
    assert past.get("temporal/entities/urn:x:Veiculo:a", headers={HEADER: "nada"}).status_code == 400
    for wrong in ({**DAY, "temporalQ": {"timerel": "sempre"}}, {**DAY, "aggrParams": {"aggrMethods": ["max"]}}, {"type": "Query", "temporalQ": PERIOD}):
        found = keep_past(past, wrong)
        assert (found["snapshotStatus"], found["snapshotTemporalQueriesDetails"][0]["problemDetails"]["status"]) == ("failure", 400)


def test_what_is_too_much_is_not_cut_in_silence(past, monkeypatch):
    monkeypatch.setattr("malha.history.temporal.kept.MOST", 1)
    assert keep_past(past, DAY)["snapshotStatus"] == "failure"
    monkeypatch.undo()
    monkeypatch.setattr(keeping, "MOST_VALUES", 5)
    found = keep_past(past, DAY)
    assert (found["snapshotStatus"], found["snapshotTemporalQueriesDetails"][0]["problemDetails"]["status"]) == ("failure", 413)
    assert names(past.get("temporal/entities", params={"type": "Veiculo", **PERIOD}, headers={HEADER: found["id"]})) == []
    monkeypatch.setattr(keeping, "MOST_VALUES", 7)
    within = {HEADER: keep_past(past, DAY)["id"]}
    assert past.post("entities", json=vehicle("c", 1), headers=within).status_code == 201
    assert past.post("entities", json=vehicle("d", 1), headers=within).status_code == 413


def test_readers_see_what_they_may(past):
    """By type, and without what is about people."""
    model = next(one for one in models.all_models() if any(each.personal and each.type == "text" for each in one.properties))
    name = next(each.name for each in model.properties if each.personal and each.type == "text")
    person = {"id": "urn:x:1", "type": model.type, name: reading("segredo", 1), "other": reading(1, 1)}
    assert past.post("entities", json=person).status_code == 201
    within = {HEADER: keep_past(past, DAY, {"type": "Query", "entities": [{"type": model.type}], "temporalQ": PERIOD})["id"]}
    base = str(past.base_url).replace(past.base_url.path, "/ngsi-ld/v1/")
    with database.connect(autocommit=True) as conn:
        tenant = own(conn, past)
        narrow = tokens.issue(conn, settings.SECRET_KEY, subject="client:um-tipo", tenants=[tenant], capabilities=(Capability.DATA_READ,), types=["Outro"])
        plain = tokens.issue(conn, settings.SECRET_KEY, subject="client:simples", tenants=[tenant], capabilities=(Capability.DATA_READ,))
    only = {"Authorization": f"Bearer {narrow}", **within}
    assert names(past.get(f"{base}temporal/entities", params={"type": "Veiculo", **PERIOD}, headers=only)) == []
    assert past.get(f"{base}temporal/entities/urn:x:Veiculo:a", headers=only).status_code == 404
    assert "segredo" in past.get("temporal/entities/urn:x:1", headers=within).text
    seen = {"Authorization": f"Bearer {plain}", **within}
    for path, params in (("temporal/entities/urn:x:1", {}), ("temporal/entities", {"type": model.type, **PERIOD})):
        shown = past.get(base + path, params=params, headers=seen).text
        assert ("other" in shown, "segredo" in shown) == (True, False)
    asked = past.get(f"{base}temporal/entities", params={"type": model.type, **PERIOD, "q": f'{name}=="segredo"'}, headers=seen)
    assert asked.status_code == 403
