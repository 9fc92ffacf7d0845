import pytest

from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens

STATION = {
    "id": "urn:cmx:WeatherObserved:1",
    "type": "WeatherObserved",
    "temperature": {"type": "Property", "value": 21.5, "unitCode": "CEL", "observedAt": "2026-11-20T10:00:00Z"},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.6, 41.1]}, "coordinateSystem": "EPSG:4258"},
    "name": "Praça",
}


def test_it_works(client, new_tenant):
    town = client.of(new_tenant())
    made = town.post("entities", json=STATION)
    assert made.status_code == 201, made.text
    assert made.headers["location"].endswith("/ngsi-ld/v1/entities/urn:cmx:WeatherObserved:1")
    found = town.get("entities/urn:cmx:WeatherObserved:1")
    assert found.headers["content-type"].startswith("application/ld+json")
    body = found.json()
    assert body.pop("@context").startswith("https://uri.etsi.org/ngsi-ld/")
    assert body == STATION | {"name": {"type": "Property", "value": "Praça"}}
    assert town.post("entities", json=STATION).status_code == 409
    assert town.delete("entities/urn:cmx:WeatherObserved:1").status_code == 204
    assert town.get("entities/urn:cmx:WeatherObserved:1").status_code == 404


def test_forms(client, new_tenant):
    town = client.of(new_tenant())
    town.post("entities", json=STATION)
    simple = town.get("entities?type=WeatherObserved&options=keyValues", headers={"Accept": "application/json"})
    assert simple.json() == [{
        "id": STATION["id"], "type": "WeatherObserved", "temperature": 21.5, "name": "Praça", "location": STATION["location"]["value"],
    }]  # fmt: skip
    assert 'rel="http://www.w3.org/ns/json-ld#context"' in simple.headers["link"]
    concise = town.get("entities/urn:cmx:WeatherObserved:1?options=concise", headers={"Accept": "application/json"}).json()
    assert concise["name"] == "Praça"
    assert concise["temperature"] == {"value": 21.5, "unitCode": "CEL", "observedAt": "2026-11-20T10:00:00Z"}
    system = town.get("entities/urn:cmx:WeatherObserved:1?options=sysAttrs&attrs=name").json()
    assert {"createdAt", "modifiedAt", "name"} <= set(system)
    assert "temperature" not in system
    geo = town.get("entities?type=WeatherObserved", headers={"Accept": "application/geo+json"}).json()
    assert geo["type"] == "FeatureCollection"
    assert geo["features"][0]["geometry"] == STATION["location"]["value"]


def test_context_of_the_request_names_things(client, new_tenant):
    town = client.of(new_tenant())
    body = {"@context": {"nivel": "https://example.org/ns#level", "Rio": "https://example.org/ns#River"}, "id": "urn:x:Rio:1", "type": "Rio", "nivel": 2.5}
    assert town.post("entities", json=body, headers={"Content-Type": "application/ld+json"}).status_code == 201
    plain = town.get("entities/urn:x:Rio:1?options=keyValues").json()
    assert plain["type"] == "https://example.org/ns#River"
    assert plain["https://example.org/ns#level"] == 2.5
    asked = town.post(
        "entityOperations/query",
        json={"@context": body["@context"], "type": "Query", "entities": [{"type": "Rio"}], "q": "nivel>2"},
        headers={"Content-Type": "application/ld+json"},
        params={"options": "keyValues"},
    )
    assert asked.json()[0] == {"@context": body["@context"], "id": "urn:x:Rio:1", "type": "Rio", "nivel": 2.5}


def test_attributes_change_one_by_one(client, new_tenant):
    town = client.of(new_tenant())
    town.post("entities", json=STATION)
    at = "entities/urn:cmx:WeatherObserved:1"
    partly = town.patch(f"{at}/attrs", json={"temperature": 22, "sun": {"value": "urn:ngsi-ld:null"}})
    assert partly.status_code == 207
    assert partly.json()["updated"] == ["https://uri.etsi.org/ngsi-ld/default-context/temperature"]
    assert partly.json()["notUpdated"][0]["attributeName"] == "https://uri.etsi.org/ngsi-ld/default-context/sun"
    assert town.post(f"{at}/attrs", json={"wind": 3}).status_code == 204
    assert town.post(f"{at}/attrs?options=noOverwrite", json={"wind": 9, "rain": 1}).status_code == 207
    assert town.patch(f"{at}/attrs/temperature", json={"unitCode": "FAH"}).status_code == 204
    assert town.patch(at, json={"rain": {"type": "Property", "value": "urn:ngsi-ld:null"}, "name": "Sé"}).status_code == 204
    now = town.get(f"{at}?options=concise").json()
    assert (now["temperature"], now["wind"], now["name"]) == ({"value": 22, "unitCode": "FAH"}, 3, "Sé")
    assert "rain" not in now
    assert town.delete(f"{at}/attrs/wind").status_code == 204
    assert town.delete(f"{at}/attrs/wind").status_code == 404
    assert town.put(at, json={"id": STATION["id"], "type": "WeatherObserved", "only": 1}).status_code == 204
    assert set(town.get(f"{at}?options=keyValues").json()) == {"@context", "id", "type", "only"}


def test_batches(client, new_tenant):
    town = client.of(new_tenant())
    thing = lambda n, **more: {"id": f"urn:x:T:{n}", "type": "T", **more}  # noqa: E731
    assert town.post("entityOperations/create", json=[thing(1, a=1), thing(2, a=2)]).json() == ["urn:x:T:1", "urn:x:T:2"]
    again = town.post("entityOperations/create", json=[thing(1, a=1), thing(3, a=3)])
    assert again.status_code == 207
    assert again.json()["success"] == ["urn:x:T:3"]
    assert again.json()["errors"][0]["error"]["type"] == "https://uri.etsi.org/ngsi-ld/errors/AlreadyExists"
    assert town.post("entityOperations/upsert?options=update", json=[thing(1, b=1), thing(4, a=4)]).json() == ["urn:x:T:4"]
    assert town.post("entityOperations/upsert", json=[thing(2, b=2)]).status_code == 204
    assert set(town.get("entities/urn:x:T:2?options=keyValues").json()) == {"@context", "id", "type", "b"}
    assert town.post("entityOperations/update", json=[thing(9, a=1)]).status_code == 207
    assert town.post("entityOperations/update?options=noOverwrite", json=[thing(1, a=100, c=1)]).status_code == 207
    assert town.get("entities/urn:x:T:1?options=keyValues").json()["a"] == 1
    assert town.post("entityOperations/merge", json=[thing(1, a=7)]).status_code == 204
    assert town.post("entityOperations/delete", json=["urn:x:T:1", "urn:x:T:404"]).status_code == 207
    assert town.post("entityOperations/create", json=[]).status_code == 400
    assert town.get("types").json()["typeList"] == ["T"]
    assert town.get("types/T").json()["entityCount"] == 3
    assert town.get("attributes").json()["attributeList"] == ["a", "b"]


def test_pages(client, new_tenant):
    town = client.of(new_tenant())
    town.post("entityOperations/create", json=[{"id": f"urn:x:T:{n}", "type": "T", "n": n} for n in range(5)])
    page = town.get("entities?type=T&limit=2&offset=2&count=true&options=keyValues")
    assert [e["n"] for e in page.json()] == [2, 3]
    assert page.headers["ngsild-results-count"] == "5"
    assert "offset=4" in page.headers["link"]
    assert "offset=0" in page.headers["link"]
    assert town.get("entities?type=T&limit=0&count=true").json() == []
    assert [e["n"] for e in town.get("entities?q=n>=3&options=keyValues").json()] == [3, 4]
    assert town.get("entities?type=T&idPattern=T:[13]$&count=true").headers["ngsild-results-count"] == "2"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "error"),
    [
        ("POST", "entities", b"{", {}, 400, "InvalidRequest"),
        ("POST", "entities", b"", {}, 400, "InvalidRequest"),
        ("POST", "entities", b'{"id": "x", "type": "T"}', {}, 400, "BadRequestData"),
        ("POST", "entities", b'{"id": "urn:x:1"}', {}, 400, "BadRequestData"),
        ("POST", "entities", b'{"id": "urn:x:1", "type": "T", "a": null}', {}, 400, "BadRequestData"),
        ("POST", "entities", b'{"id": "urn:x:1", "type": "T", "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [999, 1]}}}', {}, 400, "BadRequestData"),
        ("POST", "entities", b"{}", {"Content-Type": "text/plain"}, 415, "InvalidRequest"),
        ("POST", "entities", b'{"id": "urn:x:1", "type": "T"}', {"Content-Type": "application/ld+json"}, 400, "BadRequestData"),
        ("POST", "entities", b'{"@context": "https://example.org/c", "id": "urn:x:1", "type": "T"}', {"Content-Type": "application/ld+json"}, 504, "LdContextNotAvailable"),
        ("GET", "entities", None, {}, 400, "BadRequestData"),
        ("GET", "entities?type=T&page=2", None, {}, 400, "InvalidRequest"),
        ("GET", "entities?type=T&limit=-1", None, {}, 400, "BadRequestData"),
        ("GET", "entities?type=T&q=((a", None, {}, 400, "BadRequestData"),
        ("GET", "entities?type=T&options=nothing", None, {}, 400, "InvalidRequest"),
        ("GET", "entities?type=T", None, {"Accept": "text/html"}, 406, "InvalidRequest"),
        ("GET", "entities?georel=near;maxDistance==x&geometry=Point&coordinates=[1,2]", None, {}, 400, "BadRequestData"),
    ],
)  # fmt: skip
def test_refuses_by_the_standards_names(client, new_tenant, method, path, body, headers, status, error):
    town = client.of(new_tenant())
    answer = town.request(method, path, content=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == f"https://uri.etsi.org/ngsi-ld/errors/{error}"
    assert answer.headers["content-type"] == "application/problem+json"


def test_errors_are_said_in_the_readers_language(client, new_tenant):
    town = client.of(new_tenant())
    assert "Não há nenhuma" in town.get("entities/urn:x:1").json()["detail"]
    assert "there is no entity" in town.get("entities/urn:x:1", headers={"Accept-Language": "en"}).json()["detail"].lower()


def test_body_over_the_limit_is_refused(client, new_tenant, monkeypatch):
    from malha.context.broker import reading

    town = client.of(new_tenant())
    monkeypatch.setattr(reading.body_of, "__defaults__", (100,))
    assert town.post("entities", json={"id": "urn:x:1", "type": "T", "a": "x" * 200}).status_code == 413


def test_who_may(client, new_tenant):
    mine, other = new_tenant(), new_tenant()
    client.of(mine).post("entities", json=STATION)
    path = f"/{mine.slug}/ngsi-ld/v1/entities/{STATION['id']}"
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert client.get(path, headers={"Authorization": f"Bearer {client.issue(other.id)}"}).status_code == 403
    assert client.get(f"/nobody-there/ngsi-ld/v1/entities/{STATION['id']}", headers={"Authorization": f"Bearer {client.issue(mine.id)}"}).status_code == 404
    reader = client.of(mine, capabilities=[Capability.DATA_READ])
    assert reader.get(f"entities/{STATION['id']}").status_code == 200
    assert reader.delete(f"entities/{STATION['id']}").status_code == 403
    assert client.of(mine, capabilities=[]).get(f"entities/{STATION['id']}").status_code == 403
    narrow = client.of(mine, types=["Streetlight"])
    assert narrow.get(f"entities/{STATION['id']}").status_code == 404
    assert narrow.get("entities?type=WeatherObserved").json() == []
    assert narrow.post("entities", json=STATION | {"id": "urn:x:2"}).status_code == 403
    assert narrow.post("entityOperations/delete", json=[STATION["id"]]).status_code == 207
    assert reader.get(f"entities/{STATION['id']}").status_code == 200


def test_tenant_by_header(client, new_tenant):
    mine, other = new_tenant(), new_tenant()
    client.of(mine).post("entities", json=STATION)
    both = {"Authorization": f"Bearer {client.issue(mine.id, other.id)}"}
    path = f"/ngsi-ld/v1/entities/{STATION['id']}"
    assert client.get(path, headers=both).status_code == 403
    found = client.get(path, headers=both | {"NGSILD-Tenant": mine.slug})
    assert found.status_code == 200
    assert found.headers["ngsild-tenant"] == mine.slug
    assert client.get(path, headers=both | {"NGSILD-Tenant": other.slug}).status_code == 404
    assert client.get(path, headers={"Authorization": f"Bearer {client.issue(mine.id)}"}).status_code == 200


def test_the_cookie_of_the_page_reads_and_never_writes(client, new_tenant):
    mine = new_tenant()
    client.of(mine).post("entities", json=STATION)
    client.cookies.set("malha_plane", client.issue(mine.id, subject="person:1"))
    path = f"/{mine.slug}/ngsi-ld/v1/entities/{STATION['id']}"
    assert client.get(path).status_code == 200
    assert client.delete(path).status_code == 401


def test_revoked_token_is_refused(client, new_tenant):
    from malha.context.broker import auth

    mine = new_tenant()
    subject = f"client:{mine.slug}"
    town = client.of(mine, subject=subject)
    assert town.get("entities?type=T").status_code == 200
    with database.connect(autocommit=True) as conn:
        tokens.revoke(conn, subject)
    auth.forget()  # a minute later
    assert town.get("entities?type=T").status_code == 401


def test_what_is_about_people_needs_the_right(client, new_tenant):
    from malha.vocabulary.models import service as models

    model = next(m for m in models.all_models() if any(p.personal and p.type == "text" for p in m.properties))
    name = next(p.name for p in model.properties if p.personal and p.type == "text")
    mine = new_tenant()
    client.of(mine).post("entities", json={"id": "urn:x:1", "type": model.type, name: "Ana", "other": 1})
    reader = client.of(mine, capabilities=[Capability.DATA_READ])
    assert name not in reader.get("entities/urn:x:1").json()
    assert name not in reader.get(f"entities?type={model.type}").json()[0]
    assert reader.get(f'entities?type={model.type}&q={name}=="Ana"').status_code == 403
    trusted = client.of(mine, capabilities=[Capability.DATA_READ, Capability.PERSONAL_READ])
    assert trusted.get("entities/urn:x:1?options=keyValues").json()[name] == "Ana"
    assert len(trusted.get(f'entities?q={name}=="Ana"').json()) == 1
