"""Notifications over HTTP(S) (§6.3.7 and clause 6): one POST, a bounded answer, no redirect, only to addresses that were checked."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import httpcore

from malha.context.subscriptions.contracts import Delivery, Message
from malha.context.subscriptions.gate import Gate
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

CONNECTIONS, PER_HOST = 190, 32
ANSWER_BYTES = 64 * 1024
IDLE_SECONDS = 30.0
#: answers after which the same notification may still be taken later
_AGAIN = frozenset({401, 403, 404, 408, 409, 425, 429})
_tenant: ContextVar[str] = ContextVar("tenant", default="")


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to the very addresses that were checked, so that a name cannot change in between."""

    def __init__(self, gate: Gate) -> None:
        self.gate, self.network = gate, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in await self.gate.addresses(host, port, _tenant.get()):
            try:
                return await self.network.connect_tcp(address, port, timeout=timeout, local_address=local_address, socket_options=socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as reason:
                failure = reason
        raise failure or httpcore.ConnectError("no address")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Http:
    """A pool of connections to the receivers of all tenants."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(), max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS // 2, keepalive_expiry=IDLE_SECONDS,
            network_backend=_Guarded(gate),
        )  # fmt: skip
        self.hosts: dict[tuple[str, int | None], asyncio.Semaphore] = {}

    async def send(self, message: Message, tenant: str) -> Delivery:
        """Deliver once. Never raises for what a receiver does."""
        parts = urlsplit(message.uri)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        start = time.monotonic()
        try:
            # a pooled connection may have been opened for a tenant that was allowed more
            await self.gate.addresses(str(parts.hostname), port, tenant)
            async with self._room(str(parts.hostname), port), asyncio.timeout(message.timeout_seconds):
                _tenant.set(tenant)
                status = await self._post(message)
        except MalhaError as refused:
            return Delivery(ok=False, error=str(refused), permanent=refused.status < 500)
        except (TimeoutError, httpcore.TimeoutException):
            return Delivery(ok=False, error=msg("o recetor não respondeu a tempo"), seconds=time.monotonic() - start)
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as reason:
            return Delivery(ok=False, error=f"{type(reason).__name__} {reason}".strip(), seconds=time.monotonic() - start)
        spent = time.monotonic() - start
        if 200 <= status < 300:
            return Delivery(ok=True, status=status, seconds=spent)
        return Delivery(ok=False, error=f"HTTP {status}", status=status, permanent=300 <= status < 500 and status not in _AGAIN, seconds=spent)

    def _room(self, host: str, port: int) -> asyncio.Semaphore:
        if len(self.hosts) > 10_000:
            self.hosts = {place: room for place, room in self.hosts.items() if room.locked()}
        return self.hosts.setdefault((host, port), asyncio.Semaphore(PER_HOST))

    async def _post(self, message: Message) -> int:
        headers = [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in {"User-Agent": "Malha", **message.headers}.items()
        ]
        headers += [(b"Host", urlsplit(message.uri).netloc.encode()), (b"Content-Length", str(len(message.body)).encode())]
        async with self.pool.stream("POST", message.uri, headers=headers, content=message.body) as answer:
            seen = 0
            async for part in answer.aiter_stream():
                seen += len(part)
                if seen > ANSWER_BYTES:
                    break
            return int(answer.status)

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.aclose()
