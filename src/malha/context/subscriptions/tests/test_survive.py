"""`kill -9` of the process that matches and delivers, again and again: each change is told at least once, under one id."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

WORKER = """
import threading
import django
django.setup()
from malha.context.subscriptions import runner
print("ready", flush=True)
runner.run(threading.Event())
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_it_works(client, loopback, receiver, new_tenant):
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
            worker = start()
            time.sleep(seconds)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    finally:
        stop.set()
        writer.join()
    worker = start()
    try:
        end = time.monotonic() + 150
        while time.monotonic() < end and not set(written) <= told(receiver):
            time.sleep(0.1)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
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


def start():
    env = dict(os.environ) | {"MALHA_INTERNAL_HOSTS": "*=127.0.0.1"}
    worker = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True, env=env)
    assert worker.stdout.readline().strip() == "ready"
    return worker
