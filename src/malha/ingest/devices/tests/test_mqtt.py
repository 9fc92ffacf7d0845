"""Messages from Debian's mosquitto, for real: kept before they are acknowledged, once, and waited for while nobody listens."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from django.conf import settings as django_settings
from paho.mqtt.enums import CallbackAPIVersion

from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.foundation.settings import service as settings
from malha.foundation.tokens import keys
from malha.ingest.devices import mqtt, queries, service
from malha.ingest.devices.contracts import DoorKind, FieldMap, Profile
from malha.kernel.errors import BadInput

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
pytestmark = [pytest.mark.skipif(MOSQUITTO is None, reason="falta o mosquitto (apt-get install mosquitto)"), pytest.mark.slow]


@pytest.fixture
def port(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run([shutil.which("mosquitto_passwd") or "mosquitto_passwd", "-b", str(passwords), "vila", "segredo"], check=True, capture_output=True)
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {number} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nuser root\nmax_queued_messages 10000\nmax_inflight_messages 1000\n"
    )
    broker = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: answers(number))
    yield number
    broker.terminate()
    broker.wait()


def answers(number):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", number)) == 0


def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to be")


@pytest.fixture
def loopback(monkeypatch):
    """The operator allows brokers on this machine."""
    monkeypatch.setenv("MALHA_INTERNAL_HOSTS", "*=127.0.0.1")
    settings.current.cache_clear()
    yield
    monkeypatch.undo()
    settings.current.cache_clear()


@pytest.fixture
def door(new_tenant, port):
    """An MQTT door of a tenant, with a profile."""
    tenant = new_tenant()

    def make(**more):
        conf = {"host": "127.0.0.1", "port": port, "user": "vila", "topic": "sensores/{device}/dados", "version": "5"} | more
        with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
            made = service.save_profile(conn, tenant.id, Profile(0, "Clima", "WeatherObserved", (FieldMap("temperature", "temperature"),)))
            one, _ = service.open_door(conn, tenant.id, DoorKind.MQTT, "Broker", conf, keys.seal("segredo", django_settings.SECRET_KEY))
            queries.change_door(conn, tenant.id, one.id, profile_id=made.id)
            return service.get_door(conn, tenant.id, one.id)

    return make


@contextmanager
def listening():
    stop = threading.Event()
    thread = threading.Thread(target=mqtt.run, args=[stop])
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


@contextmanager
def sender(port):
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("vila", "segredo")
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield lambda topic, body: client.publish(topic, body, qos=1).wait_for_publish(10)
    finally:
        client.disconnect()
        client.loop_stop()


def counted(door):
    with database.connect() as conn, database.tenant_transaction(conn, [door.tenant_id]):
        return queries.execute(conn, "SELECT count(*), count(*) FILTER (WHERE state = 1) FROM device_message WHERE tenant_id = %s", [door.tenant_id]).fetchone()


def body(n):
    return json.dumps({"temperature": n, "time": 1795000000 + n})


@pytest.mark.parametrize("more", [{}, {"version": "3.1.1"}, {"share": "malha"}])
def test_it_works(loopback, door, port, more):
    here = door(**more)
    with listening(), sender(port) as send:
        until(lambda: door_error(here) is None or subscribed(here, send))
        for n in range(50):
            send("sensores/estacao-1/dados", body(n))
            send("outros/estacao-1/dados", body(n))
        until(lambda: counted(here)[1] >= 50)
    with database.connect() as conn, database.tenant_transaction(conn, [here.tenant_id]):
        names = {one.external_id for one in queries.devices(conn, here.tenant_id)}
    assert names <= {"estacao-1", "prova"}
    assert "estacao-1" in names


def subscribed(here, send):
    """Whether the subscription stands: a probe comes through."""
    send("sensores/prova/dados", json.dumps({"temperature": 1}))
    time.sleep(0.3)
    return counted(here)[0] > 0


def door_error(here):
    with database.connect() as conn, database.tenant_transaction(conn, [here.tenant_id]):
        return service.get_door(conn, here.tenant_id, here.id).last_error or ""


def test_what_comes_while_nobody_listens_waits_and_what_comes_again_is_taken_once(loopback, door, port, monkeypatch):
    here = door()
    with listening(), sender(port) as send:
        until(lambda: subscribed(here, send))
    before = counted(here)[0]
    with sender(port) as send:
        for n in range(30):
            send("sensores/a/dados", body(n))
    real, failures = mqtt.keep, []

    def kept_but_not_acknowledged(to, batch, **more):
        real(to, batch, **more)
        if not failures:  # the process died between the commit and the acknowledgement
            failures.append(1)
            raise mqtt.psycopg.OperationalError

    monkeypatch.setattr(mqtt, "keep", kept_but_not_acknowledged)
    with listening():
        until(lambda: counted(here)[0] >= before + 30 and failures)
        time.sleep(6)  # the batch is tried again
    assert counted(here)[0] == before + 30


def test_a_message_that_cannot_be_kept_stops_no_other(loopback, door, port, monkeypatch):
    here = door()
    real = mqtt.payload_of

    def poisoned(payload):
        if b"veneno" in payload:
            raise TypeError("unhashable type")
        return real(payload)

    monkeypatch.setattr(mqtt, "payload_of", poisoned)
    with listening(), sender(port) as send:
        until(lambda: subscribed(here, send))
        before = counted(here)[0]
        send("sensores/a/dados", '{"temperature": 1, "note": "veneno"}')
        send("sensores/" + "b" * 600 + "/dados", body(2))
        send("sensores/c/dados", '{"temperature": 1, "note": "\\u0000"}')
        send("sensores/d/dados", body(4))
        until(lambda: counted(here)[0] >= before + 4)
    with database.connect() as conn, database.tenant_transaction(conn, [here.tenant_id]):
        assert {"a", "d"} <= {one.external_id for one in queries.devices(conn, here.tenant_id)}


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "está desligado"), (TimeoutError(), "a tempo"), (ssl.SSLError(1, "x"), "certificado"),
        ("Not authorized", "não deixa entrar"), ("Unspecified error", "caiu. Tenta-se"), ("Server busy", "(Server busy)"), (BadInput("Não serve."), "Não serve."),
    ],
)  # fmt: skip
def test_why_a_broker_is_not_heard_is_said_in_words(reason, words):
    said = language.word(mqtt.why(reason), "pt-pt")
    assert words in said
    assert "Errno" not in said
    assert language.word(mqtt.why(reason), "en") != said or isinstance(reason, BadInput)


def test_an_internal_broker_is_refused_unless_it_is_listed(door):
    here = door()
    with listening():
        until(lambda: "MALHA_INTERNAL_HOSTS" in door_error(here))
    assert counted(here)[0] == 0


def test_topics_and_payloads():
    assert mqtt.topic_filter("a/{device}/b") == "a/+/b"
    assert mqtt.device_of("a/{device}/b", "a/x/b") == "x"
    assert mqtt.device_of("a/b", "a/b") == ""
    assert mqtt.payload_of(b'{"a": 1}') == {"a": 1}
    assert mqtt.payload_of(b"21.5") == 21.5
    assert mqtt.payload_of("olá".encode()) == {"value": "olá"}
    assert mqtt.payload_of(b"\xff\x00") == {"hex": "ff00"}
    assert mqtt.payload_of(b"x" * 300_000) == {"tooLarge": 300_000}
