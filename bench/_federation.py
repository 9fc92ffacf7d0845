"""Twenty-five municipalities asked at once: the part of `bench/broker.py` where each node is a plane process with a database of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _town
import httpx
from _town import Measured

if TYPE_CHECKING:
    from _broker import Bench

    from malha.project.nodes import Node

NODES, QUICK_NODES, EACH = 25, 5, 200
#: a copy of the migrated database before anything is in it: every node begins with it
BLANK = "bench_blank"
#: seconds that the slow node takes for each answer, and entities of each node that answer the question
SLOW_SECONDS, ANSWERING = 0.15, 4
QUESTION = f"entities?type=Level&q=level%3C{ANSWERING}&limit=1000"


def federation(bench: Bench) -> tuple[dict[str, Any], bool]:
    """`federation_extra_ms`: how much later a question over all nodes is answered than the slowest of them, asked at the same moment by a bare client.

    Also with one node that takes 150 ms for everything (`slow_extra_ms`: over that node asked alone), and with one that was killed.
    """
    from malha.project.nodes import nodes

    count, rounds = (QUICK_NODES, 40) if bench.quick else (NODES, 200)
    names = ["centro", *(f"no{n:02}" for n in range(count)), "lento"]
    with (
        tempfile.TemporaryDirectory(prefix="malha-nodes-") as folder,
        nodes(Path(folder), names, delays={"lento": SLOW_SECONDS}, like=BLANK, kept=True) as made,
    ):
        centre, slow, equal = made[0], made[-1], made[1:-1]
        for number, node in enumerate([*equal, slow]):
            _fill(node, number)
        for node in equal:
            _register(centre, node)
        right = _whole(centre, equal)
        together, bare = _asked(centre, rounds), _at_once(equal, rounds)
        slowly = min(rounds, 6) if bench.quick else rounds
        _register(centre, slow)
        right = right and _whole(centre, [*equal, slow])
        with_slow, slow_alone = _asked(centre, slowly), _asked(slow, slowly)
        equal[0].kill()
        right = _lost(centre, [*equal[1:], slow]) and right
    figure = {
        "value": round(together[0.95] - bare[0.95], 1), "unit": "ms", "goal": "<= 50", "federated_p95_ms": together[0.95], "federated_p50_ms": together[0.5],
        "slowest_at_once_p95_ms": bare[0.95], "slow_extra_ms": round(with_slow[0.95] - slow_alone[0.95], 1), "with_slow_p95_ms": with_slow[0.95], "with_slow_p50_ms": with_slow[0.5],
        "slow_alone_p95_ms": slow_alone[0.95], "nodes": count, "entities": ANSWERING * count, "requests": rounds,
    }  # fmt: skip
    return {"federation_extra_ms": figure}, right


def keep_blank() -> None:
    """Keep a copy of this installation's database, migrated and empty. Nobody may be connected to it."""
    import psycopg
    from django.db import connections

    from malha.foundation.database import service as database

    connections.close_all()
    here = database.endpoint()
    with psycopg.connect(host=here.host, port=here.port, user="postgres", password=here.passwords["postgres"], dbname="postgres", autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {BLANK} OWNER malha_owner TEMPLATE {here.database}")


def _client(node: Node) -> httpx.Client:
    return httpx.Client(base_url=f"{node.api}/", headers={"Authorization": f"Bearer {node.token}", "Accept": "application/json"}, timeout=60)


def _fill(node: Node, number: int) -> None:
    said = [{"id": f"urn:bench:Level:{number}-{n}", "type": "Level", "level": n, "node": node.name} for n in range(EACH)]
    with _client(node) as http:
        answer = http.post("entityOperations/upsert?local=true", json=said)
        assert answer.status_code == 201, answer.text[:500]


def _register(centre: Node, node: Node) -> None:
    said = {
        "type": "ContextSourceRegistration", "endpoint": node.api, "information": [{"entities": [{"type": "Level"}]}], "operations": ["federationOps"],
        "contextSourceInfo": [{"key": "Authorization", "value": f"Bearer {node.token}"}],
    }  # fmt: skip
    with _client(centre) as http:
        answer = http.post("csourceRegistrations", json=said)
        assert answer.status_code == 201, answer.text[:500]


def _found(centre: Node) -> tuple[dict[str, int], list[str]]:
    """How many entities of each node an answer holds, and the codes of its warnings."""
    with _client(centre) as http:
        answer = http.get(QUESTION)
    count: dict[str, int] = {}
    for one in answer.json():
        count[one["node"]["value"]] = count.get(one["node"]["value"], 0) + 1
    return count, [value.strip()[:3] for value in answer.headers.get_list("ngsild-warning")]


def _whole(centre: Node, told: Sequence[Node]) -> bool:
    return _found(centre) == ({node.name: ANSWERING for node in told}, [])


def _lost(centre: Node, told: Sequence[Node]) -> bool:
    """Whether an answer has all but the killed node, and says so; its connection may be noticed a moment later."""
    end = time.monotonic() + 20
    while (found := _found(centre)) != ({node.name: ANSWERING for node in told}, ["199"]):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return bool(found)


def _request(node: Node) -> bytes:
    path = node.api.partition("//")[2].partition("/")[2]
    return f"GET /{path}/{QUESTION} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nAuthorization: Bearer {node.token}\r\n\r\n".encode()


def _asked(node: Node, rounds: int) -> dict[float, float]:
    """Percentiles of one question after the other."""
    _town.load(int(node.url.rpartition(":")[2]), [_request(node)] * 5, connections=1)  # connections are made, plans prepared
    measured = _town.load(int(node.url.rpartition(":")[2]), [_request(node)] * rounds, connections=1)
    assert measured.only(200), measured.statuses
    return _percentiles(measured.times_ms)


def _at_once(told: Sequence[Node], rounds: int) -> dict[float, float]:
    """Percentiles of the slowest answer when all nodes are asked at the same moment, again and again."""
    measured: Measured = _town.load(
        [int(node.url.rpartition(":")[2]) for node in told], [_request(node) for node in told] * rounds, connections=len(told), together=True
    )
    assert measured.only(200), measured.statuses
    return _percentiles([max(measured.times_ms[at : at + len(told)]) for at in range(0, len(measured.times_ms), len(told))])


def _percentiles(times: Sequence[float]) -> dict[float, float]:
    ordered = sorted(times)
    return {part: round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 1) for part in (0.5, 0.95)}
