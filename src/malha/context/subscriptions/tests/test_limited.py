"""Clients that see a part of a tenant are told of that part: attributes, an area (as HTTP and MQTT readers; see `test_mqtt` for the carrier)."""

import time

import pytest

from malha.context.subscriptions.tests.conftest import READ_WRITE

SQUARE = {"type": "Polygon", "coordinates": [[[-9.0, 39.0], [-8.0, 39.0], [-8.0, 40.0], [-9.0, 40.0], [-9.0, 39.0]]]}


def value(what):
    return {"type": "Property", "value": what}


def place(lon, lat):
    return {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [lon, lat]}}


def bin_(number=1, **attributes):
    return {"id": f"urn:x:Contentor:{number}", "type": "Contentor", **attributes}


def subscription(receiver, **more):
    notification = {"endpoint": {"uri": receiver.url, "accept": "application/json"}} | more.pop("notification", {})
    return {"type": "Subscription", "entities": [{"type": "Contentor"}], "notification": notification, **more}


@pytest.fixture
def parties(client, new_tenant):
    tenant = new_tenant()
    return lambda **scope: (client.of(tenant, scope=scope), client.of(tenant, name="Escreve", capabilities=READ_WRITE))


def test_attributes_beyond_reach_are_neither_told_nor_set_anything_off(running, receiver, parties):
    town, writer = parties(attributes=["nivel"])
    assert town.post("subscriptions", json=subscription(receiver, notification={"showChanges": True})).status_code == 201
    writer.post("entities", json=bin_(nivel=value(1), dono=value("eu")))
    (told,) = receiver.wait()
    assert {"id", "type", "nivel"} == set(told["data"][0]) - {"@context"}
    receiver.got.clear()
    writer.patch("entities/urn:x:Contentor:1/attrs", json={"dono": value("outro")})
    assert receiver.quiet(1)
    writer.patch("entities/urn:x:Contentor:1/attrs", json={"dono": value("mais um"), "nivel": value(2)})
    (told,) = receiver.wait()
    assert told["data"][0]["nivel"]["previousValue"] == 1
    assert "dono" not in told["data"][0]
    receiver.got.clear()
    writer.delete("entities/urn:x:Contentor:1/attrs/dono")
    assert receiver.quiet(1)


@pytest.mark.parametrize("more", [{"q": 'dono=="eu"'}, {"q": "nivel>0;dono"}])
def test_a_condition_beyond_reach_is_refused(running, receiver, parties, more):
    town, _ = parties(attributes=["nivel"])
    assert town.post("subscriptions", json=subscription(receiver, **more)).status_code == 403
    made = town.post("subscriptions", json=subscription(receiver, q="nivel>0"))
    assert made.status_code == 201
    assert town.patch(f"subscriptions/{made.headers['location'].rpartition('/')[2]}", json=more).status_code == 403


@pytest.mark.parametrize("more", [{}, {"timeInterval": 1}])
def test_only_what_lies_in_the_area_is_told(running, receiver, parties, more):
    town, writer = parties(area=SQUARE)
    assert town.post("subscriptions", json=subscription(receiver, **more)).status_code == 201
    for number, here in enumerate((place(-8.5, 39.5), place(-7.5, 39.5), None), 1):
        writer.post("entities", json=bin_(number, nivel=value(number), **({"location": here} if here else {})))
    receiver.wait()
    time.sleep(1.5)
    assert {one["id"] for body, _ in receiver.got for one in body["data"]} == {"urn:x:Contentor:1"}


def test_who_enters_and_leaves_the_area(running, receiver, parties):
    """What enters is told without where it came from; what left is told no more; what ends inside is told."""
    town, writer = parties(area=SQUARE)
    triggers = ["entityCreated", "attributeCreated", "attributeUpdated", "entityDeleted"]
    asks = subscription(receiver, notificationTrigger=triggers, notification={"showChanges": True})
    assert town.post("subscriptions", json=asks).status_code == 201
    writer.post("entities", json=bin_(nivel=value(1), location=place(-7.5, 39.5)))
    assert receiver.quiet(1)
    writer.patch("entities/urn:x:Contentor:1/attrs", json={"location": place(-8.5, 39.5)})
    (told,) = receiver.wait()
    assert told["data"][0]["location"]["value"]["coordinates"] == [-8.5, 39.5]
    assert "previousValue" not in told["data"][0]["location"]
    receiver.got.clear()
    writer.patch("entities/urn:x:Contentor:1/attrs", json={"location": place(-7.5, 39.5)})
    writer.patch("entities/urn:x:Contentor:1/attrs", json={"nivel": value(2)})
    writer.delete("entities/urn:x:Contentor:1")
    assert receiver.quiet(1)
    writer.post("entities", json=bin_(2, location=place(-8.5, 39.5)))
    receiver.wait()
    receiver.got.clear()
    writer.delete("entities/urn:x:Contentor:2")
    (told,) = receiver.wait()
    assert (told["data"][0]["id"], "deletedAt" in told["data"][0]) == ("urn:x:Contentor:2", True)


def test_a_shape_is_cut_to_the_area(running, receiver, parties):
    town, writer = parties(area=SQUARE)
    assert town.post("subscriptions", json=subscription(receiver)).status_code == 201
    line = {"type": "GeoProperty", "value": {"type": "LineString", "coordinates": [[-8.5, 39.5], [-7.5, 39.5]]}}
    writer.post("entities", json=bin_(location=line, nivel=value(1)))
    (told,) = receiver.wait()
    assert told["data"][0]["location"]["value"]["coordinates"] == [[-8.5, 39.5], [-8.0, 39.5]]


def test_linked_entities_are_within_reach_too(running, receiver, parties):
    town, writer = parties(attributes=["nivel", "zona"])
    writer.post("entities", json={"id": "urn:x:Zona:1", "type": "Zona", "nivel": value(9), "dono": value("eu")})
    asks = subscription(receiver, notification={"join": "flat"})
    assert town.post("subscriptions", json=asks).status_code == 201
    writer.post("entities", json=bin_(nivel=value(1), zona={"type": "Relationship", "object": "urn:x:Zona:1"}))
    (told,) = receiver.wait()
    linked = next(one for one in told["data"] if one["id"] == "urn:x:Zona:1")
    assert (linked["nivel"]["value"], "dono" in linked) == (9, False)
