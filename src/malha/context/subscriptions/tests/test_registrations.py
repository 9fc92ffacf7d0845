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


def every_second(receiver, **more):
    return {
        "type": "Subscription", "id": "urn:x:s", "entities": [{"type": "Contentor"}], "timeInterval": 1, "notification": {"endpoint": {"uri": receiver.url}}, **more,
    }  # fmt: skip


def test_5_11_7_one_with_a_time_interval_is_told_of_all_that_match_again_and_again(client, receiver, running, new_tenant):
    one = client.of(new_tenant())
    assert one.post(CSR, json=registration(receiver.url)).status_code == 201
    assert one.post(SUBS, json=every_second(receiver)).status_code == 201
    first, second = receiver.wait(2)
    assert [[each["id"] for each in body["data"]] for body in (first, second)] == [["urn:x:fonte"], ["urn:x:fonte"]]
    assert (first["triggerReason"], second["type"], second["triggerReason"]) == ("newlyMatching", "ContextSourceNotification", "newlyMatching")
    assert first["id"] != second["id"]
    assert second["data"][0]["information"] == [{"entities": [{"type": "Contentor"}]}]
    receiver.got.clear()
    assert one.post(CSR, json=registration(receiver.url, id="urn:x:outra")).status_code == 201  # told by the clock, not for itself
    assert one.delete(f"{CSR}/urn:x:fonte").status_code == 204
    bodies = receiver.wait(2)
    assert [each["id"] for each in bodies[1]["data"]] == ["urn:x:outra"]
    assert {body["triggerReason"] for body in bodies} == {"newlyMatching"}
    sent = one.get(f"{SUBS}/urn:x:s").json()["notification"]
    assert (sent["status"], sent["timesSent"] >= 3) == ("ok", True)


def test_5_11_7_nothing_that_matches_is_not_told_of(client, receiver, running, new_tenant):
    one = client.of(new_tenant())
    assert one.post(SUBS, json=every_second(receiver)).status_code == 201
    assert receiver.quiet(1.6)


def test_5_11_7_a_paused_one_is_not_told_and_one_that_goes_on_is(client, receiver, running, new_tenant):
    one = client.of(new_tenant())
    assert one.post(CSR, json=registration(receiver.url)).status_code == 201
    assert one.post(SUBS, json=every_second(receiver, isActive=False)).status_code == 201
    assert receiver.quiet(1.6)
    assert one.patch(f"{SUBS}/urn:x:s", json={"isActive": True}).status_code == 204
    receiver.wait(2)
    assert one.patch(f"{SUBS}/urn:x:s", json={"isActive": False}).status_code == 204
    receiver.quiet(1.5)
    receiver.got.clear()
    assert receiver.quiet(1.5)


def test_5_11_7_one_goes_on_after_a_restart(client, loopback, receiver, new_tenant, start_worker):
    one = client.of(new_tenant())
    assert one.post(CSR, json=registration(receiver.url)).status_code == 201
    assert one.post(SUBS, json=every_second(receiver)).status_code == 201
    worker = start_worker()
    receiver.wait(2)
    worker.kill()
    worker.wait()
    receiver.got.clear()
    assert receiver.quiet(1.2)
    start_worker()
    receiver.wait(2)
