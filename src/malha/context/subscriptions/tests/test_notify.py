"""From a change to the receiver, over everything that is between them."""


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
