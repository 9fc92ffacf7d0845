"""GS CIM 009 §5.8.1.4, §5.8.2.4, §5.8.5.4, §5.8.6: subscriptions passed on to sources, and what those tell; with real parties."""

import json
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from django.conf import settings
from tests.conformance.ngsild.test_alike import by_agreement

from malha.context.federation.passing_on import forwarding
from malha.context.federation.registrations import registry
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as scopes
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.identity import service as identity
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tokens import service as tokens
from malha.kernel.time import format_instant, now
from malha.project import composition
from malha.project.nodes import nodes

TYPE = "Contentor"
CAPABILITIES = (Capability.DATA_READ, Capability.DATA_WRITE)


def bin_(name, level, **more):
    return {"id": f"urn:x:{TYPE}:{name}", "type": TYPE, "nivel": {"type": "Property", "value": level}, **more}


def until(look, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


class Receiver:
    """What arrives, by the subscription that it is for."""

    def __init__(self):
        self.got = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/aviso"

    def told(self, name):
        """The levels of an entity that came, in order."""
        return [one["nivel"]["value"] for body in list(self.got) for one in body["data"] if one["id"].endswith(f":{name}")]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


class Party:
    def __init__(self, node):
        self.node = node
        self.http = httpx.Client(base_url=f"{node.api}/", headers={"Authorization": f"Bearer {node.token}", "Accept": "application/json"}, timeout=30)

    def register(self, other, **more):
        said = {
            "type": "ContextSourceRegistration", "endpoint": other.node.api, "information": [{"entities": [{"type": TYPE}]}], "operations": ["federationOps"],
            "contextSourceInfo": [{"key": "Authorization", "value": f"Bearer {other.node.token}"}],
        }  # fmt: skip
        made = self.http.post("csourceRegistrations", json={**said, **more})
        assert made.status_code == 201, made.text
        return made.headers["location"].rsplit("/", 1)[-1]

    def subscribe(self, receiver, **more):
        said = {"type": "Subscription", "entities": [{"type": TYPE}], "notification": {"endpoint": {"uri": receiver.url}}}
        made = self.http.post("subscriptions", json={**said, **more})
        assert made.status_code == 201, made.text
        return made.headers["location"].rsplit("/", 1)[-1]

    def write(self, name, level):
        assert self.http.post("entityOperations/upsert?local=true", json=[bin_(name, level)]).status_code in {201, 204}

    def subscriptions(self):
        return self.http.get("subscriptions").json()


@pytest.mark.slow
def test_two_installations(tmp_path, receiver):
    with nodes(tmp_path, ("nacional", "vila"), working=True) as made:
        nation, town = (Party(node) for node in made)
        registered = nation.register(town)
        town.register(nation)  # each looks at the other: nothing goes round
        mine = nation.subscribe(receiver, q="nivel>50")
        there = until(town.subscriptions)
        assert (len(there), there[0]["q"], there[0]["notification"]["endpoint"]["uri"]) == (1, "nivel>50", f"{nation.node.url}/no/ngsi-ld/ex/remote-notify")
        assert len(nation.subscriptions()) == 1

        town.write("a", 80)
        town.write("b", 10)
        nation.write("c", 60)
        assert until(lambda: receiver.told("a") and receiver.told("c"))
        assert {body["subscriptionId"] for body in receiver.got} == {mine}

        assert nation.http.patch(f"subscriptions/{mine}", json={"q": "nivel>5"}).status_code == 204
        assert until(lambda: town.subscriptions()[0]["q"] == "nivel>5")
        town.write("b", 11)
        assert until(lambda: receiver.told("b") == [11])

        assert nation.http.patch(f"subscriptions/{mine}", json={"isActive": False}).status_code == 204
        assert until(lambda: town.subscriptions()[0]["status"] == "paused")
        town.write("b", 12)
        assert nation.http.patch(f"subscriptions/{mine}", json={"isActive": True}).status_code == 204
        assert until(lambda: town.subscriptions()[0]["status"] == "active")
        town.write("b", 13)
        assert until(lambda: receiver.told("b") == [11, 13])

        assert nation.http.delete(f"subscriptions/{mine}").status_code == 204
        assert until(lambda: town.subscriptions() == [])
        gone = nation.subscribe(receiver, notificationTrigger=["entityDeleted"])
        assert until(town.subscriptions)
        assert town.http.delete(f"entities/urn:x:{TYPE}:b?local=true").status_code == 204
        (told,) = until(lambda: [body["data"] for body in list(receiver.got) if body["subscriptionId"] == gone])
        assert [(one["id"][-1], "deletedAt" in one) for one in told] == [("b", True)]
        assert nation.http.delete(f"csourceRegistrations/{registered}").status_code == 204
        assert until(lambda: town.subscriptions() == [])  # the source is told though its registration has gone
        assert (receiver.told("a"), receiver.told("c")) == ([80], [60])


@pytest.fixture
def client_of_machine(broker):
    """The client as a machine that is there, so that sources can be asked for it later."""
    with database.connect(autocommit=True) as conn:
        (own,) = conn.execute("SELECT id FROM organisation WHERE slug = %s", [broker.base_url.path.split("/")[1]]).fetchone()
        with scopes.scope(own):
            machine, _ = identity.create_machine(own, name="Ensaio", capabilities=CAPABILITIES, types=None, created_by=None)
        token = tokens.issue(conn, settings.SECRET_KEY, subject=f"client:{machine.client_id}", tenants=[own], capabilities=CAPABILITIES)
    broker.headers["Authorization"] = f"Bearer {token}"
    return broker


@pytest.fixture
def forwarding_runs(source):
    stop = threading.Event()
    thread = threading.Thread(target=forwarding.run, args=[stop], daemon=True)
    thread.start()
    yield source
    stop.set()
    thread.join(15)


def take(there):
    """A source that takes subscriptions."""
    there.answers["POST", "/subscriptions"] = (201, None)


def asked(there, method, path="/subscriptions"):
    return [one for one in there.asked if one.method == method and one.path.startswith(path)]


def registration(there, **more):
    information = more.pop("information", [{"entities": [{"type": TYPE}]}])
    return {"type": "ContextSourceRegistration", "endpoint": there.url, "information": information, **more}


def subscription(**more):
    return {"type": "Subscription", "entities": [{"type": TYPE}], "notification": {"endpoint": {"uri": "https://exemplo.pt/aviso"}}, **more}


def notified(broker, uri, *data, **headers):
    root = f"http://localhost/{broker.base_url.path.split('/')[1]}/ngsi-ld/ex/remote-notify"
    body = {"type": "Notification", "subscriptionId": uri, "data": list(data)}
    return broker.post(root, json=body, headers={"Authorization": "", **headers})


def waiting(broker):
    """What waits to be told, as (URI, attributes)."""
    with database.connect(autocommit=True) as conn:
        (own,) = conn.execute("SELECT id FROM organisation WHERE slug = %s", [broker.base_url.path.split("/")[1]]).fetchone()
    with database.connect(Role.COMPACTOR, autocommit=True) as conn:
        return conn.execute("SELECT uri, doc FROM entity_change WHERE tenant_id = %s AND subscription_id IS NOT NULL ORDER BY seq", [own]).fetchall()


def test_each_source_gets_its_part(broker, forwarding_runs):
    whole, part, reads, other = (forwarding_runs() for _ in range(4))
    take(whole)
    take(part)
    assert broker.post("csourceRegistrations", json=registration(whole, management={"localOnly": True})).status_code == 201
    of_part = [{"entities": [{"type": TYPE, "id": f"urn:x:{TYPE}:a"}], "propertyNames": ["nivel"]}]
    assert broker.post("csourceRegistrations", json=registration(part, information=of_part)).status_code == 201
    assert broker.post("csourceRegistrations", json=registration(reads, operations=["retrieveOps"])).status_code == 201
    assert broker.post("csourceRegistrations", json=registration(other, information=[{"entities": [{"type": "Outro"}]}])).status_code == 201
    said = subscription(q="nivel>50;cor==%22azul%22", watchedAttributes=["nivel", "cor"], throttling=5)
    assert broker.post("subscriptions", json=said).status_code == 201
    assert broker.post("subscriptions", json=subscription(localOnly=True)).status_code == 201
    assert broker.post("subscriptions", json=subscription(timeInterval=60)).status_code == 201
    assert until(lambda: asked(whole, "POST") and asked(part, "POST"))
    (first,), (second,) = asked(whole, "POST"), asked(part, "POST")
    assert first.headers["Via"].startswith("1.1 malha-")
    assert (first.params, first.body["localOnly"], first.body["entities"]) == ({}, True, [{"type": TYPE}])
    assert (first.body["q"], first.body["watchedAttributes"]) == ('(nivel>50;cor=="azul")', ["nivel", "cor"])
    assert not {"throttling", "subscriptionName"} & first.body.keys()
    assert first.body["notification"]["endpoint"]["uri"].endswith("/ngsi-ld/ex/remote-notify")
    assert "exemplo.pt" not in json.dumps(first.body) + json.dumps(second.body)
    assert (second.body["entities"], second.body["watchedAttributes"]) == ([{"type": TYPE, "id": f"urn:x:{TYPE}:a"}], ["nivel"])
    assert "q" not in second.body
    assert first.body["id"] != second.body["id"]
    assert not reads.asked
    assert not other.asked


def test_only_sources_that_the_filter_means_are_told(broker, forwarding_runs):
    rural, urban = forwarding_runs(), forwarding_runs()
    take(rural)
    take(urban)
    assert broker.post("csourceRegistrations", json=registration(rural, zone="rural")).status_code == 201
    kept = broker.post("csourceRegistrations", json=registration(urban, zone="urban")).headers["location"].rsplit("/", 1)[-1]
    assert broker.post("subscriptions", json=subscription(csf='zone=="urban"')).status_code == 201
    assert until(lambda: asked(urban, "POST"))
    assert not asked(rural, "POST")
    assert broker.patch(f"csourceRegistrations/{kept}", json={"zone": "rural"}).status_code == 204
    assert until(lambda: asked(urban, "DELETE"))


def test_what_a_source_tells_is_looked_at(broker, forwarding_runs):
    there = forwarding_runs()
    take(there)
    of_source = [{"entities": [{"type": TYPE}], "propertyNames": ["nivel"]}]
    assert broker.post("csourceRegistrations", json=registration(there, information=of_source)).status_code == 201
    assert broker.post("entities?local=true", json=bin_("a", 1, cor={"type": "Property", "value": "azul"})).status_code == 201
    mine = broker.post("subscriptions", json=subscription(q='nivel>50;cor=="azul"')).headers["location"].rsplit("/", 1)[-1]
    assert until(lambda: asked(there, "POST"))
    uri = asked(there, "POST")[0].body["id"]
    newer = {"nivel": {"type": "Property", "value": 90, "observedAt": format_instant(now() + timedelta(days=30))}}
    told = bin_("a", 90) | newer | {"cor": {"type": "Property", "value": "vermelho"}}
    assert notified(broker, uri, told, bin_("a", 10) | {"id": f"urn:x:{TYPE}:b"}, {"id": "urn:x:Outro:a", "type": "Outro", **newer}).status_code == 200
    ((of, doc),) = waiting(broker)
    assert (of, doc["nivel"]["value"], doc["cor"]["value"]) == (f"urn:x:{TYPE}:a", 90, "azul")
    for body in (
        {"type": "Notification"},
        {"type": "Outra", "subscriptionId": uri, "data": []},
        [],
        {"type": "Notification", "subscriptionId": uri, "data": {}},
    ):
        root = f"http://localhost/{broker.base_url.path.split('/')[1]}/ngsi-ld/ex/remote-notify"
        assert broker.post(root, json=body).status_code == 400
    assert notified(broker, uri, {"nada": 1}).status_code == 400
    assert notified(broker, "urn:ngsi-ld:Subscription:adivinhada", told).status_code == 404
    assert notified(broker, mine, told).status_code == 404
    assert broker.patch(f"subscriptions/{mine}", json={"isActive": False}).status_code == 204
    assert notified(broker, uri, told).status_code == 200
    assert broker.delete(f"subscriptions/{mine}").status_code == 204
    assert notified(broker, uri, told).status_code == 404
    assert len(waiting(broker)) == 1


def test_one_of_another_tenant_is_unknown(broker, forwarding_runs, new_tenant):
    there = forwarding_runs()
    take(there)
    assert broker.post("csourceRegistrations", json=registration(there)).status_code == 201
    assert broker.post("subscriptions", json=subscription()).status_code == 201
    assert until(lambda: asked(there, "POST"))
    uri = asked(there, "POST")[0].body["id"]
    body = {"type": "Notification", "subscriptionId": uri, "data": [bin_("a", 1)]}
    assert broker.post(f"http://localhost/{new_tenant().slug}/ngsi-ld/ex/remote-notify", json=body).status_code == 404
    assert broker.post("http://localhost/nada-disto/ngsi-ld/ex/remote-notify", json=body).status_code == 404


def test_a_source_that_fails_is_asked_again(broker, forwarding_runs):
    there = forwarding_runs()
    there.answers["POST", "/subscriptions"] = (503, None)
    assert broker.post("csourceRegistrations", json=registration(there)).status_code == 201
    mine = broker.post("subscriptions", json=subscription()).headers["location"].rsplit("/", 1)[-1]
    assert until(lambda: len(asked(there, "POST")) > 1)
    take(there)
    assert until(lambda: len(asked(there, "POST")) > 2)
    assert len({one.body["id"] for one in asked(there, "POST")}) == 1
    assert broker.delete(f"subscriptions/{mine}").status_code == 204
    assert until(lambda: asked(there, "DELETE"))
    assert asked(there, "DELETE")[0].path == f"/subscriptions/{asked(there, 'POST')[0].body['id']}"


def test_one_that_came_back_is_refused(broker):
    alias = broker.get("info/sourceIdentity").json()["contextSourceAlias"]
    refused = broker.post("subscriptions", json=subscription(), headers={"Via": f"1.1 outra, 1.1 {alias}"})
    assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[-1]) == (508, "LoopDetected")
    assert broker.post("subscriptions", json=subscription(), headers={"Via": "1.1 outra"}).status_code == 201


def test_one_that_came_through_others_goes_on_with_their_names(broker, forwarding_runs):
    back, on = forwarding_runs(), forwarding_runs()
    take(back)
    take(on)
    assert broker.post("csourceRegistrations", json=registration(back, contextSourceAlias="outra")).status_code == 201
    assert broker.post("csourceRegistrations", json=registration(on)).status_code == 201
    assert broker.post("subscriptions", json=subscription(), headers={"Via": "1.1 outra"}).status_code == 201
    assert until(lambda: asked(on, "POST"))
    assert asked(on, "POST")[0].headers["Via"].startswith("1.1 outra, 1.1 malha-")
    assert not asked(back, "POST")


def test_parts_at_other_sources_are_put_together(client_of_machine, forwarding_runs):
    broker = client_of_machine
    tells, has = forwarding_runs(), forwarding_runs()
    take(tells)
    has.answers["GET", f"/entities/urn:x:{TYPE}:a"] = (200, {"id": f"urn:x:{TYPE}:a", "type": TYPE, "cor": {"type": "Property", "value": "azul"}})
    assert broker.post("csourceRegistrations", json=registration(tells)).status_code == 201
    assert broker.post("csourceRegistrations", json=registration(has, operations=["retrieveOps"])).status_code == 201
    assert broker.post("subscriptions", json=subscription(splitEntities=True, q='nivel>50;cor=="azul"')).status_code == 201
    assert until(lambda: asked(tells, "POST"))
    said = asked(tells, "POST")[0].body
    assert (said["splitEntities"], "q" in said) == (True, False)
    assert notified(broker, said["id"], bin_("a", 90)).status_code == 200
    ((_, doc),) = waiting(broker)
    assert (doc["nivel"]["value"], doc["cor"]["value"]) == (90, "azul")
    assert asked(has, "GET", "/entities")[0].headers["Via"].startswith("1.1 malha-")


@pytest.fixture
def notifying():
    """Notifications at work, as in the worker."""
    stop = threading.Event()
    thread = threading.Thread(target=composition.notify, args=[stop], daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(15)
    assert not thread.is_alive()


def levels(body):
    return {one["id"].rsplit(":", 1)[-1]: one["nivel"]["value"] for one in body["data"]}


def test_5_8_6_one_with_a_time_interval_is_told_of_what_lies_at_sources_too(client_of_machine, party, notifying, receiver):
    broker, town = client_of_machine, party()
    town.registered_at(broker, TYPE)
    assert town.http.post("entityOperations/create", json=[bin_("a", 80), bin_("b", 10)]).status_code == 201
    assert broker.post("entities?local=true", json=bin_("c", 60)).status_code == 201
    said = subscription(timeInterval=1, q="nivel>50", notification={"endpoint": {"uri": receiver.url}})
    mine = broker.post("subscriptions", json=said).headers["location"].rsplit("/", 1)[-1]
    assert until(lambda: receiver.got)
    assert (levels(receiver.got[0]), receiver.got[0]["subscriptionId"]) == ({"a": 80, "c": 60}, mine)
    assert town.http.get("subscriptions").json() == []
    assert town.http.post("entityOperations/upsert", json=[bin_("b", 90)]).status_code in {201, 204}
    assert until(lambda: levels(receiver.got[-1]) == {"a": 80, "b": 90, "c": 60})
    assert broker.patch(f"subscriptions/{mine}", json={"localOnly": True}).status_code == 204
    assert until(lambda: levels(receiver.got[-1]) == {"c": 60})


def test_5_8_6_parts_of_one_entity_at_three_places_are_told_by_the_clock_as_one(client_of_machine, party, notifying, receiver):
    broker, one, other = client_of_machine, party(), party()
    for each in (one, other):
        each.registered_at(broker, TYPE)
    color, zone = {"type": "Property", "value": "azul"}, {"type": "Property", "value": "norte"}
    assert one.http.post("entities", json={"id": f"urn:x:{TYPE}:a", "type": TYPE, "cor": color}).status_code == 201
    assert other.http.post("entities", json={"id": f"urn:x:{TYPE}:a", "type": TYPE, "zona": zone}).status_code == 201
    assert broker.post("entities?local=true", json=bin_("a", 60)).status_code == 201
    said = subscription(timeInterval=1, splitEntities=True, q='nivel>50;cor=="azul";zona=="norte"', notification={"endpoint": {"uri": receiver.url}})
    assert broker.post("subscriptions", json=said).status_code == 201
    assert until(lambda: receiver.got)
    (whole,) = receiver.got[0]["data"]
    assert [whole[name]["value"] for name in ("nivel", "cor", "zona")] == [60, "azul", "norte"]


def test_5_8_6_what_an_agreement_lets_one_read_is_told_by_the_clock_while_it_lasts(client_of_machine, new_tenant, source, notifying, receiver):
    broker, town = client_of_machine, new_tenant(name="Vila")
    nation = tenancy.by_slug(broker.base_url.path.split("/")[1])
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        store.upsert_documents(conn, town.id, [EntityDocument(f"urn:x:{TYPE}:a", (TYPE,), {"nivel": {"type": "Property", "value": 80}})])
    end, _ = by_agreement(nation, town)
    registry.forget()
    said = subscription(timeInterval=1, notification={"endpoint": {"uri": receiver.url}})
    assert broker.post("subscriptions", json=said).status_code == 201
    assert until(lambda: receiver.got)
    assert levels(receiver.got[0]) == {"a": 80}
    assert not waiting(broker)  # nothing of it is kept
    end()
    registry.forget()
    time.sleep(1.3)  # one that was on its way
    count = len(receiver.got)
    time.sleep(1.5)
    assert len(receiver.got) == count


def test_5_8_6_parts_at_three_sources_are_put_together(client_of_machine, forwarding_runs):
    broker = client_of_machine
    tells, *have = (forwarding_runs() for _ in range(3))
    take(tells)
    for there, name, value in ((have[0], "cor", "azul"), (have[1], "zona", "norte")):
        there.answers["GET", f"/entities/urn:x:{TYPE}:a"] = (200, {"id": f"urn:x:{TYPE}:a", "type": TYPE, name: {"type": "Property", "value": value}})
        assert broker.post("csourceRegistrations", json=registration(there, operations=["retrieveOps"])).status_code == 201
    assert broker.post("csourceRegistrations", json=registration(tells)).status_code == 201
    assert broker.post("entities?local=true", json={"id": f"urn:x:{TYPE}:a", "type": TYPE, "dono": {"type": "Property", "value": "eu"}}).status_code == 201
    assert broker.post("subscriptions", json=subscription(splitEntities=True, q='nivel>50;cor=="azul";zona=="norte"')).status_code == 201
    assert until(lambda: asked(tells, "POST"))
    assert notified(broker, asked(tells, "POST")[0].body["id"], bin_("a", 90)).status_code == 200
    ((_, doc),) = waiting(broker)
    assert {name: each["value"] for name, each in doc.items()} == {"nivel": 90, "cor": "azul", "zona": "norte", "dono": "eu"}


def test_5_8_6_attributes_that_went_at_a_source_are_told_as_null(client_of_machine, forwarding_runs, notifying, receiver):
    broker, there = client_of_machine, forwarding_runs()
    take(there)
    assert broker.post("csourceRegistrations", json=registration(there)).status_code == 201
    said = subscription(notificationTrigger=["attributeDeleted"], notification={"endpoint": {"uri": receiver.url}, "sysAttrs": True})
    assert broker.post("subscriptions", json=said).status_code == 201
    assert until(lambda: asked(there, "POST"))
    uri = asked(there, "POST")[0].body["id"]
    null = "urn:ngsi-ld:null"
    gone = {
        "peso": {"type": "Property", "value": null, "createdAt": "2026-01-01T00:00:00Z", "modifiedAt": "2026-01-02T00:00:00Z"}, "cor": null,
        "nome": {"type": "LanguageProperty", "languageMap": {"@none": null}}, "dono": {"type": "Relationship", "object": null},
        "zona": [{"type": "Property", "value": 1}, {"type": "Property", "value": null, "datasetId": "urn:x:d"}],
    }  # fmt: skip
    assert notified(broker, uri, bin_("a", 9) | gone).status_code == 200
    assert until(lambda: receiver.got)
    (told,) = receiver.got[0]["data"]
    assert told["nivel"]["value"] == 9
    assert (told["peso"]["value"], told["peso"]["createdAt"], "deletedAt" in told["peso"]) == (null, "2026-01-01T00:00:00Z", True)
    assert [told["cor"]["value"], told["nome"]["languageMap"], told["dono"]["object"]] == [null, {"@none": null}, null]
    assert [(one.get("datasetId"), one["value"]) for one in told["zona"]] == [(None, 1), ("urn:x:d", null)]


def test_5_8_6_an_attribute_that_somebody_else_still_has_did_not_go(client_of_machine, forwarding_runs):
    broker, there = client_of_machine, forwarding_runs()
    take(there)
    assert broker.post("csourceRegistrations", json=registration(there)).status_code == 201
    assert broker.post("entities?local=true", json=bin_("a", 7)).status_code == 201
    assert broker.post("subscriptions", json=subscription(splitEntities=True)).status_code == 201
    assert until(lambda: asked(there, "POST"))
    null = {"type": "Property", "value": "urn:ngsi-ld:null"}
    assert notified(broker, asked(there, "POST")[0].body["id"], {"id": f"urn:x:{TYPE}:a", "type": TYPE, "nivel": null, "peso": null}).status_code == 200
    slug = broker.base_url.path.split("/")[1]
    with database.connect(Role.COMPACTOR, autocommit=True) as conn:
        (row,) = conn.execute(
            "SELECT doc, before FROM entity_change WHERE tenant_id = %s AND subscription_id IS NOT NULL", [tenancy.by_slug(slug).id]
        ).fetchall()
    assert (row[0]["nivel"]["value"], row[1]) == (7, {"peso": {"type": "Property"}})
