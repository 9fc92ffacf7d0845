"""`kill -9` of the process that matches and delivers, again and again: each change is told at least once, under one id."""

import signal
import threading
import time

import pytest


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_it_works(client, loopback, receiver, new_tenant, start_worker):
    town = client.of(new_tenant())
    endpoint = {"uri": receiver.url}
    town.post("subscriptions", json={"type": "Subscription", "entities": [{"type": "Contentor"}], "notification": {"endpoint": endpoint}})
    stop, written = threading.Event(), []

    def write():
        while not stop.is_set():
            value = len(written)
            body = {"id": "urn:x:Contentor:1", "type": "Contentor", "nivel": {"type": "Property", "value": value}}
            assert town.post("entityOperations/upsert", json=[body]).status_code in {201, 204}
            written.append(value)
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for seconds in (0.4, 0.9, 0.2, 0.6):
            worker = start_worker()
            time.sleep(seconds)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    finally:
        stop.set()
        writer.join()
    start_worker()
    end = time.monotonic() + 150
    while time.monotonic() < end and not set(written) <= told(receiver):
        time.sleep(0.1)
    assert set(written) <= told(receiver), "something acknowledged was never told"
    by_id = {}
    for body, _ in receiver.got:
        value = body["data"][0]["nivel"]["value"]
        assert by_id.setdefault(body["id"], value) == value, "one id for two events"
    firsts = list(dict.fromkeys(body["data"][0]["nivel"]["value"] for body, _ in receiver.got))
    assert firsts == sorted(firsts), "out of order"
    assert len(by_id) == len(written), "the same event under two ids"


def told(receiver):
    return {body["data"][0]["nivel"]["value"] for body, _ in list(receiver.got)}
