"""§5.5.2 and §6.3: every problem has its type and status; §5.13 hosted contexts; validation against the model: off, warn, enforce."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.conf import settings

from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.vocabulary.models import policy
from malha.vocabulary.models.policy import Mode, Rule

ERRORS = "https://uri.etsi.org/ngsi-ld/errors/"
ENTITY = {"id": "urn:x:T:1", "type": "T", "a": 1}
LD = {"Content-Type": "application/ld+json"}
LINK = '<https://exemplo.invalid/contexto.jsonld>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "error"),
    [
        ("POST", "entities", {"content": b"", "headers": {"Content-Type": "application/json"}}, 400, "InvalidRequest"),
        ("POST", "entities", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "InvalidRequest"),
        ("POST", "entities", {"content": b'{"id": "urn:x:T:9", "type": "T", "a": "\xff"}', "headers": {"Content-Type": "application/json"}}, 400, "InvalidRequest"),
        ("GET", "entities?type=T&nada=1", {}, 400, "InvalidRequest"),
        ("POST", "entities", {"json": {"type": "T"}}, 400, "BadRequestData"),
        ("POST", "entities", {"json": {"id": "não é um uri", "type": "T"}}, 400, "BadRequestData"),
        ("POST", "entities", {"json": {"id": "urn:x:" + "y" * 4096, "type": "T"}}, 400, "BadRequestData"),
        ("POST", "entities", {"json": {"id": "urn:x:T:9", "type": "T", "a b": 1}}, 400, "BadRequestData"),
        ("POST", "entities", {"json": {"id": "urn:x:T:9", "type": "T", "a": None}}, 400, "BadRequestData"),
        ("POST", "entities", {"json": {"id": "urn:x:T:9", "type": "T", "p": {"type": "GeoProperty", "value": {"type": "GeometryCollection", "geometries": []}}}}, 400, "BadRequestData"),
        ("POST", "entities", {"json": [1]}, 400, "InvalidRequest"),
        ("POST", "entities", {"content": json.dumps(ENTITY).encode(), "headers": LD}, 400, "BadRequestData"),
        ("POST", "entities", {"content": json.dumps({**ENTITY, "@context": []}).encode(), "headers": {**LD, "Link": LINK}}, 400, "BadRequestData"),
        ("POST", "entities", {"json": {**ENTITY, "id": "urn:x:T:0"}}, 409, "AlreadyExists"),
        ("POST", "entities", {"content": b"a=1", "headers": {"Content-Type": "text/plain"}}, 415, None),
        ("POST", "entityOperations/create", {"json": []}, 400, "BadRequestData"),
        ("POST", "entityOperations/upsert", {"json": [None]}, 400, None),
        ("GET", "entities/urn:x:T:404", {}, 404, "ResourceNotFound"),
        ("PATCH", "entities/urn:x:T:404", {"json": {"a": 1}}, 404, "ResourceNotFound"),
        ("DELETE", "entities/urn:x:T:404", {}, 404, "ResourceNotFound"),
        ("DELETE", "entities/urn:x:T:0/attrs/zz", {}, 404, "ResourceNotFound"),
        ("DELETE", "entities/urn:x:T:0?type=U", {}, 404, "ResourceNotFound"),
        ("GET", "entities", {}, 400, "BadRequestData"),
        ("GET", "entities?type=T&limit=-1", {}, 400, None),
        ("GET", "entities?type=T&limit=0", {}, 400, "BadRequestData"),
        ("GET", "entities?type=T&q=a==", {}, 400, "BadRequestData"),
        ("GET", "entities?type=T&georel=near&geometry=Point&coordinates=[0,0]", {}, 400, "BadRequestData"),
        ("GET", "entities?type=T&georel=within&geometry=Polygon&coordinates=[[0,0]]", {}, 400, "BadRequestData"),
        ("GET", "entities?type=T&options=nada", {}, 400, None),
        ("GET", "entities?type=T&format=nada", {}, 400, None),
        ("GET", "entities/urn:x:T:0", {"headers": {"Accept": "text/csv"}}, 406, None),
        ("PUT", "entities", {"json": {}}, 405, None),
        ("GET", "entities?type=T", {"headers": {"NGSILD-Tenant": "nao-existe"}}, 404, "NonexistentTenant"),
        ("GET", "nada", {}, 404, None),
    ],
)  # fmt: skip
def test_5_5_2_and_6_3_2_problems(broker, method, path, more, status, error):
    assert broker.post("entities", json={**ENTITY, "id": "urn:x:T:0"}).status_code == 201
    answer = broker.request(method, path, **more)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    said = answer.json()
    assert said["status"] == status
    assert said["title"]
    assert said["detail"]
    if error is not None:
        assert said["type"] == ERRORS + error
    assert [one["id"] for one in broker.get("entities?type=T").json()] == ["urn:x:T:0"]


def test_6_3_4_a_body_without_a_length_is_411(broker):
    answer = broker.post("entities", content=iter([b"{}"]), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.content) == (411, b"")


def test_6_3_4_a_body_that_is_too_large_is_413(broker):
    answer = broker.post("entities", content=b"{}", headers={"Content-Type": "application/json", "Content-Length": str(2**31)})
    assert answer.status_code == 413


def test_6_3_14_the_tenant_is_echoed_also_on_errors(broker):
    assert broker.get("entities/urn:x:T:404", headers={"NGSILD-Tenant": "nao-existe"}).headers["ngsild-tenant"] == "nao-existe"


BOW_TIE = [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]
OVER_180 = [[[170, -10], [-170, -10], [-170, 10], [170, 10], [170, -10]]]
ROUND_THE_WORLD = [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]
SLIVER = [
    [[13.2865906, 52.5648645], [13.2879639, 52.5648645], [13.2797241, 52.4988679], [13.477478, 52.4712703], [13.5049438, 52.5373084], [13.2865906, 52.5648645]]
]
TWO_THAT_TOUCH = [[[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]], [[[1, 0], [2, 0], [2, 1], [1, 1], [1, 0]]]]


@pytest.mark.parametrize(
    ("kind", "coordinates", "said"),
    [
        ("Polygon", BOW_TIE, "0.5, 0.5"), ("MultiPolygon", [BOW_TIE], "0.5, 0.5"), ("Polygon", OVER_180, "antimeridiano"),
        ("LineString", [[179, 0], [-179, 0]], "antimeridiano"),
        ("Polygon", [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]], [[5, 5], [6, 5], [6, 6], [5, 5]]], "não é válido"),
    ],
)  # fmt: skip
def test_4_7_a_geometry_that_encloses_nothing_certain_is_refused_without_a_trace(broker, kind, coordinates, said):
    place = {"type": "GeoProperty", "value": {"type": kind, "coordinates": coordinates}}
    for method, path, body in (
        ("POST", "entities", {**ENTITY, "id": "urn:x:T:7", "location": place}),
        ("POST", "subscriptions", {
            "type": "Subscription", "entities": [{"type": "T"}], "notification": {"endpoint": {"uri": "https://exemplo.pt/"}},
            "geoQ": {"georel": "within", "geometry": kind, "coordinates": coordinates},
        }),
    ):  # fmt: skip
        answer = broker.request(method, path, json=body)
        assert answer.status_code == 400, answer.text
        assert said in answer.json()["detail"]
    answer = broker.get("entities", params={"type": "T", "georel": "intersects", "geometry": kind, "coordinates": json.dumps(coordinates)})
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert broker.get("entities/urn:x:T:7").status_code == 404
    assert broker.get("subscriptions").json() == []


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [("Polygon", ROUND_THE_WORLD), ("Polygon", SLIVER), ("MultiPolygon", TWO_THAT_TOUCH), ("LineString", [[0, 0], [1, 1], [0, 1], [1, 0]])],
)
def test_4_7_what_is_unusual_but_certain_is_taken(broker, kind, coordinates):
    place = {"type": "GeoProperty", "value": {"type": kind, "coordinates": coordinates}}
    assert broker.post("entities", json={**ENTITY, "id": "urn:x:T:7", "location": place}).status_code == 201
    asked = {"type": "T", "georel": "intersects", "geometry": kind, "coordinates": json.dumps(coordinates)}
    assert [one["id"] for one in broker.get("entities", params=asked).json()] == ["urn:x:T:7"]


def test_deep_and_wide_json_is_refused_without_a_trace(broker):
    deep = '{"id": "urn:x:T:1", "type": "T", "a": ' + "[" * 2_000 + "]" * 2_000 + "}"
    assert broker.post("entities", content=deep.encode(), headers={"Content-Type": "application/json"}).status_code == 400
    wide = {"@context": {f"t{n}": f"urn:x:{n}" for n in range(6_000)}, **ENTITY}
    assert broker.post("entities", content=json.dumps(wide).encode(), headers=LD).status_code == 400
    assert broker.get("entities/urn:x:T:1").status_code == 404


def test_without_a_token_or_without_the_right(broker, new_tenant):
    assert broker.get("entities?type=T", headers={"Authorization": "Bearer x"}).status_code == 401
    other = new_tenant()
    with database.connect(autocommit=True) as conn:
        token = tokens.issue(conn, settings.SECRET_KEY, subject="client:other", tenants=[other.id], capabilities=[Capability.DATA_READ])
    assert broker.get("entities?type=T", headers={"Authorization": f"Bearer {token}"}).status_code == 403


def test_5_13_contexts_are_hosted_listed_served_and_taken_away(broker):
    made = broker.post("jsonldContexts", json={"@context": {"ruído": "https://exemplo.pt/ruido"}})
    assert made.status_code == 201, made.text
    where = made.headers["location"]
    key = where.rpartition("/")[2]
    assert broker.get(f"jsonldContexts/{key}").json() == {"@context": {"ruído": "https://exemplo.pt/ruido"}}
    details = broker.get(f"jsonldContexts/{key}?details=true").json()
    assert details["kind"] == "Hosted"
    assert any(key in str(one) for one in broker.get("jsonldContexts?kind=Hosted").json())
    assert broker.delete(f"jsonldContexts/{key}").status_code == 204
    assert broker.get(f"jsonldContexts/{key}").status_code == 404
    for wrong in ({}, {"@context": 1}, {"@context": {"a": 1}}):
        assert broker.post("jsonldContexts", json=wrong).status_code == 400, wrong
    assert broker.delete("jsonldContexts/nada").status_code == 404


@pytest.fixture
def rule(broker):
    """`rule(mode)` holds AirQualityObserved to its model in the tenant of `broker`."""
    slug = str(broker.base_url).split("/")[3]

    def hold(mode):
        with database.connect() as conn:
            row = conn.execute("SELECT id FROM organisation WHERE slug = %s", [slug]).fetchone()
            with database.tenant_transaction(conn, [row[0]]):
                policy.set_rule(conn, row[0], "AirQualityObserved", Rule(mode))
        policy.forget()

    yield hold
    policy.forget()


def sent(broker, entity):
    """The entity created by a client that reads headers as HTTP has them (the tests' own takes them for UTF-8)."""

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(broker.app), base_url=str(broker.base_url), headers=dict(broker.headers)) as client:
            return await client.post("entities", json=entity)

    return ThreadPoolExecutor(1).submit(asyncio.run, ask()).result()


@pytest.mark.parametrize(("mode", "status"), [(Mode.OFF, 201), (Mode.WARN, 201), (Mode.ENFORCE, 400)])
def test_validation_by_the_model(broker, rule, mode, status):
    rule(mode)
    wrong = {"id": "urn:x:AirQualityObserved:1", "type": "AirQualityObserved", "pm10": {"type": "Property", "value": "muito"}}
    answer = sent(broker, wrong)
    assert answer.status_code == status, answer.text
    assert ("ngsild-warning" in answer.headers) is (mode is Mode.WARN)
    assert broker.get(f"entities/{wrong['id']}").status_code == (200 if status == 201 else 404)
    if mode is Mode.ENFORCE:
        assert any(one["property"] == "pm10" for one in answer.json()["findings"])
        batch = broker.post("entityOperations/create", json=[wrong, ENTITY])
        assert batch.status_code == 207
        assert batch.json()["success"] == ["urn:x:T:1"]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "said"),
    [
        ("POST", "entityOperations/upsert?options=update,nada", [ENTITY], {}, "A opção “nada” não existe."),
        ("POST", "entities/urn:x:T:0/attrs?options=noOverwrite,nada", {"b": 1}, {}, "A opção “nada” não existe."),
        ("GET", "entities/urn:" + "x" * 4096, None, {}, "com até 2048 bytes"),
        ("GET", "entities?type=T&georel=within&geometry=Polygon&coordinates=[[[0,0],[1,1],[0,1],[1,0],[0,0]]]", None, {}, "em (0.5, 0.5):"),
    ],
)
def test_words_name_what_is_wrong(broker, method, path, body, headers, said):
    answer = broker.request(method, path, json=body, headers=headers)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


def test_a_path_and_a_header_of_two_municipalities_are_told_apart(broker, new_tenant):
    answer = broker.get("entities?type=T", headers={"NGSILD-Tenant": new_tenant().slug})
    assert answer.status_code == 403
    assert "municípios diferentes" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["ngsi-ld/", "ngsi-ld/v2/entities", "sensorthings/", "devices/x", "ngsi-ld/v1/nada"])
def test_an_address_with_nothing_behind_it_says_so_as_a_problem(broker, path):
    answer = broker.get(f"http://localhost/{broker.base_url.path.split('/')[1]}/{path}", headers={"Accept-Language": "en"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "There is nothing at this address."
