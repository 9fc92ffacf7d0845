"""From a change to the receiver, over everything that is between them."""

import time

import pytest

from malha.context.subscriptions.tests.conftest import READ_WRITE
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.identity.models import MachineClient
from malha.vocabulary.models import service as models


def subscription(receiver, **more):
    notification = {"endpoint": {"uri": receiver.url, "accept": "application/json"}, **more.pop("notification", {})}
    return {"type": "Subscription", "entities": [{"type": "Contentor"}], "notification": notification, **more}


def bin_(number=1, **attributes):
    return {"id": f"urn:x:Contentor:{number}", "type": "Contentor", "nivel": {"type": "Property", "value": 10}, **attributes}


def test_it_works(client, running, receiver, new_tenant):
    town = client.of(new_tenant())
    made = town.post("subscriptions", json=subscription(receiver, description="Todos"))
    assert made.status_code == 201, made.text
    assert town.post("entities", json=bin_()).status_code == 201
    (first,) = receiver.wait()
    assert first["type"] == "Notification"
    assert first["data"] == [bin_()]
    assert made.headers["location"].endswith(first["subscriptionId"])
    assert receiver.got[0][1]["NGSILD-Tenant"] == town.tenant.slug
    assert 'rel="http://www.w3.org/ns/json-ld#context"' in receiver.got[0][1]["Link"]
    assert town.patch("entities/urn:x:Contentor:1/attrs", json={"nivel": {"type": "Property", "value": 90}}).status_code == 204
    assert receiver.wait(2)[1]["data"][0]["nivel"]["value"] == 90


def test_a_revoked_connection_is_told_nothing_more(client, running, receiver, new_tenant):
    from malha.foundation.database import django as database
    from malha.foundation.identity import service as identity

    town = client.of(new_tenant())
    writer = client.of(town.tenant, name="Escreve")
    town.post("subscriptions", json=subscription(receiver))
    with database.scope(town.tenant.id):
        identity.revoke_machine(town.tenant.id, town.machine.id, by=None)
    writer.post("entities", json=bin_())
    assert receiver.quiet(1.5)


def test_only_types_within_reach_are_told(client, running, receiver, new_tenant):
    town = client.of(new_tenant(), types=["Outro"])
    writer = client.of(town.tenant, name="Escreve")
    assert town.post("subscriptions", json=subscription(receiver, entities=[{"type": "Contentor"}, {"type": "Outro"}])).status_code == 201
    writer.post("entities", json=bin_())
    writer.post("entities", json={"id": "urn:x:Outro:1", "type": "Outro", "a": {"type": "Property", "value": 1}})
    (told,) = receiver.wait()
    assert [one["id"] for one in told["data"]] == ["urn:x:Outro:1"]


def test_conditions_triggers_and_previous_values(client, running, receiver, new_tenant):
    town = client.of(new_tenant())
    said = subscription(
        receiver,
        q="nivel>50",
        watchedAttributes=["nivel"],
        notificationTrigger=["attributeUpdated", "attributeDeleted", "entityDeleted"],
        notification={"showChanges": True},
    )
    assert town.post("subscriptions", json=said).status_code == 201
    town.post("entities", json=bin_(nome={"type": "Property", "value": "A"}))
    town.patch("entities/urn:x:Contentor:1/attrs", json={"nivel": {"type": "Property", "value": 20}})
    town.patch("entities/urn:x:Contentor:1/attrs", json={"nivel": {"type": "Property", "value": 60}})
    town.patch("entities/urn:x:Contentor:1/attrs", json={"nome": {"type": "Property", "value": "B"}})
    town.delete("entities/urn:x:Contentor:1")
    updated, deleted = receiver.wait(2)
    assert updated["data"][0]["nivel"] == {"type": "Property", "value": 60, "previousValue": 20}
    assert deleted["data"][0]["deletedAt"]
    assert deleted["data"][0]["nivel"] == {"type": "Property", "value": "urn:ngsi-ld:null", "previousValue": 60}
    assert len(receiver.got) == 2


def test_a_receiver_that_was_away_gets_everything_in_order(client, running, receiver, new_tenant):
    town = client.of(new_tenant())
    place = town.post("subscriptions", json=subscription(receiver)).headers["location"]
    receiver.answer = lambda _body: 503
    for value in range(30):
        town.post("entityOperations/upsert", json=[bin_() | {"nivel": {"type": "Property", "value": value}}])
    time.sleep(0.5)
    told = town.get("subscriptions/" + place.rpartition("/")[2]).json()["notification"]
    assert told["status"] == "failed"
    receiver.answer = lambda _body: 204
    assert [body["data"][0]["nivel"]["value"] for body in receiver.wait(30, seconds=30)] == list(range(30))


def test_a_condition_may_be_written_as_in_an_address(client, running, receiver, new_tenant):
    town = client.of(new_tenant())
    assert town.post("subscriptions", json=subscription(receiver, q="rua==%22Rua%20Nova%22")).status_code == 201
    for number, street in ((1, "Rua Velha"), (2, "Rua Nova")):
        assert town.post("entities", json=bin_(number, rua={"type": "Property", "value": street})).status_code == 201
    (told,) = receiver.wait()
    assert [one["id"] for one in told["data"]] == ["urn:x:Contentor:2"]


def test_a_condition_follows_relationships_within_reach(client, running, receiver, new_tenant):
    town = client.of(new_tenant())
    for name, charge in (("cheia", 0.9), ("fraca", 0.2)):
        town.post("entities", json={"id": f"urn:x:Bateria:{name}", "type": "Bateria", "carga": {"type": "Property", "value": charge}})
    narrow = client.of(town.tenant, types=["Veiculo"], name="Um tipo")
    low = {"entities": [{"type": "Veiculo"}], "q": "bateria{carga}<0.5;!avariado"}
    mine = town.post("subscriptions", json=subscription(receiver, **low)).headers["location"].rpartition("/")[2]
    narrow.post("subscriptions", json=subscription(receiver, **low))

    def vehicle(name, battery, **more):
        return {"id": f"urn:x:Veiculo:{name}", "type": "Veiculo", "bateria": {"type": "Relationship", "object": f"urn:x:Bateria:{battery}"}, **more}

    for one in (vehicle("a", "cheia"), vehicle("b", "fraca", avariado={"type": "Property", "value": True}), vehicle("c", "nenhuma"), vehicle("d", "fraca")):
        assert town.post("entities", json=one).status_code == 201
    (told,) = receiver.wait()
    assert ([one["id"] for one in told["data"]], told["subscriptionId"]) == (["urn:x:Veiculo:d"], mine)
    receiver.got.clear()
    assert receiver.quiet()


def test_5_8_6_system_attributes_of_attributes(client, running, receiver, new_tenant):
    town = client.of(new_tenant())
    triggers = ["entityCreated", "entityUpdated", "entityDeleted"]
    assert town.post("subscriptions", json=subscription(receiver, notificationTrigger=triggers, notification={"sysAttrs": True})).status_code == 201
    assert town.post("entities", json=bin_(dono={"type": "Property", "value": "a"})).status_code == 201
    assert town.patch("entities/urn:x:Contentor:1/attrs", json={"nivel": {"type": "Property", "value": 90}}).status_code == 204
    assert town.delete("entities/urn:x:Contentor:1/attrs/nivel").status_code == 204
    assert town.delete("entities/urn:x:Contentor:1").status_code == 204
    made, changed, without, gone = (body["data"][0] for body in receiver.wait(4))
    assert made["nivel"]["createdAt"] == made["nivel"]["modifiedAt"] == made["createdAt"]
    assert changed["nivel"]["createdAt"] == made["createdAt"] < changed["nivel"]["modifiedAt"]
    assert changed["dono"]["modifiedAt"] == made["createdAt"]
    null = without["nivel"]
    assert (null["value"], null["createdAt"], null["modifiedAt"]) == ("urn:ngsi-ld:null", made["createdAt"], changed["nivel"]["modifiedAt"])
    assert null["deletedAt"] > null["modifiedAt"]
    assert {"createdAt", "modifiedAt", "deletedAt"} < set(gone)
    assert "nivel" not in gone


@pytest.mark.parametrize("more", [{}, {"timeInterval": 1}])
def test_a_condition_about_people_tells_nothing_to_who_may_not_read_it(client, running, receiver, new_tenant, more):
    model = next(one for one in models.all_models() if any(p.personal and p.type == "text" for p in one.properties))
    name = next(p.name for p in model.properties if p.personal and p.type == "text")
    tenant = new_tenant()
    asks = subscription(receiver, entities=[{"type": model.type}], q=f'{name}=="Ana"', **more)
    town, trusted = client.of(tenant), client.of(tenant, capabilities=(*READ_WRITE, Capability.PERSONAL_READ), name="DPO")
    assert town.post("subscriptions", json=asks).status_code == 403
    plain = town.post("subscriptions", json=subscription(receiver, entities=[{"type": model.type}], notificationTrigger=["entityDeleted"])).headers["location"]
    assert town.patch(f"subscriptions/{plain.rpartition('/')[2]}", json={"q": f'{name}=="Ana"'}).status_code == 403
    assert trusted.post("subscriptions", json=asks).status_code == 201
    assert town.post("entities", json={"id": "urn:x:P:1", "type": model.type, name: "Ana"}).status_code == 201
    assert receiver.wait()[0]["data"][0][name]["value"] == "Ana"
    with database.scope(tenant.id):
        MachineClient.objects.filter(pk=trusted.machine.id).update(capabilities=[one.value for one in READ_WRITE])
    time.sleep(5.5)  # what a client may do is asked again every five seconds
    receiver.got.clear()
    assert town.post("entities", json={"id": "urn:x:P:2", "type": model.type, name: "Ana"}).status_code == 201
    assert receiver.quiet(2)


@pytest.mark.parametrize("more", [{}, {"notificationTrigger": ["entityUpdated"]}, {"watched": True}, {"throttling": 1}])
def test_that_something_about_people_changed_is_told_to_those_alone_who_may_read_it(client, running, receiver, new_tenant, more):
    model = next(one for one in models.all_models() if any(p.personal and p.type == "text" for p in one.properties))
    name = next(p.name for p in model.properties if p.personal and p.type == "text")
    tenant = new_tenant()
    town, trusted = client.of(tenant), client.of(tenant, capabilities=(*READ_WRITE, Capability.PERSONAL_READ), name="DPO")
    asks = {"watchedAttributes": [name]} if more.get("watched") else more
    theirs, ours = (
        who.post("subscriptions", json=subscription(receiver, entities=[{"type": model.type}], **asks)).headers["location"].rpartition("/")[2]
        for who in (town, trusted)
    )

    def told(uri):
        return [body["data"][0] for body, _ in receiver.got if body["subscriptionId"] == uri]

    def until(ours_count, theirs_count):
        """Wait until so many came to each, and a while to see that there are no more."""
        end = time.monotonic() + 20
        while (len(told(ours)) < ours_count or len(told(theirs)) < theirs_count) and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.5)
        assert (len(told(ours)), len(told(theirs))) == (ours_count, theirs_count)

    def change(payload):
        assert trusted.patch("entities/urn:x:P:1/attrs", json=payload).status_code == 204

    made, seen = ("notificationTrigger" not in more), not {"notificationTrigger", "watched"} & more.keys()
    assert trusted.post("entities", json={"id": "urn:x:P:1", "type": model.type, name: "Ana", "nota": 1}).status_code == 201
    until(int(made), int(seen))
    change({name: "Rui"})
    until(made + 1, int(seen))
    assert told(ours)[-1][name]["value"] == "Rui"
    change({name: "Eva", "nota": 2})  # what else changed is told
    both = "watched" not in more
    until(made + 2, seen + both)
    if both:
        assert (told(theirs)[-1]["nota"]["value"], name in told(theirs)[-1]) == (2, False)
    change({name: "Ivo"})
    until(made + 3, seen + both)
