"""Notifications to Debian's mosquitto, for real."""

import asyncio
import json
import shutil
import socket
import subprocess
import threading
import time

import aiomqtt
import pytest

from malha.context.subscriptions.tests.conftest import READ_WRITE
from malha.foundation.access.contracts import Capability
from malha.vocabulary.models import service as models

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="falta o mosquitto (apt-get install mosquitto)")


@pytest.fixture
def broker(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run([shutil.which("mosquitto_passwd") or "mosquitto_passwd", "-b", str(passwords), "vila", "segredo"], check=True, capture_output=True)
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nuser root\n")
    server = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port
    server.terminate()
    server.wait()


@pytest.fixture
def heard(broker):
    """What is published under `malha/`, as (topic, QoS, payload)."""
    found, ready, stop = [], threading.Event(), threading.Event()

    async def listen():
        async with aiomqtt.Client("127.0.0.1", broker, username="vila", password="segredo") as client:
            await client.subscribe("malha/#", qos=2)
            ready.set()
            async for message in client.messages:
                found.append((str(message.topic), message.qos, json.loads(message.payload)))
                if stop.is_set():
                    return

    async def until_stopped():
        task = asyncio.create_task(listen())
        while not stop.is_set():  # noqa: ASYNC110 -- the event is a thread's
            await asyncio.sleep(0.05)
        task.cancel()

    thread = threading.Thread(target=asyncio.run, args=[until_stopped()])
    thread.start()
    assert ready.wait(10)
    yield found
    stop.set()
    thread.join(10)


@pytest.mark.parametrize(("version", "qos"), [("mqtt3.1.1", "1"), ("mqtt5.0", "2"), ("mqtt5.0", "0")])
def test_it_works(client, running, new_tenant, broker, heard, version, qos):
    town = client.of(new_tenant())
    endpoint = {
        "uri": f"mqtt://vila:segredo@127.0.0.1:{broker}/malha/vila/contentores", "accept": "application/json",
        "notifierInfo": [{"key": "MQTT-Version", "value": version}, {"key": "MQTT-QoS", "value": qos}], "receiverInfo": [{"key": "Rota", "value": "7"}],
    }  # fmt: skip
    made = town.post("subscriptions", json={"type": "Subscription", "entities": [{"type": "Contentor"}], "notification": {"endpoint": endpoint}})
    assert made.status_code == 201, made.text
    town.post("entities", json={"id": "urn:x:Contentor:1", "type": "Contentor", "nivel": {"type": "Property", "value": 10}})
    end = time.monotonic() + 30
    while not heard and time.monotonic() < end:
        time.sleep(0.02)
    ((topic, got_qos, payload),) = heard
    assert (topic, got_qos) == ("malha/vila/contentores", int(qos))
    assert payload["metadata"]["Content-Type"] == "application/json"
    assert payload["metadata"]["Rota"] == "7"
    assert "json-ld#context" in payload["metadata"]["Link"]
    assert payload["body"]["data"][0]["nivel"]["value"] == 10


def test_a_wrong_password_is_told(client, running, new_tenant, broker):
    town = client.of(new_tenant())
    uri = f"mqtt://vila:errada@127.0.0.1:{broker}/malha/x"
    place = town.post("subscriptions", json={"type": "Subscription", "entities": [{"type": "Contentor"}], "notification": {"endpoint": {"uri": uri}}}).headers[
        "location"
    ]
    town.post("entities", json={"id": "urn:x:Contentor:1", "type": "Contentor", "nivel": {"type": "Property", "value": 10}})
    end = time.monotonic() + 30
    while time.monotonic() < end:
        told = town.get("subscriptions/" + place.rpartition("/")[2]).json()["notification"]
        if told.get("status") == "failed":
            break
        time.sleep(0.05)
    assert told.get("status") == "failed"
    assert told["timesFailed"] >= 1


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mqtt://exemplo.pt/", "tópico"), ("mqtt://exemplo.pt/a/#", "tópico"), ("mqtt://exemplo.pt/+/a", "tópico"), ("mqtt://exemplo.pt/$SYS/a", "tópico"),
        ("mqtt:///a", "não serve"), (f"mqtt://exemplo.pt/{'a' * 70_000}", "2048"),
    ],
)  # fmt: skip
def test_topics_that_cannot_be(client, new_tenant, uri, said):
    town = client.of(new_tenant())
    refused = town.post("subscriptions", json={"type": "Subscription", "entities": [{"type": "X"}], "notification": {"endpoint": {"uri": uri}}})
    assert refused.status_code == 400, refused.text
    assert said in refused.json()["detail"]


def test_values_as_observations_of_sensorthings(client, running, new_tenant, broker, heard):
    town = client.of(new_tenant())
    endpoint = {"uri": f"mqtt://vila:segredo@127.0.0.1:{broker}/malha/vila", "notifierInfo": [{"key": "Malha-Form", "value": "SensorThings"}]}
    notification = {"endpoint": endpoint, "attributes": ["nivel"]}
    assert town.post("subscriptions", json={"type": "Subscription", "entities": [{"type": "Contentor"}], "notification": notification}).status_code == 201
    wrong = {"type": "Subscription", "entities": [{"type": "Contentor"}], "notification": {"endpoint": {**endpoint, "uri": "https://exemplo.pt/aviso"}}}
    assert town.post("subscriptions", json=wrong).status_code == 400
    hour = {"type": "Property", "value": 10.0, "observedAt": "2026-03-01T10:00:00Z"}
    said = {"id": "urn:x:Contentor:1", "type": "Contentor", "nivel": hour, "cor": {"type": "Property", "value": "azul"}, "outro": hour}
    assert town.post("entities", json=said).status_code == 201
    assert town.patch("entities/urn:x:Contentor:1/attrs", json={"nivel": {**hour, "value": 12.5, "observedAt": "2026-03-01T11:00:00Z"}}).status_code == 204
    end = time.monotonic() + 30
    while len(heard) < 4 and time.monotonic() < end:
        time.sleep(0.02)
    service = str(town.base_url).replace("/ngsi-ld/v1/", "/sensorthings/v1.1")
    found = {one["@iot.id"]: one for one in town.get(f"{service}/Observations").json()["value"]}
    flow = heard[0][2]["@iot.id"].partition(":")[0]
    assert {topic for topic, _, _ in heard[:4:2]} == {f"malha/vila/v1.1/Datastreams('{flow}')/Observations"}
    assert {topic for topic, _, _ in heard[1:4:2]} == {"malha/vila/v1.1/Observations"}
    for _, _, told in heard[:4]:
        kept = found[told["@iot.id"]]
        assert (told["result"], told["phenomenonTime"], told["resultTime"]) == (kept["result"], kept["phenomenonTime"], kept["resultTime"])
    assert [told["result"] for _, _, told in heard[:4]] == [10, 10, 12.5, 12.5]


def test_observations_of_people_are_published_for_those_alone_who_may_read_them(client, running, new_tenant, broker, heard):
    model = next(one for one in models.all_models() if any(p.personal and p.type == "text" for p in one.properties))
    name = next(p.name for p in model.properties if p.personal and p.type == "text")
    tenant = new_tenant()
    town, trusted = client.of(tenant), client.of(tenant, capabilities=(*READ_WRITE, Capability.PERSONAL_READ), name="DPO")
    for who, topic in ((town, "sem"), (trusted, "com")):
        endpoint = {"uri": f"mqtt://vila:segredo@127.0.0.1:{broker}/malha/{topic}", "notifierInfo": [{"key": "Malha-Form", "value": "SensorThings"}]}
        asks = {"type": "Subscription", "entities": [{"type": model.type}], "watchedAttributes": [name], "notification": {"endpoint": endpoint}}
        assert who.post("subscriptions", json=asks).status_code == 201
    for hour, value in enumerate(("Ana", "Rui")):
        said = {"type": "Property", "value": value, "observedAt": f"2026-03-01T1{hour}:00:00Z"}
        assert trusted.post("entityOperations/upsert", json=[{"id": "urn:x:P:1", "type": model.type, name: said}]).status_code in {201, 204}
    end = time.monotonic() + 30
    while len(heard) < 4 and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(1)
    assert [told["result"] for _, _, told in heard] == ["Ana", "Ana", "Rui", "Rui"]
    assert {topic.split("/")[1] for topic, _, _ in heard} == {"com"}
