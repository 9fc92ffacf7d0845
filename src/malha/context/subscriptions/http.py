"""Notifications over HTTP(S) (§6.3.7 and clause 6): one POST, a bounded answer, no redirect, only to addresses that were checked."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import OrderedDict, deque
from urllib.parse import SplitResult, quote, urlsplit

from malha.context.subscriptions import wire
from malha.context.subscriptions.contracts import Delivery, Message
from malha.context.subscriptions.gate import Gate
from malha.context.subscriptions.slots import MOST
from malha.context.subscriptions.wire import Broken, Line
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

CONNECTIONS = MOST
IDLE_SECONDS = 30.0
#: answers after which the same notification may still be taken later
_AGAIN = frozenset({401, 403, 404, 408, 409, 425, 429})

#: scheme, host, port and tenant: a connection that was opened for one tenant serves no other, which may be allowed less
type _Place = tuple[str, str, int, str]


class Http:
    """Connections to the receivers of all tenants, kept for a while."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.tls = ssl.create_default_context()
        self.idle: OrderedDict[_Place, deque[tuple[float, Line]]] = OrderedDict()
        self.open = 0

    async def send(self, message: Message, tenant: str) -> Delivery:
        """Deliver once. Never raises for what a receiver does."""
        parts = urlsplit(message.uri)
        place = (parts.scheme, str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80), tenant)
        start = time.monotonic()
        try:
            addresses = await self.gate.addresses(place[1], place[2], tenant)
            async with asyncio.timeout(message.timeout_seconds):
                status = await self._post(place, addresses, _request(parts, message))
        except MalhaError as refused:
            return Delivery(ok=False, error=str(refused), permanent=refused.status < 500)
        except TimeoutError:
            return Delivery(ok=False, error=msg("o recetor não respondeu a tempo"), seconds=time.monotonic() - start)
        except OSError as reason:
            return Delivery(ok=False, error=f"{type(reason).__name__} {reason}".strip(), seconds=time.monotonic() - start)
        spent = time.monotonic() - start
        if 200 <= status < 300:
            return Delivery(ok=True, status=status, seconds=spent)
        return Delivery(ok=False, error=f"HTTP {status}", status=status, permanent=300 <= status < 500 and status not in _AGAIN, seconds=spent)

    async def _post(self, place: _Place, addresses: list[str], data: bytes) -> int:
        while (line := self._kept(place)) is not None:
            try:
                return await self._exchange(place, line, data)
            except Broken as reason:
                if not reason.unheard:  # else the receiver closed what was idle; the notification has an id of its own
                    raise
        self._make_room()
        self.open += 1
        try:
            line = await wire.connect(addresses, place[2], self.tls if place[0] == "https" else None, place[1])
        except BaseException:
            self.open -= 1
            raise
        return await self._exchange(place, line, data)

    async def _exchange(self, place: _Place, line: Line, data: bytes) -> int:
        try:
            return await line.post(data)
        finally:
            if line.closed:
                self.open -= 1
            else:
                self.idle.setdefault(place, deque()).append((time.monotonic(), line))
                self.idle.move_to_end(place)

    def _kept(self, place: _Place) -> Line | None:
        """A connection to `place` that is still good, the one used last."""
        lines = self.idle.get(place)
        while lines:
            used_at, line = lines.pop()
            if not lines:
                del self.idle[place]
            if not line.closed and time.monotonic() - used_at < IDLE_SECONDS:
                return line
            self._drop(line)
        return None

    def _make_room(self) -> None:
        """Close what was idle too long, and as much more as there would be connections too many."""
        moment = time.monotonic()
        for place in list(self.idle):
            lines = self.idle[place]
            while lines and (lines[0][1].closed or moment - lines[0][0] > IDLE_SECONDS or self.open >= CONNECTIONS):
                self._drop(lines.popleft()[1])
            if not lines:
                del self.idle[place]

    def _drop(self, line: Line) -> None:
        self.open -= 1
        line.close()

    async def close(self) -> None:
        """Close every connection."""
        for lines in self.idle.values():
            for _, line in lines:
                line.close()
        self.idle.clear()


def _request(parts: SplitResult, message: Message) -> bytes:
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="%/:=&?~+!$,;'@()*[]")
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    own = {"host", "content-length", "transfer-encoding", "connection"}
    headers = [(name, value) for name, value in {"User-Agent": "Malha", **message.headers}.items() if name.lower() not in own]
    return wire.request(target, [("Host", host), *headers], message.body)
