"""One connection of HTTP/1.1 that carries one exchange after the other: a POST out, a status back, and nothing kept of the answer.

A client library of general purpose spends milliseconds where a storm of notifications has a fraction of one; the framing
of answers is read by `httptools` (llhttp).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterable

import httptools

from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

ANSWER_BYTES = 64 * 1024
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE = re.compile(r"[\r\n\0]")


class Unsendable(MalhaError):
    """A header that HTTP cannot carry."""

    slug, status = "notification-header", 400


class Broken(OSError):
    """The connection ended before the answer was there; `unheard` says that not one byte of it came."""

    def __init__(self, reason: str, *, unheard: bool) -> None:
        super().__init__(reason)
        self.unheard = unheard


def request(target: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """The bytes of a POST. Raises Unsendable for a header that would be read as more than one."""
    lines = [f"POST {target} HTTP/1.1"]
    for name, value in headers:
        if not _NAME.fullmatch(name) or _UNSAFE.search(value):
            raise Unsendable(msg("O cabeçalho “{name}” não se pode enviar."), name=name[:80])
        lines.append(f"{name}: {value}")
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode("latin-1", "replace") + body


class Line(asyncio.Protocol):
    """A connection to one receiver, good for one exchange at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.parser = httptools.HttpResponseParser(self)
        self.answer: asyncio.Future[int] | None = None
        self.seen = 0
        self.reusable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @property
    def closed(self) -> bool:
        """Whether it can carry nothing any more."""
        return self.transport is None or self.transport.is_closing() or not self.reusable

    async def post(self, data: bytes) -> int:
        """Send a request that is ready; the status of the answer, once all of it, or too much of it, came. Raises Broken."""
        assert self.transport is not None
        self.parser, self.seen = httptools.HttpResponseParser(self), 0
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        try:
            return await self.answer
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """End it at once."""
        self.reusable = False
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        if self.answer is None or self.answer.done():  # nobody asked
            self.close()
            return
        self.seen += len(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError):
            self._fail("no HTTP answer")
            return
        if self.seen > ANSWER_BYTES and not self.answer.done():
            self.reusable = False
            self._settle()

    def on_headers_complete(self) -> None:
        """The head of an answer is there; an interim one (1xx) is followed by another."""
        if not self.parser.should_keep_alive():
            self.reusable = False

    def on_message_complete(self) -> None:
        """An answer is there."""
        if self.parser.get_status_code() >= 200:
            self._settle()

    def eof_received(self) -> None:
        """The receiver says no more: the end of an answer without length, or of the connection."""
        self.reusable = False

    def connection_lost(self, reason: Exception | None) -> None:
        """The connection is gone."""
        self.reusable = False
        if self.answer is not None and not self.answer.done():
            if self.seen and self._status() >= 200:
                self._settle()
            else:
                self.answer.set_exception(Broken(str(reason or "closed"), unheard=not self.seen))

    def _status(self) -> int:
        return int(self.parser.get_status_code() or 0)

    def _settle(self) -> None:
        assert self.answer is not None
        status = self._status()
        if not self.reusable and self.transport is not None:
            self.transport.abort()
        if not self.answer.done():
            self.answer.set_result(status)

    def _fail(self, reason: str) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(Broken(reason, unheard=False))
        self.close()


async def connect(addresses: Iterable[str], port: int, tls: ssl.SSLContext | None, name: str) -> Line:
    """A connection to the first of `addresses` that takes it. Raises OSError."""
    failure: OSError | None = None
    for address in addresses:
        try:
            _, line = await asyncio.get_running_loop().create_connection(Line, address, port, ssl=tls, server_hostname=name if tls else None)
        except OSError as reason:
            failure = reason
        else:
            return line
    raise failure or OSError("no address")
