"""GS CIM 009 §5.9, §5.10, §5.2.9, §6.8, §6.9, §6.33: registrations of context sources, and who this broker is."""

import pytest

from malha.foundation.outgoing import internal

PATH = "csourceRegistrations"
NULL = "urn:ngsi-ld:null"


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Names of the outside lead somewhere public without a question to the world."""
    real = internal.socket.getaddrinfo
    monkeypatch.setattr(
        internal.socket, "getaddrinfo",
        lambda host, port, *rest, **more: [(2, 1, 6, "", ("193.137.1.1", port))] if host == "fonte.pt" else real(host, port, *rest, **more),
    )  # fmt: skip


def registration(**more):
    said = {"type": "ContextSourceRegistration", "information": [{"entities": [{"type": "Contentor"}]}], "endpoint": "https://fonte.pt"}
    return {name: value for name, value in {**said, **more}.items() if value is not None}


def of_one(uri="urn:x:Contentor:1", **more):
    return registration(information=[{"entities": [{"type": "Contentor", "id": uri}], "propertyNames": ["nivel"]}], **more)


def etsi(answer):
    return answer.status_code, answer.json()["type"].rsplit("/", 1)[-1]


def test_5_9_2_create_and_5_10_1_retrieve(broker):
    said = registration(
        id="urn:ngsi-ld:ContextSourceRegistration:1", registrationName="A", mode="inclusive", operations=["retrieveOps"], scope="/Norte", fiabilidade=0.9
    )
    made = broker.post(PATH, json=said)
    assert (made.status_code, made.content) == (201, b"")
    assert made.headers["location"].endswith("/ngsi-ld/v1/csourceRegistrations/urn:ngsi-ld:ContextSourceRegistration:1")
    assert etsi(broker.post(PATH, json=said)) == (409, "AlreadyExists")
    back = broker.get(f"{PATH}/{said['id']}", headers={"Accept": "application/json"}).json()
    assert back == said
    assert "createdAt" in broker.get(f"{PATH}/{said['id']}?options=sysAttrs").json()
    assert etsi(broker.get(f"{PATH}/urn:x:none")) == (404, "ResourceNotFound")
    assert etsi(broker.get(f"{PATH}/nada")) == (400, "BadRequestData")


WRONG = [
        {"type": "Registration"}, {"information": None}, {"information": []}, {"information": [{}]}, {"information": [{"entities": [{"id": "urn:x:1"}]}]},
        {"information": [{"outro": 1}]}, {"information": [{"entities": [{"type": "T", "idPattern": "("}]}]}, {"endpoint": None}, {"endpoint": "ftp://fonte.pt"},
        {"endpoint": "https://eu:senha@fonte.pt"}, {"mode": "outra"}, {"operations": ["voar"]}, {"operations": []}, {"expiresAt": "2020-01-01T00:00:00Z"},
        {"expiresAt": "amanhã"}, {"contextSourceInfo": [{"key": "a", "value": 1}]}, {"contextSourceInfo": [{"key": "a", "value": "b\r\nX: y"}]}, {"id": "nada"},
        {"management": {"timeout": 0}}, {"management": {"cacheDuration": "logo"}}, {"management": {"localOnly": "sim"}}, {"location": {"type": "Ponto"}},
        {"observationInterval": {"endAt": "2020-01-01T00:00:00Z"}}, {"scope": "a b"}, {"datasetId": []}, {"datasetId": ["x"]}, {"mode": "auxiliary", "operations": ["updateEntity"]}, {"mode": "exclusive"},
        {"mode": "exclusive", "information": [{"entities": [{"type": "T", "idPattern": "urn:.*"}], "propertyNames": ["a"]}]},
    ]  # fmt: skip


def test_5_9_2_refuses(broker):
    found = {str(wrong): etsi(broker.post(PATH, json=registration(**wrong))) for wrong in WRONG}
    assert {wrong: answer for wrong, answer in found.items() if answer != (400, "BadRequestData")} == {}
    assert broker.get(f"{PATH}?type=Contentor").json() == []


def test_4_3_6_3_exclusive_and_redirect_do_not_share(broker):
    assert broker.post(PATH, json=of_one(mode="exclusive")).status_code == 201
    for mode in ("exclusive", "redirect"):
        assert etsi(broker.post(PATH, json=of_one(mode=mode))) == (409, "Conflict")
    assert broker.post(PATH, json=of_one("urn:x:Contentor:2", mode="exclusive")).status_code == 201
    assert broker.post(PATH, json=of_one(mode="inclusive")).status_code == 201
    for _ in range(2):
        assert broker.post(PATH, json=of_one("urn:x:Contentor:3", mode="redirect")).status_code == 201


def test_5_9_2_conflicts_with_what_is_here(broker):
    broker.post("entities", json={"id": "urn:x:Contentor:1", "type": "Contentor", "nivel": 1})
    assert etsi(broker.post(PATH, json=of_one(mode="exclusive"))) == (409, "Conflict")
    assert etsi(broker.post(PATH, json=registration(mode="redirect"))) == (409, "Conflict")
    assert broker.post(PATH, json=registration(mode="inclusive")).status_code == 201


def test_5_9_3_update_and_5_9_4_delete(broker):
    uri = broker.post(PATH, json=registration(expiresAt="2099-01-01T00:00:00Z")).headers["location"].rsplit("/", 1)[-1]
    assert broker.patch(f"{PATH}/{uri}", json={"description": "outra", "expiresAt": None}).status_code == 204
    now = broker.get(f"{PATH}/{uri}").json()
    assert (now["description"], "expiresAt" in now) == ("outra", False)
    assert broker.patch(f"{PATH}/{uri}", json={"description": NULL}).status_code == 204
    assert "description" not in broker.get(f"{PATH}/{uri}").json()
    assert etsi(broker.patch(f"{PATH}/{uri}", json={"endpoint": NULL})) == (400, "BadRequestData")
    assert etsi(broker.patch(f"{PATH}/{uri}", json={"mode": "exclusive"})) == (400, "BadRequestData")
    assert etsi(broker.patch(f"{PATH}/urn:x:none", json={"description": "a"})) == (404, "ResourceNotFound")
    assert broker.delete(f"{PATH}/{uri}").status_code == 204
    assert etsi(broker.delete(f"{PATH}/{uri}")) == (404, "ResourceNotFound")
    assert broker.delete(f"{PATH}/").status_code == 405


def test_5_10_2_query(broker):
    near = {"type": "Point", "coordinates": [-8.6, 41.15]}
    broker.post(PATH, json=registration(id="urn:x:a", location=near, scope="/Norte/Porto"))
    broker.post(PATH, json=registration(id="urn:x:b", endpoint="https://fonte.pt/b", fiabilidade=0.9))
    broker.post(PATH, json=of_one("urn:x:Contentor:7", id="urn:x:c"))
    broker.post(PATH, json=registration(id="urn:x:d", observationInterval={"startAt": "2020-01-01T00:00:00Z", "endAt": "2021-01-01T00:00:00Z"}))
    broker.post(PATH, json=registration(id="urn:x:e", information=[{"propertyNames": ["outro"]}]))

    def found(**params):
        answer = broker.get(PATH, params=params)
        assert answer.status_code == 200, answer.text
        return "".join(one["id"][-1] for one in answer.json())

    assert found(type="Contentor") == "abce"
    assert found(type="Contentor", attrs="nivel") == "abc"
    assert found(type="Contentor", id="urn:x:Contentor:8", attrs="nivel") == "ab"
    assert found(type="Outro") == "e"
    assert found(type="Contentor", csf='endpoint=="https://fonte.pt/b"') == "b"
    assert found(q="fiabilidade>0.5") == "b"
    assert found(type="Contentor", scopeQ="/Norte/#") == "a"
    assert found(type="Contentor", georel="near;maxDistance==1000", geometry="Point", coordinates="[-8.6,41.151]") == "a"
    assert found(type="Contentor", timerel="before", timeAt="2020-06-01T00:00:00Z") == "d"
    assert found(type="Contentor", timerel="after", timeAt="2022-06-01T00:00:00Z") == ""
    page = broker.get(PATH, params={"type": "Contentor", "limit": 2, "offset": 1, "count": "true"})
    assert ([one["id"][-1] for one in page.json()], page.headers["ngsild-results-count"]) == (["b", "c"], "4")
    assert 'rel="next"' in page.headers["link"]
    assert 'rel="prev"' in page.headers["link"]
    for wrong in (
        {},
        {"id": "nada"},
        {"type": "T", "q": "("},
        {"type": "T", "georel": "within"},
        {"type": "T", "timerel": "before"},
        {"type": "T", "limit": "-1"},
    ):
        assert etsi(broker.get(PATH, params=wrong)) == (400, "BadRequestData")
    assert etsi(broker.get(PATH, params={"type": "T", "outro": "1"})) == (400, "InvalidRequest")


def test_secrets_are_never_told(broker):
    said = registration(
        id="urn:x:a", contextSourceInfo=[{"key": "Authorization", "value": "Bearer segredo"}, {"key": "accept", "value": "application/ld+json"}]
    )
    broker.post(PATH, json=said)
    back = broker.get(f"{PATH}/urn:x:a")
    assert "segredo" not in back.text
    assert {"key": "accept", "value": "application/ld+json"} in back.json()["contextSourceInfo"]
    assert broker.patch(f"{PATH}/urn:x:a", json={"contextSourceInfo": back.json()["contextSourceInfo"]}).status_code == 204  # read, and written back: kept


def test_an_internal_address_is_refused(broker):
    answer = broker.post(PATH, json=registration(endpoint="http://10.0.0.7"))
    assert etsi(answer) == (400, "BadRequestData")
    assert "MALHA_INTERNAL_HOSTS" in answer.json()["detail"]


def test_6_33_source_identity(broker):
    found = broker.get("info/sourceIdentity").json()
    assert (found["type"], found["contextSourceAlias"]) == ("ContextSourceIdentity", broker.get("info/sourceIdentity").json()["contextSourceAlias"])
    assert found["contextSourceUptime"].startswith("PT")
