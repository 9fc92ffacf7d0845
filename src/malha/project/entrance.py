"""The server's connections: no more than the process can have open and still do its work, none that says nothing.

A flood of connections takes the file descriptors of a process, which then can open neither a connection to the database nor a file. So the
process asks for as many as the system allows, keeps some for itself, and tells whoever is too many to come back (503). uvicorn takes
this by `--http malha.project.entrance:Connection`.
"""

from __future__ import annotations

import asyncio
import resource

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: connections of one process, where the system allows so many descriptors
MOST = 10_000
#: descriptors that are no client's: the database, files, other sources; and those who are sent away and still hear so
OWN, LINGERING = 128, 128
#: how long whoever is sent away is heard out, and how long the head of a first request may take
LINGER_SECONDS, HEAD_SECONDS = 1.0, 10.0
_BODY = '{"type":"https://uri.etsi.org/ngsi-ld/errors/InternalError","title":"O serviço está ocupado","detail":"O serviço está ocupado. Tente daqui a 1 s.","status":503}'.encode()
FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)


def make_room() -> None:
    """Allow this process as many descriptors as the system lets it have; shells and services often begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + OWN + LINGERING
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def room() -> int:
    """How many connections the process takes."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if soft == resource.RLIM_INFINITY else min(MOST, max(16, soft - OWN - LINGERING))


class Connection(HttpToolsProtocol):
    """A connection of uvicorn's, if there is room for it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take it, or send whoever asks away."""
        if len(self.connections) >= room():
            SentAway(transport, self.loop)
            return
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, self._silent)

    def _silent(self) -> None:
        """End a connection that has not asked anything yet: those who hold many open would keep the others out."""
        if self.cycle is None and self in self.connections:
            self.transport.abort()


class SentAway(asyncio.Protocol):
    """Hears out whoever is told to come back: an answer is lost where a connection is closed with something unread."""

    lingering = 0

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.transport = transport
        SentAway.lingering += 1
        transport.set_protocol(self)
        if SentAway.lingering > LINGERING:
            transport.abort()
            return
        transport.write(FULL)
        if transport.can_write_eof():
            transport.write_eof()
        self.over = loop.call_later(LINGER_SECONDS, transport.abort)

    def eof_received(self) -> None:
        """They have gone: so is the connection."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the event loop's
        """One less."""
        SentAway.lingering -= 1
