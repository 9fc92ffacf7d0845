"""Messages from MQTT brokers (3.1.1 and 5): subscribed by the worker, acknowledged when they are kept.

Each door has one listener in one worker (an advisory lock), or one in each of them under a shared subscription (MQTT 5 §4.8.2).
The session at the broker is durable: what comes while nobody listens waits there.
"""

from __future__ import annotations

import logging
import queue
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import paho.mqtt.client as paho
import psycopg
from django.conf import settings as django_settings
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from malha.foundation.database import service as database
from malha.foundation.outgoing import internal, tls
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tokens import keys
from malha.ingest.devices import queries, service
from malha.ingest.devices.contracts import Door, DoorKind
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg, sentence

logger = logging.getLogger(__name__)
SYNC_SECONDS = 10.0
BATCH = 500
#: messages in hand before the broker is made to wait
IN_FLIGHT = 2_000
KEEP_ALIVE_SECONDS = 30
SESSION_SECONDS = 7 * 24 * 3600
LARGEST_BYTES = 256 * 1024
_LOCK = 0x6D717474


@dataclass(slots=True)
class Listener:
    """One subscription of one door."""

    door: Door
    password: str
    slug: str
    waiting: queue.Queue[paho.MQTTMessage] = field(default_factory=lambda: queue.Queue(IN_FLIGHT))
    client: paho.Client | None = None
    thread: threading.Thread | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Connect and subscribe in threads of its own. Raises MalhaError for an address that may not be reached, OSError without an answer."""
        conf = self.door.settings
        host, port = str(conf["host"]), int(conf.get("port") or (8883 if conf.get("tls") else 1883))
        address = internal.addresses(host, port, self.slug)[0]
        five = conf.get("version", "5") == "5"
        name = f"malha-{self.door.tenant_id}-{self.door.id}" + (f"-{socket.gethostname()}"[:32] if conf.get("share") else "")
        named: dict[str, Any] = {} if five else {"clean_session": False}
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5 if five else paho.MQTTv311, manual_ack=True, **named)
        client.max_inflight_messages_set(IN_FLIGHT)
        if conf.get("user"):
            client.username_pw_set(str(conf["user"]), self.password or None)
        if conf.get("tls"):
            client.tls_set_context(tls.context_for(host))
        client.on_connect, client.on_message, client.on_disconnect = self._connected, self._came, self._gone
        self.client = client
        more: dict[str, Any] = {}
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # the library has no types
            properties.SessionExpiryInterval = SESSION_SECONDS
            more = {"clean_start": False, "properties": properties}
        client.connect(address, port, KEEP_ALIVE_SECONDS, **more)
        client.loop_start()
        self.thread = threading.Thread(target=self._work, name=f"mqtt-{self.door.id}", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Disconnect; what was not acknowledged comes again."""
        self.ended.set()
        if self.client is not None:
            self.client.disconnect()
            self.client.loop_stop()
        if self.thread is not None:
            self.thread.join(5)

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any = None) -> None:
        if reason.is_failure:
            _note(self.door, why(reason))
            return
        share = self.door.settings.get("share")
        wanted = topic_filter(str(self.door.settings["topic"]))
        client.subscribe(f"$share/{share}/{wanted}" if share else wanted, qos=1)
        _note(self.door, "")

    def _gone(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any = None) -> None:
        if reason.is_failure and not self.ended.is_set():
            _note(self.door, why(reason))

    def _came(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        while not self.ended.is_set():
            try:
                self.waiting.put(message, timeout=1)
            except queue.Full:
                continue
            return

    def _work(self) -> None:
        while not self.ended.is_set():
            batch = self._batch()
            if not batch:
                continue
            try:
                keep(self.door, batch)
            except Exception as reason:  # whatever it is: a thread that ended would leave all sensors of the door unheard
                logger.warning(
                    "door %s: %s messages were not kept and come again: %s", self.door.id, len(batch), reason, exc_info=not isinstance(reason, MalhaError)
                )
                self._again(batch)
                continue
            for message in batch:
                assert self.client is not None
                self.client.ack(message.mid, message.qos)

    def _again(self, batch: Sequence[paho.MQTTMessage]) -> None:
        """Try a batch again after a while, before anything else of its door."""
        while not self.ended.wait(5):
            try:
                keep(self.door, batch)
            except (MalhaError, psycopg.OperationalError, psycopg.InterfaceError):
                continue
            except Exception:
                logger.exception("door %s: a message among %s cannot be kept", self.door.id, len(batch))
                if not self._one_by_one(batch):
                    continue
            for message in batch:
                assert self.client is not None
                self.client.ack(message.mid, message.qos)
            return

    def _one_by_one(self, batch: Sequence[paho.MQTTMessage]) -> bool:
        """Keep each message, and of one that cannot be kept its bytes alone. True when all are."""
        try:
            for message in batch:
                try:
                    keep(self.door, [message])
                except (psycopg.DataError, psycopg.IntegrityError, TypeError, ValueError):
                    keep(self.door, [message], raw=True)
        except Exception:
            logger.exception("door %s: not even its bytes can be kept", self.door.id)
            return False
        return True

    def _batch(self) -> list[paho.MQTTMessage]:
        try:
            batch = [self.waiting.get(timeout=0.5)]
        except queue.Empty:
            return []
        while len(batch) < BATCH:
            try:
                batch.append(self.waiting.get_nowait())
            except queue.Empty:
                break
        return batch


def keep(door: Door, batch: Sequence[paho.MQTTMessage], *, raw: bool = False) -> None:
    """Keep a batch in one transaction; when this returns it is committed. `raw` keeps bytes, and reads nothing in them."""
    template = str(door.settings["topic"])
    payloads = [{"hex": bytes(message.payload).hex()} if raw else payload_of(message.payload) for message in batch]
    devices = [device_of(template, message.topic) for message in batch]
    with database.connect() as conn, database.tenant_transaction(conn, [door.tenant_id]):
        service.receive(conn, service.get_door(conn, door.tenant_id, door.id), payloads, topics=[message.topic for message in batch], devices=devices)


def why(reason: object) -> str:
    """Why a broker is not heard: an error, or what it says in MQTT; as a sentence that can be kept."""
    if isinstance(reason, MalhaError):
        return reason.kept()
    if isinstance(reason, ssl.SSLError):
        return msg("O certificado do broker não serve para este nome, ou o broker não fala TLS neste porto.")
    if isinstance(reason, TimeoutError):
        return msg("O broker não respondeu a tempo.")
    if isinstance(reason, ConnectionRefusedError):
        return msg("O broker não aceita ligações neste porto: está desligado, ou o porto é outro.")
    said = str(reason)
    if said in {"Not authorized", "Bad user name or password"}:
        return msg("O broker não deixa entrar: o utilizador ou a palavra-passe não servem, ou não para este tópico.")
    if said == "Unspecified error":  # what the library says of a connection that went without a word
        return msg("A ligação ao broker caiu. Tenta-se outra vez, sem ser preciso fazer nada.")
    return sentence(msg("A ligação ao broker caiu ({reason}). Tenta-se outra vez, sem ser preciso fazer nada."), reason=said)


def payload_of(body: bytes | bytearray) -> Any:
    """The JSON of a message; a text that is none is a value, and bytes that are no text are kept as hexadecimal."""
    if len(body) > LARGEST_BYTES:
        return {"tooLarge": len(body)}
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            return {"value": body.decode()} if b"\x00" not in body else {"hex": body.hex()}
        except UnicodeDecodeError:
            return {"hex": body.hex()}


def topic_filter(template: str) -> str:
    """`sensores/{device}/up` as the filter `sensores/+/up`."""
    return "/".join("+" if level == "{device}" else level for level in template.split("/"))


def device_of(template: str, topic: str) -> str:
    """The level of the topic that stands where the template says `{device}`."""
    for wanted, level in zip(template.split("/"), topic.split("/"), strict=False):
        if wanted == "{device}":
            return level
    return ""


def run(stop: threading.Event) -> None:
    """Keep a listener for every open MQTT door, until told to stop."""
    listeners: dict[tuple[int, int], Listener] = {}
    try:
        with database.connect(autocommit=True) as locks:
            while not stop.wait(0 if not listeners else SYNC_SECONDS):
                try:
                    sync(locks, listeners)
                except (MalhaError, psycopg.Error):
                    logger.exception("MQTT doors could not be read")
                if not listeners and stop.wait(SYNC_SECONDS):
                    return
    finally:
        for one in listeners.values():
            one.stop()


def sync(locks: psycopg.Connection[Any], listeners: dict[tuple[int, int], Listener]) -> None:
    """Start what is missing, stop what changed or went."""
    wanted = {(one.tenant_id, one.id): (one, password, slug) for one, password, slug in _wanted()}
    for key in [key for key, one in listeners.items() if key not in wanted or wanted[key][0].settings != one.door.settings]:
        listeners.pop(key).stop()
        locks.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, key[1]])
    for key, (door, password, slug) in wanted.items():
        if key in listeners or not _mine(locks, door):
            continue
        listener = Listener(door, password, slug)
        try:
            listener.start()
        except (MalhaError, OSError, ValueError) as reason:
            _note(door, why(reason)[:1000])
            locks.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, door.id])
            continue
        listeners[key] = listener


def _mine(locks: psycopg.Connection[Any], door: Door) -> bool:
    """Whether this worker listens at the door: always under a shared subscription, else the first that asks."""
    if door.settings.get("share"):
        return True
    row = locks.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK, door.id]).fetchone()
    return bool(row and row[0])


def _wanted() -> Iterator[tuple[Door, str, str]]:
    with database.connect() as conn:
        for tenant_id in tenancy.all_ids():
            with database.tenant_transaction(conn, [tenant_id]):
                found = [one for one in queries.doors(conn, tenant_id) if one.kind is DoorKind.MQTT and one.active]
                passwords = [_password(conn, one) for one in found]
            if found:
                slug = tenancy.by_id(tenant_id).slug
                yield from ((one, password, slug) for one, password in zip(found, passwords, strict=True))


def _password(conn: psycopg.Connection[Any], door: Door) -> str:
    kept = queries.sealed(conn, door.tenant_id, door.id)
    return keys.unseal(kept, django_settings.SECRET_KEY) if kept else ""


def _note(door: Door, error: str) -> None:
    with _quiet(), database.connect() as conn, database.tenant_transaction(conn, [door.tenant_id]):
        queries.change_door(conn, door.tenant_id, door.id, last_error=error)


@contextmanager
def _quiet() -> Iterator[None]:
    """What cannot be noted is logged: a callback of the client must not end its thread."""
    try:
        yield
    except psycopg.Error:
        logger.warning("the state of an MQTT door could not be noted", exc_info=True)
