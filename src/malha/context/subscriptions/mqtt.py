"""Notifications over MQTT 3.1.1 and 5 (clause 7): one publication of `{metadata, body}`, over connections that stay open a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import aiomqtt

from malha.context.subscriptions.contracts import Delivery, Message
from malha.context.subscriptions.gate import Gate
from malha.foundation.outgoing import tls
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

CONNECTIONS = 20
IDLE_SECONDS = 60.0
_VERSIONS = {"mqtt3.1.1": aiomqtt.ProtocolVersion.V311, "mqtt5.0": aiomqtt.ProtocolVersion.V5}

#: broker, credentials and version that share one connection
type _Place = tuple[str, str, str, int, str, str, str]


@dataclass(slots=True)
class _Link:
    """One connection to a broker."""

    client: aiomqtt.Client | None = None
    used_at: float = field(default_factory=time.monotonic)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Mqtt:
    """Connections to the brokers of all tenants."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.links: dict[_Place, _Link] = {}

    async def send(self, message: Message, tenant: str) -> Delivery:
        """Publish once. Never raises for what a broker does."""
        parts = urlsplit(message.uri)
        start = time.monotonic()
        place = _place(message, tenant)
        link = self.links.get(place)
        if link is None:
            await self._make_room()
            link = self.links.setdefault(place, _Link())
        try:
            async with asyncio.timeout(message.timeout_seconds):
                client = await self._connected(link, place)
                topic = unquote(parts.path.removeprefix("/"))
                for below, body in message.parts or (("", message.body),):
                    where = f"{topic}/{below}" if below else topic
                    await client.publish(where, body, qos=int(message.notifier.get("MQTT-QoS", "0")), timeout=message.timeout_seconds)
        except MalhaError as refused:
            return Delivery(ok=False, error=str(refused), permanent=refused.status < 500)
        except TimeoutError:
            await self._drop(place)
            return Delivery(ok=False, error=msg("o recetor não respondeu a tempo"), seconds=time.monotonic() - start)
        except (aiomqtt.MqttError, OSError, ValueError) as reason:
            await self._drop(place)
            return Delivery(ok=False, error=f"MQTT: {reason}"[:300], seconds=time.monotonic() - start)
        link.used_at = time.monotonic()
        return Delivery(ok=True, seconds=time.monotonic() - start)

    async def _connected(self, link: _Link, place: _Place) -> aiomqtt.Client:
        async with link.lock:
            if link.client is None:
                link.client = await self._connect(place)
            return link.client

    async def _connect(self, place: _Place) -> aiomqtt.Client:
        tenant, scheme, host, port, user, password, version = place
        addresses = await self.gate.addresses(host, port, tenant)
        client = aiomqtt.Client(
            hostname=addresses[0], port=port, username=user or None, password=password or None, protocol=_VERSIONS[version],
            tls_context=tls.context_for(host) if scheme == "mqtts" else None, keepalive=30,
        )  # fmt: skip
        await client.__aenter__()
        return client

    async def _make_room(self) -> None:
        """Close what is idle, and the least recently used when there are too many."""
        moment = time.monotonic()
        oldest = sorted(self.links, key=lambda place: self.links[place].used_at)
        for place in oldest:
            if moment - self.links[place].used_at > IDLE_SECONDS or len(self.links) >= CONNECTIONS:
                await self._drop(place)

    async def _drop(self, place: _Place) -> None:
        link = self.links.pop(place, None)
        if link is not None and link.client is not None:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError, OSError):
                async with asyncio.timeout(1):
                    await link.client.__aexit__(None, None, None)

    async def close(self) -> None:
        """Close every connection."""
        for place in list(self.links):
            await self._drop(place)


def _place(message: Message, tenant: str) -> _Place:
    parts = urlsplit(message.uri)
    port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
    version = message.notifier.get("MQTT-Version", "mqtt5.0")
    return tenant, parts.scheme, str(parts.hostname), port, unquote(parts.username or ""), unquote(parts.password or ""), version
