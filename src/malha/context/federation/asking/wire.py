"""Ask other sources over HTTP: in parallel, within their time, only at addresses that may be reached, none asked again at once that failed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from malha.context.federation.asking.connections import Broken, Connections, TooLarge, request
from malha.context.federation.contracts import Answer
from malha.context.federation.registrations.matching import Source
from malha.context.subscriptions.gate import Gate
from malha.foundation.telemetry import service as telemetry
from malha.foundation.telemetry import traces
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

#: requests on their way at once, of all tenants
CONNECTIONS = 200
#: an answer that is larger is not taken (§6.3.17)
ANSWER_BYTES = 16 * 1024 * 1024
#: rest after a failure where the registration says nothing: longer each time
REST_SECONDS, LONGEST_REST_SECONDS = 0.5, 30.0
STALE, INVALID, SILENT, REFUSED = 110, 111, 199, 299
_RESTING = msg("a fonte não respondeu há pouco e está em descanso")


def _failed(answer: Answer) -> bool:
    """Whether the source says that it failed (§5.2.34); 501 only says that it does not know something."""
    return answer.status >= 500 and answer.status != 501


class Wire:
    """The connections of one event loop to the sources of all tenants, and what is known of those that failed."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.tls = ssl.create_default_context()
        self.room = asyncio.Semaphore(CONNECTIONS)
        self.connections = Connections(self.tls, ANSWER_BYTES)
        self.resting: dict[tuple[int, int], tuple[float, int]] = {}

    async def ask(
        self, source: Source, method: str, address: str, headers: Mapping[str, str], body: bytes, tenant: str, *, patient: bool = False
    ) -> Answer:  # fmt: skip
        """One request to a source. `patient` asks one that is resting, too (writes)."""
        until, failures = self.resting.get(source.key, (0.0, 0))
        if time.monotonic() < until and not patient:
            return Answer(0, warning=SILENT, reason=_RESTING)
        answer = await self.once(method, address, headers, body, tenant, source.timeout_seconds)
        if (answer.status == 0 and answer.warning == SILENT) or (source.cooldown_seconds and _failed(answer)):
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
            return Answer(0, warning=REFUSED, reason=refused.kept())
        except TooLarge as said:
            return Answer(0, headers=said.headers, warning=INVALID, reason=msg("a resposta da fonte é grande demais"), seconds=time.monotonic() - start)
        except TimeoutError:
            return Answer(0, warning=SILENT, reason=msg("a fonte não respondeu a tempo"), seconds=time.monotonic() - start)
        except (Broken, OSError):
            return Answer(0, warning=SILENT, reason=msg("não se consegue ligar à fonte"), seconds=time.monotonic() - start)

    async def _once(self, method: str, address: str, headers: Mapping[str, str], body: bytes, tenant: str, start: float) -> Answer:
        parts = urlsplit(address)
        sent = [(b"Host", parts.netloc.rpartition("@")[2].encode()), (b"User-Agent", b"Malha")]
        sent += [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        if method != "GET" and (body or method != "DELETE"):
            sent.append((b"Content-Length", str(len(body)).encode()))
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        # before a kept connection is used, too: it may have been opened for a tenant that was allowed more
        addresses = await self.gate.addresses(host, port, tenant)
        whole = request(method, f"{parts.path or '/'}?{parts.query}".rstrip("?"), sent, body)
        async with self.room:
            said = await self.connections.ask((parts.scheme, host, port), addresses, whole, again=method == "GET")
        return Answer(said.status, said.body, said.headers, seconds=time.monotonic() - start)

    def close(self) -> None:
        """Close every connection."""
        self.connections.close()
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
        found.close()
