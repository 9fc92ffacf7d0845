"""A load of HTTP/1.1 requests that are ready as bytes, over a few connections that stay; a process of its own, cheap enough to need little of a core.

Reads one pickled job from its input and writes one pickled answer: `requests` (bytes each), `port`, `connections`, `rate` (requests
a second from the first moment on; 0: each connection sends the next as soon as it has its answer), `keep` (positions whose answers are
wanted), `together` (each connection sends one, and the next only when all have their answers; `port` is then one for each of them). With a rate, a time counts from when the request was due, so that a server that stalls is not spared (coordinated omission).
"""

from __future__ import annotations

import asyncio
import pickle
import sys
import time
from collections import Counter, deque
from typing import Any


class Connection(asyncio.Protocol):
    """One connection with one request on its way."""

    def __init__(self, load: Load) -> None:
        self.load, self.buffer, self.need = load, bytearray(), -1
        self.number, self.begun = -1, 0.0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Ready."""
        self.transport = transport

    def send(self, number: int, begun: float) -> None:
        """Send request `number`, due at `begun`."""
        self.number, self.begun = number, begun
        self.transport.write(self.load.requests[number])

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self.buffer += data
        if self.need < 0:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            self.status, length = int(self.buffer[9:12]), self.buffer[:head].lower().find(b"content-length:")
            self.need = head + 4 + (int(self.buffer[length + 15 : self.buffer.find(b"\r\n", length + 15)]) if length >= 0 else 0)
        if len(self.buffer) >= self.need:
            answer = bytes(self.buffer[: self.need])
            del self.buffer[: self.need]
            self.need = -1
            self.load.answered(self, self.status, answer)

    def connection_lost(self, _reason: Exception | None) -> None:
        """The server closed: what was on its way failed."""
        if self.number >= 0:
            self.load.answered(self, 0, b"", usable=False)


class Load:
    """Hands out requests and keeps times."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.requests: list[bytes] = job["requests"]
        self.rate, self.keep, self.together = float(job.get("rate", 0)), frozenset(job.get("keep", ())), bool(job.get("together"))
        self.everyone: list[Connection] = []
        self.next, self.left = 0, len(self.requests)
        self.times = [0.0] * len(self.requests)
        self.statuses: Counter[int] = Counter()
        self.answers: dict[int, bytes] = {}
        self.free: deque[Connection] = deque()
        self.due: deque[tuple[int, float]] = deque()
        self.done = asyncio.Event()

    def answered(self, one: Connection, status: int, answer: bytes, *, usable: bool = True) -> None:
        """Note an answer and send the next."""
        self.times[one.number] = time.perf_counter() - one.begun
        self.statuses[status] += 1
        if one.number in self.keep:
            self.answers[one.number] = answer
        one.number = -1
        self.left -= 1
        if not self.left:
            self.done.set()
        if usable:
            self.go_on(one)

    def go_on(self, one: Connection) -> None:
        """Give a connection its next request, or let it wait for one."""
        if self.rate:
            one.send(*self.due.popleft()) if self.due else self.free.append(one)
        elif self.together:
            self.free.append(one)
            if len(self.free) == len(self.everyone) and self.left:
                self.free.clear()
                for each in self.everyone:
                    self.next += 1
                    each.send(self.next - 1, time.perf_counter())
        elif self.next < len(self.requests):
            self.next += 1
            one.send(self.next - 1, time.perf_counter())

    async def pace(self, start: float) -> None:
        """Make requests due at the rate."""
        for number in range(len(self.requests)):
            at = start + number / self.rate
            if (wait := at - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            self.due.append((number, at))
            if self.free:
                self.go_on(self.free.popleft())


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do the job; seconds of each request, of all, how they ended, and the wanted answers."""
    load, loop = Load(job), asyncio.get_running_loop()
    ports = job["port"] if isinstance(job["port"], list) else [job["port"]] * job["connections"]
    made = load.everyone = [(await loop.create_connection(lambda: Connection(load), "127.0.0.1", port))[1] for port in ports]
    start, started = time.perf_counter(), time.monotonic()
    pacing = asyncio.create_task(load.pace(start)) if load.rate else None
    for one in made:
        load.go_on(one)
    await asyncio.wait_for(load.done.wait(), 600)
    seconds = time.perf_counter() - start
    if pacing:
        await pacing
    for one in made:
        one.transport.abort()
    return {"seconds": seconds, "started": started, "times": load.times, "statuses": dict(load.statuses), "answers": load.answers}


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(asyncio.run(run(pickle.load(sys.stdin.buffer)))))
