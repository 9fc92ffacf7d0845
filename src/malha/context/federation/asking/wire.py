"""Ask other sources over HTTP: in parallel, within their time, only at addresses that may be reached, none asked again at once that failed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpcore

from malha.context.federation.contracts import Answer
from malha.context.federation.registrations.matching import Source
from malha.context.subscriptions.gate import Gate
from malha.foundation.telemetry import service as telemetry
from malha.foundation.telemetry import traces
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

CONNECTIONS = 200
#: sources whose idle connections are kept; a pool looks at all that it has at every request, so each source has one of its own
SOURCES = 400
IDLE_SECONDS = 30.0
#: an answer that is larger is not taken (§6.3.17)
ANSWER_BYTES = 16 * 1024 * 1024
#: rest after a failure where the registration says nothing: longer each time
REST_SECONDS, LONGEST_REST_SECONDS = 0.5, 30.0
STALE, INVALID, SILENT, REFUSED = 110, 111, 199, 299
_RESTING = msg("a fonte não respondeu há pouco e está em descanso")


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


@dataclass(slots=True)
class _Pool:
    """The connections to one source, and how many requests are on their way to it."""

    connections: httpcore.AsyncConnectionPool
    busy: int = 0


class Wire:
    """The connections of one event loop to the sources of all tenants, and what is known of those that failed."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.tls = ssl.create_default_context()
        self.network = _Guarded(self.gate)
        self.pools: OrderedDict[tuple[str, str], _Pool] = OrderedDict()
        self.room = asyncio.Semaphore(CONNECTIONS)
        self.resting: dict[tuple[int, int], tuple[float, int]] = {}

    async def ask(
        self, source: Source, method: str, address: str, headers: Mapping[str, str], body: bytes, tenant: str, *, patient: bool = False
    ) -> Answer:  # fmt: skip
        """One request to a source. `patient` asks one that is resting, too (writes)."""
        until, failures = self.resting.get(source.key, (0.0, 0))
        if time.monotonic() < until and not patient:
            return Answer(0, warning=SILENT, reason=_RESTING)
        answer = await self.once(method, address, headers, body, tenant, source.timeout_seconds)
        if answer.status == 0 and answer.warning == SILENT:
            rest = source.cooldown_seconds or min(LONGEST_REST_SECONDS, REST_SECONDS * 2**failures)
            self.resting[source.key] = (time.monotonic() + rest, min(failures + 1, 16))
        else:
            self.resting.pop(source.key, None)
        return answer

    async def once(self, method: str, address: str, headers: Mapping[str, str], body: bytes, tenant: str, timeout_seconds: float) -> Answer:
        """One request. Never raises for what the other side does."""
        start = time.monotonic()
        with traces.span(f"{method} other source", "CLIENT", attributes={"http.request.method": method}) as told:
            answer = await self._tried(method, address, {**headers, **traces.outgoing()}, body, tenant, timeout_seconds, start)
            told["http.response.status_code"] = answer.status
        telemetry.FORWARDED.labels(answer.status).observe(time.monotonic() - start)
        return answer

    async def _tried(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes, tenant: str, timeout_seconds: float, start: float
    ) -> Answer:  # fmt: skip
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._once(method, address, headers, body, tenant, start)
        except MalhaError as refused:
            return Answer(0, warning=REFUSED, reason=str(refused))
        except (TimeoutError, httpcore.TimeoutException):
            return Answer(0, warning=SILENT, reason=msg("a fonte não respondeu a tempo"), seconds=time.monotonic() - start)
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError):
            return Answer(0, warning=SILENT, reason=msg("não se consegue ligar à fonte"), seconds=time.monotonic() - start)

    async def _once(self, method: str, address: str, headers: Mapping[str, str], body: bytes, tenant: str, start: float) -> Answer:
        parts = urlsplit(address)
        sent = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        sent += [(b"Host", parts.netloc.encode()), (b"User-Agent", b"Malha")]
        if method != "GET" and (body or method != "DELETE"):
            sent.append((b"Content-Length", str(len(body)).encode()))
        # a pooled connection may have been opened for a tenant that was allowed more
        await self.gate.addresses(str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80), tenant)
        _tenant.set(tenant)
        async with self._to(parts.scheme, parts.netloc) as pool, pool.stream(method, address, headers=sent, content=body or None) as answer:
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
            pieces: list[bytes] = []
            size = 0
            async for piece in answer.aiter_stream():
                size += len(piece)
                if size > ANSWER_BYTES:
                    return Answer(0, headers=found, warning=INVALID, reason=msg("a resposta da fonte é grande demais"), seconds=time.monotonic() - start)
                pieces.append(piece)
            return Answer(int(answer.status), b"".join(pieces), found, seconds=time.monotonic() - start)

    @asynccontextmanager
    async def _to(self, scheme: str, place: str) -> AsyncIterator[httpcore.AsyncConnectionPool]:
        """The connections to one source, when there is room for another request."""
        async with self.room:
            found = self.pools.get((scheme, place))
            if found is None:
                made = httpcore.AsyncConnectionPool(
                    ssl_context=self.tls, max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=IDLE_SECONDS,
                    network_backend=self.network,
                )  # fmt: skip
                found = self.pools[scheme, place] = _Pool(made)
            self.pools.move_to_end((scheme, place))
            found.busy += 1
            try:
                yield found.connections
            finally:
                found.busy -= 1
                await self._forget()

    async def _forget(self) -> None:
        """Close the idle connections of sources that were not asked for longest, where there are too many."""
        for key in list(self.pools)[: max(0, len(self.pools) - SOURCES)]:
            if not self.pools[key].busy:
                await self.pools.pop(key).connections.aclose()

    async def close(self) -> None:
        """Close every connection."""
        for pool in self.pools.values():
            await pool.connections.aclose()
        self.pools.clear()
        self.gate.close()


_wires: WeakKeyDictionary[asyncio.AbstractEventLoop, Wire] = WeakKeyDictionary()


def current() -> Wire:
    """The wire of the running loop."""
    loop = asyncio.get_running_loop()
    found = _wires.get(loop)
    if found is None:
        found = _wires[loop] = Wire()
    return found


async def close() -> None:
    """Close the wire of the running loop, at shutdown."""
    found = _wires.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()
