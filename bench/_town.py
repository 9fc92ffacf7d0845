"""What `bench/broker.py` works on: a database of its own, towns with clients, entities of the usual shape, servers on one core."""

from __future__ import annotations

import json
import os
import pickle
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SERVER_CORE, LOAD_CORE = 0, 1
CONTEXT = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"
TYPE = "WaterStation"


@dataclass(frozen=True)
class Town:
    """A tenant and a token that reads and writes it."""

    id: int
    slug: str
    token: str
    client: str


def entity(number: int, kind: str = TYPE) -> dict[str, Any]:
    """An entity in the shape that load tests of NGSI-LD brokers use: six properties, two of them with two instances, a link, a place."""
    chance = random.Random(number)

    def value(low: float, high: float, unit: str, dataset: str = "") -> dict[str, Any]:
        one = {"type": "Property", "value": round(chance.uniform(low, high), 2), "observedAt": "2026-04-01T12:00:00Z", "unitCode": unit}
        return one | ({"datasetId": f"urn:bench:Dataset:{dataset}"} if dataset else {})

    return {
        "id": f"urn:bench:{kind}:{number}", "type": kind,
        "name": {"type": "Property", "value": f"Estação {number}"},
        "description": {"type": "Property", "value": "Água junto à ponte, à superfície e no fundo"},
        "stationCode": {"type": "Property", "value": f"BSS{number % 1000:04}"},
        "ammonium": [value(0, 1, "M1", "Bottom"), value(0, 1, "M1", "Surface")],
        "dissolvedOxygen": value(5, 12, "M1") | {"method": {"type": "Property", "value": "1311"}},
        "waterTemperature": [value(5, 25, "CEL", "Bottom"), value(5, 25, "CEL", "Surface")],
        "servesDataset": {"type": "Relationship", "object": f"urn:bench:Dataset:{number % 7}"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": place(number)}},
    }  # fmt: skip


def place(number: int) -> list[float]:
    """Where entity `number` lies: a grid of 400 columns, some 110 m wide, around 39° N."""
    return [round(-9.0 + number % 400 / 800, 6), round(39.0 + number // 400 % 1000 / 800, 6)]


def http(town: Town, verb: str, path: str, body: object = None) -> bytes:
    """A request as bytes."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{verb} /{town.slug}/ngsi-ld/v1/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {town.token}\r\n"
    return (head + (f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n" if verb not in {"GET", "DELETE"} else "") + "\r\n").encode() + data


def plain(verb: str, path: str, body: object = None) -> bytes:
    """A request to the bare server as bytes."""
    data = b"" if body is None else json.dumps(body).encode()
    return f"{verb} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


@dataclass(frozen=True)
class Measured:
    """How a load went; milliseconds."""

    count: int
    seconds: float
    times_ms: Sequence[float]
    statuses: dict[int, int]
    answers: dict[int, bytes]
    started: float = 0.0  # by the clock that all processes of a machine share

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.count / self.seconds

    def percentile(self, part: float) -> float:
        """The time that `part` of the requests did not pass."""
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))]

    def only(self, *statuses: int) -> bool:
        """Whether every answer had one of these."""
        return set(self.statuses) <= set(statuses)

    def body(self, number: int) -> Any:
        """The answer to request `number`, one of those that were kept."""
        return json.loads(self.answers[number].partition(b"\r\n\r\n")[2])

    def header(self, number: int, name: str) -> str:
        """A header of it, "" where it has none."""
        head = self.answers[number].partition(b"\r\n\r\n")[0].decode().lower()
        return next((line.partition(":")[2].strip() for line in head.split("\r\n") if line.startswith(f"{name}:")), "")

    @property
    def said(self) -> dict[str, Any]:
        """For the report."""
        return {
            "p50_ms": round(self.percentile(0.5), 2),
            "p95_ms": round(self.percentile(0.95), 2),
            "p99_ms": round(self.percentile(0.99), 2),
            "requests": self.count,
        }


def on_core(number: int) -> list[str]:
    """What to put before a command that is to run on one core."""
    return ["taskset", "-c", str(number % (os.cpu_count() or 1))]


def load_process() -> subprocess.Popen[bytes]:
    """A process of `_load.py` on the other core."""
    return subprocess.Popen(
        [*on_core(LOAD_CORE), sys.executable, str(HERE / "_load.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip


def load(
    port: int | list[int], requests: Sequence[bytes], connections: int = 10, rate: float = 0, keep: Sequence[int] = (), *, together: bool = False
) -> Measured:  # fmt: skip
    """Send requests from the other core."""
    job = {"port": port, "requests": list(requests), "connections": connections, "rate": rate, "keep": keep, "together": together}
    with load_process() as process:
        try:
            answer, _ = process.communicate(pickle.dumps(job))
        except BaseException:
            process.kill()
            raise
    found = pickle.loads(answer)
    return Measured(len(requests), found["seconds"], [one * 1000 for one in found["times"]], found["statuses"], found["answers"], found["started"])


@contextmanager
def pouring(port: int, requests: Sequence[bytes], connections: int) -> Iterator[None]:
    """Send requests from the other core for as long as the block lasts, whatever the answers are."""
    job = pickle.dumps({"port": port, "requests": list(requests), "connections": connections})
    with load_process() as process:
        assert process.stdin is not None
        try:
            process.stdin.write(job)
            process.stdin.close()
            yield
        finally:
            process.kill()


@contextmanager
def pinned(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process on the core of the servers."""
    process = subprocess.Popen(
        [*on_core(SERVER_CORE), *command], env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("BENCH_LOUD") else subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is not None:
            sys.stderr.write(f"{' '.join(command)}: ended by itself with {process.returncode}\n")
        process.terminate()
        process.wait(20)


@contextmanager
def server(*arguments: str, **environment: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Uvicorn with an application, on the core of the servers, once it answers. (port, process)"""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", *arguments, "--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning"]
    with pinned(*command, **environment) as process:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield port, process


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)
