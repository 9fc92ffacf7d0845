"""Notifications and neighbours: the parts of `bench/broker.py` where others wait."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import _town
import psutil
from _town import Town, http, load

if TYPE_CHECKING:
    from _broker import Bench

SUBSCRIPTIONS, PER_SECOND = 1_000, 200
RECEIVERS = _town.HERE.parent / "src" / "malha" / "context" / "subscriptions" / "tests" / "receivers.py"
WORKER = "import threading, django; django.setup(); from malha.project import composition; composition.notify(threading.Event())"
QUIET = 74


class Receivers:
    """A receiver in a process of its own, on the core of the load."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(RECEIVERS), "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        psutil.Process(self.process.pid).cpu_affinity([_town.LOAD_CORE])
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{json.loads(self.process.stdout.readline())[0]}/good"

    def report(self) -> list[list[Any]]:
        """What came since the last report."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("report\n")
        self.process.stdin.flush()
        got: list[list[Any]] = json.loads(self.process.stdout.readline())["got"]
        return got


def storm(bench: Bench, make_town: Callable[[str], Town]) -> tuple[dict[str, Any], bool]:
    """`notification_p99_ms`: a thousand subscriptions, 200 updates a second; from when an update is due until its receiver has the notification."""
    from malha.context.subscriptions import service as subscriptions
    from malha.foundation.database import service as database
    from malha.vocabulary.contexts import service as contexts

    town, receivers, count = make_town("avisada"), Receivers(), PER_SECOND * (5 if bench.quick else 60)
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        for n in range(SUBSCRIPTIONS):
            said = {"type": "Subscription", "entities": [{"type": "Bin", "id": f"urn:bench:Bin:{n}"}], "notification": {"endpoint": {"uri": receivers.url}}}
            subscriptions.create(conn, town.id, f"client:{town.client}", said, contexts.CORE)
    load(
        bench.port,
        [http(town, "POST", "entityOperations/upsert", [{"id": f"urn:bench:Bin:{n}", "type": "Bin", "level": 0} for n in range(SUBSCRIPTIONS)])],
        connections=1,
    )
    sent = [http(town, "PATCH", f"entities/urn:bench:Bin:{n % SUBSCRIPTIONS}/attrs/level", {"value": n + 1}) for n in range(count)]
    with _town.pinned(sys.executable, "-c", WORKER) as worker:
        time.sleep(3)
        got = wait_for(receivers, SUBSCRIPTIONS)
        process = psutil.Process(worker.pid)
        cpu, plane = process.cpu_times(), bench.plane.cpu_times()  # type: ignore[attr-defined]
        measured = load(bench.port, sent, connections=20, rate=PER_SECOND)
        got = wait_for(receivers, count)
        after, plane_after = process.cpu_times(), bench.plane.cpu_times()  # type: ignore[attr-defined]
        memory = process.memory_info().rss / 1e6
    arrived = {int(value) - 1: at for at, _, _, value in got}
    # the load began when its first request was due; the clocks of all processes of a machine are one
    start = measured.started
    times = sorted((arrived[n] - (start + n / PER_SECOND)) * 1000 for n in arrived)
    right = measured.only(204) and len(got) == count and len(arrived) == count
    figure = {
        "value": round(times[int(len(times) * 0.99)], 1) if times else None, "unit": "ms", "goal": "<= 250, none lost", "p50_ms": round(times[len(times) // 2], 1), "p95_ms": round(times[int(len(times) * 0.95)], 1),
        "updates": count, "received": len(arrived), "repeated": len(got) - len(arrived), "update_p99_ms": round(measured.percentile(0.99), 1), "dispatcher_memory_mb": round(memory, 1),
        "dispatcher_cpu_ms": round((after.user + after.system - cpu.user - cpu.system) * 1000 / count, 2),
        "plane_cpu_ms": round((plane_after.user + plane_after.system - plane.user - plane.system) * 1000 / count, 2),
    }  # fmt: skip
    receivers.process.stdin.close()  # type: ignore[union-attr]
    return {"notification_p99_ms": figure}, right


def wait_for(receivers: Receivers, count: int, seconds: float = 60) -> list[list[Any]]:
    """What comes until `count` have, and a little longer."""
    got: list[list[Any]] = []
    end = time.monotonic() + seconds
    while len(got) < count and time.monotonic() < end:
        time.sleep(0.2)
        got += receivers.report()
    time.sleep(0.3)
    return got + receivers.report()


def newcomers(bench: Bench, founder: Town) -> tuple[dict[str, Any], bool]:
    """`tenant_by_first_write_ms`: the first entity of towns that were not there before, whole until it is answered; then it can be read."""
    count, uri = 20 if bench.quick else 100, f"urn:bench:{_town.TYPE}:0"

    def named(town: str, verb: str, path: str, body: object = None) -> bytes:
        head = f"NGSILD-Tenant: {founder.slug}-{town}\r\nAuthorization:"
        return http(founder, verb, path, body).replace(f" /{founder.slug}/ngsi-ld".encode(), b" /ngsi-ld", 1).replace(b"Authorization:", head.encode(), 1)

    load(bench.port, [named("first", "POST", "entities", _town.entity(0))], connections=1)
    made = load(bench.port, [named(f"{n}", "POST", "entities", _town.entity(0)) for n in range(count)], connections=1)
    read = load(bench.port, [named(f"{n}", "GET", f"entities/{uri}") for n in range(count)], connections=1)
    figure = {"value": round(made.percentile(0.95), 1), "unit": "ms", "goal": "<= 1000", **made.said}
    return {"tenant_by_first_write_ms": figure}, made.only(201) and read.only(200)


def neighbours(bench: Bench, make_town: Callable[[str], Town]) -> tuple[dict[str, Any], bool]:
    """`noisy_neighbour_factor`: p95 of 74 quiet tenants while one floods, over their p95 without it; and what the one may have when nobody else asks."""
    towns = [make_town(f"quieta-{n:02}") for n in range(QUIET)]
    load(bench.port, [http(town, "POST", "entities", _town.entity(0)) for town in towns], connections=2)
    seconds = 5 if bench.quick else 30
    quiet = [http(towns[n % QUIET], "GET", f"entities/urn:bench:{_town.TYPE}:0") for n in range(100 * seconds)]
    flood = [http(bench.town, "GET", "entities?type=Reading&q=pm10%3E50&limit=100") for _ in range(5_000)]
    load(bench.port, quiet[: 2 * QUIET], connections=20)
    alone = load(bench.port, quiet[: len(quiet) * 3 // 4], connections=20, rate=100)
    time.sleep(1.2)  # nobody asks any more
    heavy = load(bench.port, flood[: 50 if bench.quick else 500], connections=50)
    with _town.pouring(bench.port, flood, connections=50):
        time.sleep(1)
        beside = load(bench.port, quiet, connections=20, rate=100)
    factor = beside.percentile(0.95) / alone.percentile(0.95)
    figure = {
        "value": round(factor, 2), "unit": "x", "goal": "<= 1.5", "quiet_p95_ms": round(alone.percentile(0.95), 1), "flooded_p95_ms": round(beside.percentile(0.95), 1),
        "quiet_p50_ms": round(alone.percentile(0.5), 1), "flooded_p50_ms": round(beside.percentile(0.5), 1), "heavy_alone_per_s": round(heavy.per_s, 1), "tenants": QUIET + 1, "seconds": seconds,
    }  # fmt: skip
    return {"noisy_neighbour_factor": figure}, alone.only(200) and beside.only(200) and heavy.only(200)
