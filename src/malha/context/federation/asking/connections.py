"""HTTP/1.1 connections to other sources: one request at a time on each, read where the event loop says so, kept for the next one.

A question over twenty-five sources is twenty-five requests of this process at the same moment, and what one costs it is what the answer
waits for: through a client of general use two thirds of its time went into coroutines and state machines that nothing here needs.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import httptools

#: what comes before the body of an answer
HEAD_BYTES = 64 * 1024
#: connections that wait for the next request, to all sources together; those that waited longest are closed
IDLE, IDLE_SECONDS = 400, 30.0
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[^\x00\r\n]*")
_TARGET = re.compile(r"[\x21-\x7e]+")

type Place = tuple[str, str, int]


class Broken(Exception):
    """The connection cannot be made, broke, or what came over it is no HTTP."""


class Unheard(Broken):
    """The connection ended before a byte of the answer came, as one does that was kept and that the other side closes just now."""


class TooLarge(Exception):
    """The answer is larger than whoever asked would take; its headers so far."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers
        super().__init__()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; names of headers in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(method: str, target: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """A request as bytes. Raises Broken for what would end a line."""
    lines = [f"{method} {target} HTTP/1.1".encode()]
    if not _TARGET.fullmatch(target):
        raise Broken("target")
    for name, value in headers:
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise Broken("header")
        lines.append(name + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """A connection to one source. `usable` while it may be asked."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.usable = False
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[Reply] | None = None
        self.lost: Callable[[Connection], None] | None = None
        self.parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self.status = self.received = self.size = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.headed = False

    async def ask(self, sent: bytes) -> Reply:
        """The answer to a request. Raises Broken, Unheard, TooLarge; whoever gives up closes the connection."""
        assert self.transport is not None
        if not self.usable:
            raise Unheard("closed")
        self._begin()
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(sent)
        try:
            return await self.waiting
        except BaseException:
            self.close()
            raise
        finally:
            self.waiting = None

    def close(self) -> None:
        """End the connection."""
        self.usable = False
        if self.transport is not None:
            self.transport.abort()

    def _fail(self, reason: Exception) -> None:
        self.usable = False
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(reason)

    # what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport = cast("asyncio.Transport", transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        if self.waiting is None or self.waiting.done():  # said unasked: what would be read as the next answer
            self.close()
            return
        self.received += len(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as reason:
            self._fail(Broken(str(reason)))
            return
        if self.size > self.most_bytes:
            self._fail(TooLarge(self.headers))
        elif not self.headed and self.received > HEAD_BYTES:
            self._fail(Broken("head"))

    def eof_received(self) -> None:
        """The other side has no more to say."""
        self.usable = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended; an answer without a length ends with it."""
        self.usable = False
        if self.headed and exc is None and not self.headers.keys() & {"content-length", "transfer-encoding"}:
            self._whole()
        self._fail(Broken("lost") if self.received else Unheard("lost"))
        if self.lost is not None:
            self.lost(self)

    # what the parser finds

    def on_message_begin(self) -> None:
        """An answer begins; a second one was not asked for."""
        self.usable = self.usable and not self.headed

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, of the head or after the body."""
        if not self.headed:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is there."""
        self.status = self.parser.get_status_code()
        self.headed = self.status >= 200

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self.size += len(piece)
        if self.size <= self.most_bytes:
            self.pieces.append(piece)

    def on_message_complete(self) -> None:
        """The answer is whole; one of 1xx says that another comes."""
        if not self.headed:
            self.headers = {}
            return
        self.usable = self.usable and self.parser.should_keep_alive()
        self._whole()

    def _whole(self) -> None:
        if self.waiting is not None and not self.waiting.done() and self.size <= self.most_bytes:
            self.waiting.set_result(Reply(self.status, self.headers, b"".join(self.pieces)))


class Connections:
    """The connections of one event loop."""

    def __init__(self, tls: ssl.SSLContext, most_bytes: int) -> None:
        self.tls, self.most_bytes = tls, most_bytes
        self.idle: OrderedDict[Connection, tuple[Place, asyncio.TimerHandle]] = OrderedDict()
        self.by_place: dict[Place, list[Connection]] = {}

    async def ask(self, place: Place, addresses: Sequence[str], sent: bytes, *, again: bool) -> Reply:
        """The answer to a request at (scheme, host, port), connected to at one of the addresses, never by a name, which can change after it was checked.

        `again` says that it may be asked twice, where a kept connection had just ended. Raises Broken, TooLarge, OSError.
        """
        kept = self._take(place)
        if kept is not None:
            try:
                return self._keep(place, kept, await kept.ask(sent))
            except Unheard:
                if not again:
                    raise
        made = await self._connect(place, addresses)
        return self._keep(place, made, await made.ask(sent))

    def _take(self, place: Place) -> Connection | None:
        there = self.by_place.get(place)
        if not there:
            return None
        found = there[-1]  # the one that was used last: those that are too many grow old
        self._forget(found)
        return found

    def _keep(self, place: Place, one: Connection, reply: Reply) -> Reply:
        if not one.usable:
            one.close()
            return reply
        one.lost = self._forget
        self.idle[one] = place, asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end, one)
        self.by_place.setdefault(place, []).append(one)
        if len(self.idle) > IDLE:
            self._end(next(iter(self.idle)))
        return reply

    def _forget(self, one: Connection) -> None:
        found = self.idle.pop(one, None)
        if found is None:
            return
        place, over = found
        over.cancel()
        there = self.by_place[place]
        there.remove(one)
        if not there:
            del self.by_place[place]

    def _end(self, one: Connection) -> None:
        self._forget(one)
        one.close()

    def _made(self) -> Connection:
        return Connection(self.most_bytes)

    async def _connect(self, place: Place, addresses: Sequence[str]) -> Connection:
        scheme, host, port = place
        failure: Exception | None = None
        tls, name = (self.tls, host) if scheme == "https" else (None, None)
        for address in addresses:
            try:
                _, made = await asyncio.get_running_loop().create_connection(self._made, address, port, ssl=tls, server_hostname=name)
            except OSError as reason:
                failure = reason
            else:
                return made
        raise failure or Broken("no address")

    def close(self) -> None:
        """Close every connection that waits."""
        while self.idle:
            self._end(next(iter(self.idle)))
