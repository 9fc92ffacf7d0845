"""Subscriptions to registrations are delivered as others are (GS CIM 009 §5.11)."""

CSR, SUBS = "csourceRegistrations", "csourceSubscriptions"


def registration(source, kind="Contentor", **more):
    return {
        "type": "ContextSourceRegistration", "id": "urn:x:fonte", "endpoint": source,
        "information": [{"entities": [{"type": kind}, {"type": "Outro"}]}, {"entities": [{"type": "Nada"}]}], **more,
    }  # fmt: skip


def test_it_works(client, receiver, running, new_tenant):
    one = client.of(new_tenant())
    said = {"type": "Subscription", "id": "urn:x:s", "entities": [{"type": "Contentor"}], "notification": {"endpoint": {"uri": receiver.url}}}
    assert one.post(SUBS, json=said).status_code == 201
    assert one.post(CSR, json=registration(receiver.url)).status_code == 201
    assert one.patch(f"{CSR}/urn:x:fonte", json={"description": "a"}).status_code == 204
    assert one.patch(f"{CSR}/urn:x:fonte", json={"information": [{"entities": [{"type": "Nada"}]}]}).status_code == 204
    assert one.post(CSR, json=registration(receiver.url, id="urn:x:outra")).status_code == 201
    assert one.delete(f"{CSR}/urn:x:outra").status_code == 204
    got = receiver.wait(5)
    assert [body["triggerReason"] for body in got] == ["newlyMatching", "updated", "noLongerMatching", "newlyMatching", "noLongerMatching"]
    assert (got[0]["type"], got[0]["subscriptionId"], got[0]["data"][0]["id"]) == ("ContextSourceNotification", "urn:x:s", "urn:x:fonte")
    assert got[0]["data"][0]["information"] == [{"entities": [{"type": "Contentor"}]}]  # what was asked about, no more
    assert [each["id"] for each in one.get(SUBS).json()] == ["urn:x:s"]
    assert one.get("subscriptions").json() == []
    assert one.delete(f"{SUBS}/urn:x:s").status_code == 204
    assert one.get(f"{SUBS}/urn:x:s").status_code == 404


def test_what_is_there_already_is_told_at_once(client, receiver, running, new_tenant):
    one = client.of(new_tenant())
    one.post(CSR, json=registration(receiver.url, contextSourceInfo=[{"key": "Authorization", "value": "segredo"}]))
    one.post(CSR, json=registration(receiver.url, id="urn:x:b", kind="Nada"))
    said = {"type": "Subscription", "id": "urn:x:s", "entities": [{"type": "Contentor"}], "notification": {"endpoint": {"uri": receiver.url}}}
    assert one.post(SUBS, json=said).status_code == 201
    (body,) = receiver.wait(1)
    assert [each["id"] for each in body["data"]] == ["urn:x:fonte"]
    assert "segredo" not in str(body)


def test_a_changed_subscription_is_told_what_it_matches_now(client, receiver, running, new_tenant):
    one = client.of(new_tenant())
    one.post(CSR, json=registration(receiver.url))
    said = {"type": "Subscription", "id": "urn:x:s", "entities": [{"type": "Barco"}], "notification": {"endpoint": {"uri": receiver.url}}}
    assert one.post(SUBS, json=said).status_code == 201
    assert one.patch(f"{SUBS}/urn:x:s", json={"entities": [{"type": "Contentor"}]}).status_code == 204
    (body,) = receiver.wait(1)
    assert (body["triggerReason"], [each["id"] for each in body["data"]]) == ("newlyMatching", ["urn:x:fonte"])
