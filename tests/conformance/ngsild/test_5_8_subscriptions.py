"""GS CIM 009 §5.8.1–5.8.5, §5.2.12–5.2.15, §6.10, §6.11: subscriptions over HTTP. Notifications are shown in `context/subscriptions`."""

import warnings

import pytest
from django.conf import settings

from malha.context.broker import auth, pool
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.outgoing import internal
from malha.foundation.tokens import service as tokens
from malha.project import plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would like another client than the one that it ships with
    from starlette.testclient import TestClient

ENDPOINT = {"uri": "https://exemplo.pt/avisos", "accept": "application/json"}
CONTEXT = {"Rio": "https://example.org/ns#River", "nivel": "https://example.org/ns#level"}


def subscription(**more):
    said = {"type": "Subscription", "entities": [{"type": "Contentor"}], "notification": {"endpoint": dict(ENDPOINT)}}
    return {name: value for name, value in {**said, **more}.items() if value is not None}


def endpoint(**more):
    return {"notification": {"endpoint": {**ENDPOINT, **more}}}


def notification(**more):
    return {"notification": {"endpoint": dict(ENDPOINT), **more}}


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Names of the outside lead somewhere public without a question to the world."""
    real = internal.socket.getaddrinfo
    monkeypatch.setattr(
        internal.socket, "getaddrinfo",
        lambda host, port, *rest, **more: [(2, 1, 6, "", ("193.137.1.1", port))] if host == "exemplo.pt" else real(host, port, *rest, **more),
    )  # fmt: skip


@pytest.fixture
def client():
    """`client.of(tenant)` is a client of the plane with a token for that tenant."""
    auth.forget()
    with TestClient(plane.application(), base_url="http://localhost") as app:

        def of(tenant, *, subject="client:conformance", capabilities=(Capability.DATA_READ, Capability.DATA_WRITE)):
            with database.connect(autocommit=True) as conn:
                token = tokens.issue(conn, settings.SECRET_KEY, subject=subject, tenants=[tenant.id], capabilities=capabilities)
            return TestClient(app.app, base_url=f"http://localhost/{tenant.slug}/ngsi-ld/v1/", headers={"Authorization": f"Bearer {token}"})

        app.of = of
        yield app
    pool.close()


@pytest.fixture
def town(client, new_tenant):
    return client.of(new_tenant())


def test_it_works(town):
    made = town.post("subscriptions", json=subscription(id="urn:x:Subscription:1", description="Todos"))
    assert made.status_code == 201, made.text
    assert made.headers["location"].endswith("/ngsi-ld/v1/subscriptions/urn:x:Subscription:1")
    found = town.get("subscriptions/urn:x:Subscription:1", headers={"Accept": "application/json"}).json()
    assert found["entities"] == [{"type": "Contentor"}]
    assert found["status"] == "active"
    assert set(found["notificationTrigger"]) == {"attributeCreated", "attributeUpdated"}
    assert found["notification"]["format"] == "normalized"
    assert "createdAt" not in found
    assert {"createdAt", "modifiedAt"} <= set(town.get("subscriptions/urn:x:Subscription:1?options=sysAttrs").json())
    assert town.post("subscriptions", json=subscription(id="urn:x:Subscription:1")).status_code == 409
    assert town.patch("subscriptions/urn:x:Subscription:1", json={"isActive": False}).status_code == 204
    assert town.get("subscriptions/urn:x:Subscription:1").json()["status"] == "paused"
    assert town.delete("subscriptions/urn:x:Subscription:1").status_code == 204
    for answer in (
        town.get("subscriptions/urn:x:Subscription:1"),
        town.delete("subscriptions/urn:x:Subscription:1"),
        town.patch("subscriptions/urn:x:Subscription:1", json={"isActive": True}),
    ):
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("/ResourceNotFound")


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "Other"}, {"entities": None}, {"entities": []}, {"entities": [{"id": "urn:x:1"}]}, {"entities": [{"type": "A", "id": "no uri"}]},
        {"entities": [{"type": "A;(B"}]}, {"entities": [{"type": "A", "idPattern": "("}]}, {"entities": [{"type": "A", "other": 1}]}, {"notification": None},
        {"notification": {}}, {"id": "no uri"}, {"watchedAttributes": []}, {"notificationTrigger": ["never"]}, {"throttling": -1}, {"timeInterval": 5, "throttling": 5},
        {"timeInterval": 5, "watchedAttributes": ["a"]}, {"expiresAt": "2000-01-01T00:00:00Z"}, {"expiresAt": "soon"}, {"q": "a=="}, {"q": 'a~="("'}, {"scopeQ": "/a//b"},
        {"geoQ": {"georel": "near", "geometry": "Point", "coordinates": [0, 0]}}, {"geoQ": {"georel": "within", "geometry": "Point"}}, {"isActive": "yes"}, {"csf": "(("},
        {"temporalQ": {"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"}},
        {"invented": 1}, notification(attributes=[]), notification(attributes=["a"], pick=["b"]), notification(pick=["a"], omit=["a"]), notification(format="xml"),
        notification(showChanges=True, format="keyValues"), notification(showChanges=True, format="simplified"), notification(join="sideways"), notification(joinLevel=2),
        endpoint(uri="ftp://exemplo.pt/"), endpoint(uri="https://u:p@exemplo.pt/"), endpoint(uri="not a uri"), endpoint(accept="text/html"),
        endpoint(receiverInfo=[{"key": "a"}]), endpoint(receiverInfo=[{"key": "a", "value": 1}]), endpoint(receiverInfo=[{"key": "a", "value": "b\r\nX: y"}]),
        endpoint(timeout=0), endpoint(cooldown="x"), endpoint(notifierInfo=[{"key": "MQTT-QoS", "value": "3"}]), endpoint(notifierInfo=[{"key": "MQTT-Version", "value": "4"}]),
    ],
)  # fmt: skip
def test_5_8_1_what_cannot_be_is_refused_and_nothing_is_kept(town, wrong):
    refused = town.post("subscriptions", json=subscription(**wrong))
    assert refused.status_code == 400, refused.text
    assert refused.json()["type"].endswith("/BadRequestData")
    assert refused.json()["detail"]
    assert town.get("subscriptions").json() == []


def test_5_8_1_broken_bytes(town):
    refused = town.post("subscriptions", content=b"{,", headers={"Content-Type": "application/json"})
    assert refused.status_code == 400
    assert refused.json()["type"].endswith("/InvalidRequest")
    assert town.post("subscriptions", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:8080/x", "http://[::1]/x", "http://10.0.0.1/x", "http://169.254.169.254/latest", "mqtt://192.168.1.1/topic", "https://localhost/x"],
)
def test_internal_addresses_are_refused_unless_listed(town, uri):
    refused = town.post("subscriptions", json=subscription(**endpoint(uri=uri)))
    assert refused.status_code == 400
    assert "MALHA_INTERNAL_HOSTS" in refused.json()["detail"]
    made = town.post("subscriptions", json=subscription(id="urn:x:Subscription:1"))
    assert made.status_code == 201
    assert town.patch("subscriptions/urn:x:Subscription:1", json=endpoint(uri=uri)).status_code == 400
    assert town.get("subscriptions/urn:x:Subscription:1").json()["notification"]["endpoint"]["uri"] == ENDPOINT["uri"]


def test_5_8_2_members_change_and_go(town):
    town.post("subscriptions", json=subscription(id="urn:x:Subscription:1", description="A", q="nivel>80", throttling=5))
    assert town.patch("subscriptions/urn:x:Subscription:1", json={"description": "B", "q": "urn:ngsi-ld:null"}).status_code == 204
    found = town.get("subscriptions/urn:x:Subscription:1").json()
    assert found["description"] == "B"
    assert "q" not in found
    assert found["throttling"] == 5
    for wrong in (
        {"notification": "urn:ngsi-ld:null"},
        {"entities": "urn:ngsi-ld:null"},
        {"id": "urn:x:Subscription:2"},
        {"timeInterval": 5},
        {"throttling": None},
    ):
        assert town.patch("subscriptions/urn:x:Subscription:1", json=wrong).status_code == 400, wrong


def test_5_8_4_pages_and_counts(town):
    for number in range(5):
        town.post("subscriptions", json=subscription(id=f"urn:x:Subscription:{number}"))
    first = town.get("subscriptions?limit=2&count=true")
    assert [one["id"] for one in first.json()] == ["urn:x:Subscription:0", "urn:x:Subscription:1"]
    assert first.headers["ngsild-results-count"] == "5"
    assert 'rel="next"' in first.headers["link"]
    assert 'rel="prev"' not in first.headers["link"]
    middle = town.get("subscriptions?limit=2&offset=2")
    assert [one["id"] for one in middle.json()] == ["urn:x:Subscription:2", "urn:x:Subscription:3"]
    assert 'rel="prev"' in middle.headers["link"]
    assert town.get("subscriptions?limit=0&count=true").json() == []
    assert town.get("subscriptions?limit=0").status_code == 400
    assert town.get("subscriptions?limit=-1").status_code == 400
    assert town.get("subscriptions?colour=red").status_code == 400


def test_5_5_7_names_are_read_and_written_in_the_words_of_each_request(town):
    said = subscription(id="urn:x:Subscription:1", entities=[{"type": "Rio"}], watchedAttributes=["nivel"], q="nivel>2", **{"@context": CONTEXT})
    made = town.post("subscriptions", json=said, headers={"Content-Type": "application/ld+json"})
    assert made.status_code == 201, made.text
    found = town.get("subscriptions/urn:x:Subscription:1").json()
    assert found["entities"] == [{"type": "https://example.org/ns#River"}]
    assert found["watchedAttributes"] == ["https://example.org/ns#level"]


def test_a_subscription_belongs_to_its_client(client, new_tenant):
    tenant = new_tenant()
    mine, other, stranger = client.of(tenant, subject="client:a"), client.of(tenant, subject="client:b"), client.of(new_tenant(), subject="client:a")
    mine.post("subscriptions", json=subscription(id="urn:x:Subscription:1"))
    for one in (other, stranger):
        assert one.get("subscriptions/urn:x:Subscription:1").status_code == 404
        assert one.get("subscriptions").json() == []
        assert one.patch("subscriptions/urn:x:Subscription:1", json={"isActive": False}).status_code == 404
        assert one.delete("subscriptions/urn:x:Subscription:1").status_code == 404
    assert mine.get("subscriptions/urn:x:Subscription:1").json()["status"] == "active"


def test_who_may_not_read_may_not_subscribe(client, new_tenant):
    assert client.of(new_tenant(), capabilities=()).post("subscriptions", json=subscription()).status_code == 403


def test_a_context_said_inline_gets_an_address(town):
    said = subscription(id="urn:x:Subscription:ctx") | {"@context": CONTEXT}
    assert town.post("subscriptions", json=said, headers={"Content-Type": "application/ld+json"}).status_code == 201
    address = town.get("subscriptions/urn:x:Subscription:ctx").json()["jsonldContext"]
    assert town.get("jsonldContexts", params={"kind": "ImplicitlyCreated"}).json() == [address]
    assert town.get(f"jsonldContexts/{address.rsplit('/', 1)[-1]}").json() == {"@context": CONTEXT}
    town.post("subscriptions", json=subscription(id="urn:x:Subscription:plain"))
    assert "jsonldContext" not in town.get("subscriptions/urn:x:Subscription:plain").json()


def test_a_change_of_the_notification_replaces_it(town):
    town.post("subscriptions", json=subscription(id="urn:x:Subscription:n"))
    assert town.patch("subscriptions/urn:x:Subscription:n", json={"notification": {"format": "keyValues"}}).status_code == 400


def about_registrations(**temporal):
    return subscription(id="urn:x:Subscription:1", temporalQ=temporal)


@pytest.mark.parametrize("time", ["observedAt", "createdAt", "modifiedAt", "deletedAt"])
def test_5_2_12_a_temporal_question_is_for_subscriptions_to_registrations(town, time):
    good = about_registrations(timerel="between", timeAt="2020-01-01T00:00:00Z", endTimeAt="2021-01-01T00:00:00Z", timeproperty=time)
    made = town.post("csourceSubscriptions", json=good)
    assert made.status_code == 201, made.text
    uri = good["id"]
    assert town.get(f"csourceSubscriptions/{uri}").json()["temporalQ"] == good["temporalQ"]
    assert town.patch(f"csourceSubscriptions/{uri}", json={"temporalQ": {"timerel": "sometimes"}}).status_code == 400
    assert town.post("subscriptions", json=good).status_code == 400
    assert town.post("subscriptions", json=subscription(id="urn:x:Subscription:2")).status_code == 201
    assert town.patch("subscriptions/urn:x:Subscription:2", json={"temporalQ": good["temporalQ"]}).status_code == 400


@pytest.mark.parametrize(
    "temporal",
    [
        {}, {"timerel": "after"}, {"timerel": "after", "timeAt": "amanha"}, {"timerel": "between", "timeAt": "2020-01-01T00:00:00Z"},
        {"timerel": "never", "timeAt": "2020-01-01T00:00:00Z"}, {"timerel": "after", "timeAt": "2020-01-01T00:00:00Z", "timeproperty": "endedAt"},
    ],
)  # fmt: skip
def test_5_2_21_a_temporal_question_that_is_none(town, temporal):
    refused = town.post("csourceSubscriptions", json=about_registrations(**temporal))
    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[-1]) == (400, "BadRequestData")
