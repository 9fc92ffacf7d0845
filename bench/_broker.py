"""The parts of `bench/broker.py`: retrieve, create, update, batch, questions; on a database of their own. Prints one JSON object."""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _bare
import _broker_peers
import _federation
import _growth
import _storm
import _town
import psutil
from _readings import CODES, declare, fill, level, other, owner, quoted, uri
from _tenants import make_founder, make_quiet_town, make_town, renewed
from _town import TYPE, Measured, Town, http, load, plain

type Asked = tuple[str, Callable[[int], bool]]
type Found = tuple[dict[str, Any], bool]
STORED = 100_000
THINGS = 1_000
#: seconds after which `--quick` stops measuring, wherever it is, and says what it left out: it ends within two minutes on a busy machine too
QUICK_SECONDS = 113
#: of PostgreSQL: each of the nodes keeps up to sixteen
CONNECTIONS = 500
#: the type of what the bare handlers write: of no entity that anybody asks for
BARE_TYPE = 1_000_000
#: the kind of question whose pattern the database has to decide for most texts by itself
ANY_PATTERN = "any pattern"
#: the attribute that partial updates change
CHANGED = "dissolvedOxygen"


class Bench:
    """Servers that run, and how much is asked of them."""

    def __init__(self, quick: bool, town: Town, port: int, bare: int) -> None:
        self.quick, self.town, self.port, self.bare = quick, town, port, bare
        self.runs = 3
        self.requests = int(os.environ.get("BENCH_REQUESTS", "500" if quick else "10000"))

    def pairs(self, name: str, goal: str, ours: Callable[[int], Measured], limit: Callable[[int], Measured], *statuses: int, runs: int = 0) -> Found:
        """Ours and the limit one after the other, as often as there are `runs`; medians, and that of their ratios: what the machine does changes from second to second, for both."""
        found = [(ours(run), limit(run)) for run in range(runs or self.runs)]
        mine, most = _town.median([one.per_s for one, _ in found]), _town.median([other.per_s for _, other in found])
        ratios = [one.per_s / other.per_s for one, other in found]
        figure = {"value": round(mine, 1), "unit": "1/s", "goal": goal, "limit": round(most, 1), "ratio_to_limit": round(_town.median(ratios), 3)}
        figure |= {"spread": [round(one.per_s, 1) for one, _ in found], "ratios": [round(one, 2) for one in ratios], **found[-1][0].said}
        return {name: figure}, all(one.only(*statuses) and other.only(200, 201, 204) for one, other in found)


def retrieve(bench: Bench) -> Found:
    """`retrieve_per_s`: one entity by its id, of a hundred thousand. With `quick` many short rounds: each says what the machine did in that moment."""
    chance = random.Random(1)
    numbers = [chance.randrange(STORED) for _ in range(bench.requests)]
    load(bench.port, [http(bench.town, "GET", f"entities/{uri(n)}") for n in numbers[:300]])
    load(bench.bare, [plain("GET", f"/entities/{uri(n)}") for n in numbers[:300]])

    def ours(_run: int) -> Measured:
        measured = load(bench.port, [http(bench.town, "GET", f"entities/{uri(n)}") for n in numbers], keep=[0, 1])
        for at in (0, 1):
            said = measured.body(at)
            assert said["id"] == uri(numbers[at]), said
            assert said["pm10"]["value"] == level(numbers[at]), said
        return measured

    return bench.pairs(
        "retrieve_per_s", ">= 0.7 of limit", ours, lambda _: load(bench.bare, [plain("GET", f"/entities/{uri(n)}") for n in numbers]), 200,
        runs=7 if bench.quick else 3,
    )  # fmt: skip


def create(bench: Bench) -> Found:
    """`create_per_s`: single creates from ten clients, against one function that writes the same rows."""
    numbers = Numbers()
    load(bench.port, [http(bench.town, "POST", "entities", _town.entity(900_000_000 + n)) for n in range(50)])
    load(bench.bare, [plain("POST", "/entities", numbers.columns(_town.entity(800_000_000 + n))) for n in range(50)])

    def ours(run: int) -> Measured:
        first = run * bench.requests
        return load(bench.port, [http(bench.town, "POST", "entities", _town.entity(first + n)) for n in range(bench.requests)])

    def limit(run: int) -> Measured:
        first = 10_000_000 + run * bench.requests
        return load(bench.bare, [plain("POST", "/entities", numbers.columns(_town.entity(first + n))) for n in range(bench.requests)])

    figures, correct = bench.pairs("create_per_s", ">= 0.5 of limit", ours, limit, 201)
    if not bench.quick:
        fifty = load(bench.port, [http(bench.town, "POST", "entities", _town.entity(20_000_000 + n)) for n in range(bench.requests)], connections=50)
        figures["create_per_s"]["with_50_clients"] = round(fifty.per_s, 1)
    with owner() as conn:
        count = conn.execute("SELECT count(*) FROM entity WHERE tenant_id = %s AND uri LIKE %s", [bench.town.id, f"urn:bench:{TYPE}:%"]).fetchone()[0]
        history = conn.execute(
            "SELECT count(*) FROM observation_hot h JOIN entity e ON e.tenant_id = h.tenant_id AND e.id = h.entity_id WHERE h.tenant_id = %s AND e.uri = %s",
            [bench.town.id, f"urn:bench:{TYPE}:1"],
        ).fetchone()[0]
    expected = 100 + bench.requests * (2 * bench.runs + (0 if bench.quick else 1))
    sys.stderr.write(f"{count} of {expected}, {history} rows of history\n")
    return figures, correct and count == expected and history == 10


def update(bench: Bench) -> Found:
    """`update_per_s`: partial updates of one attribute of a thousand entities, against one function that writes the same rows."""
    numbers = Numbers()
    _have_things(bench, numbers)

    def moment(n: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_780_000_000 + n))

    first = [(f"urn:bench:{TYPE}:{900_000_000 + n}", n) for n in range(50)]  # every connection has its statement ready
    load(bench.port, [http(bench.town, "PATCH", f"entities/{uri}/attrs/{CHANGED}", {"value": n, "observedAt": moment(n)}) for uri, n in first])
    load(bench.bare, [plain("PATCH", f"/entities/urn:bench:{TYPE}:{800_000_000 + n}", numbers.change(n, moment(n))) for _, n in first])

    def ours(run: int) -> Measured:
        sent = [
            http(
                bench.town,
                "PATCH",
                f"entities/urn:bench:{TYPE}:{n % THINGS}/attrs/{CHANGED}",
                {"value": n + run / 10, "observedAt": moment(run * bench.requests + n)},
            )
            for n in range(bench.requests)
        ]
        return load(bench.port, sent)

    def limit(run: int) -> Measured:
        sent = [
            plain("PATCH", f"/entities/urn:bench:{TYPE}:{10_000_000 + n % THINGS}", numbers.change(n + run / 10, moment(run * bench.requests + n)))
            for n in range(bench.requests)
        ]
        return load(bench.bare, sent)

    runs = 7 if bench.quick else bench.runs  # a round of few requests says what the disk did in that moment
    figures, correct = bench.pairs("update_per_s", ">= 0.5 of limit", ours, limit, 204, runs=runs)
    last = load(bench.port, [http(bench.town, "GET", f"entities/urn:bench:{TYPE}:7")], connections=1, keep=[0])
    wanted = max(n for n in range(bench.requests) if n % THINGS == 7) + (runs - 1) / 10
    return figures, correct and last.body(0)[CHANGED]["value"] == wanted


def _have_things(bench: Bench, numbers: Numbers) -> None:
    """Make the entities that are changed, where `create` has not."""
    if load(bench.port, [http(bench.town, "GET", f"entities/urn:bench:{TYPE}:{THINGS - 1}")], connections=1).only(200):
        return
    ours, theirs = [*range(THINGS), *range(900_000_000, 900_000_050)], [*range(10_000_000, 10_000_000 + THINGS), *range(800_000_000, 800_000_050)]
    load(bench.port, [http(bench.town, "POST", "entities", _town.entity(n)) for n in ours])
    load(bench.bare, [plain("POST", "/entities", numbers.columns(_town.entity(n))) for n in theirs])


def batch(bench: Bench) -> Found:
    """`batch_upsert_per_s`: a thousand entities at once, new and then known, against staging and three statements without NGSI-LD; the first round of both makes ready."""
    numbers, new, known, limits = Numbers(), [], [], []
    size, right, runs = 1_000, True, 4 if bench.quick else 6
    for run in range(runs):
        first = 30_000_000 + run * size
        bodies = [[_town.entity(first + n) for n in range(size)], [_town.entity(first + n) | {CHANGED: _changed(n)} for n in range(size)]]
        for times, body in zip((new, known), bodies, strict=True):
            measured = load(bench.port, [http(bench.town, "POST", "entityOperations/upsert", body)], connections=1)
            right = right and measured.only(201, 204)
            times.append(measured.seconds)
        rows = [numbers.columns(_town.entity(40_000_000 + run * size + n)) for n in range(size)]
        limits.append(staged(bench.town.id, rows))
    del new[0], known[0], limits[0]
    mine, most = size / _town.median(new), size / _town.median(limits)
    figure = {
        "value": round(mine, 1), "unit": "entities/s", "goal": ">= 0.3 of limit and <= 0.15 s", "limit": round(most, 1), "ratio_to_limit": round(_town.median([theirs / ours for ours, theirs in zip(new, limits, strict=True)]), 3),
        "seconds_new": round(_town.median(new), 3), "seconds_known": round(_town.median(known), 3), "seconds_limit": round(_town.median(limits), 3), "entities": size,
    }  # fmt: skip
    with owner() as conn:
        row = conn.execute(
            "SELECT count(*), pg_total_relation_size('entity') / (SELECT count(*) FROM entity) FROM entity WHERE uri LIKE 'urn:bench:WaterStation:300_____'"
        ).fetchone()
    return {"batch_upsert_per_s": figure, "bytes_per_entity": {"value": int(row[1]), "unit": "B"}}, right and row[0] == size * runs


def _changed(n: int) -> dict[str, Any]:
    return {"type": "Property", "value": n, "observedAt": "2026-05-01T12:00:00Z", "unitCode": "M1"}


def staged(tenant_id: int, rows: Sequence[Sequence[Any]]) -> float:
    """Seconds of `COPY` into a temporary table and three statements: entities; their history, each entity found by its key; one event."""
    with owner() as conn:
        conn.execute(
            "CREATE TEMP TABLE stage (uri text, type int, doc jsonb, place box, attrs int[], datasets int[], moments timestamptz[], nums float8[], txts text[])"
        )
        conn.commit()
        begun = time.perf_counter()
        with conn.cursor().copy("COPY stage FROM STDIN") as copy:
            for row in rows:
                copy.write_row([row[0], row[1], row[2], row[3], *(_array(part) for part in row[4:9])])
        conn.execute("INSERT INTO entity (tenant_id, uri, type_id, types, doc, bbox) SELECT %s, uri, type, ARRAY[type], doc, place FROM stage", [tenant_id])
        conn.execute(
            "INSERT INTO observation_hot (tenant_id, type_id, entity_id, attr_id, dataset_id, observed_at, kind, num, txt) "
            "SELECT %s, s.type, e.id, n.attr, n.dataset, n.at, 1, n.num, n.txt FROM stage s "
            "CROSS JOIN LATERAL (SELECT id FROM entity WHERE tenant_id = %s AND uri = s.uri LIMIT 1) AS e "  # by the index, not by a look at all there are
            "CROSS JOIN LATERAL unnest(s.attrs, s.datasets, s.moments, s.nums, s.txts) AS n (attr, dataset, at, num, txt)", [tenant_id, tenant_id],
        )  # fmt: skip
        conn.execute("INSERT INTO outbox (tenant_id, name, payload) VALUES (%s, 'bench', '{}')", [tenant_id])
        conn.commit()
        return time.perf_counter() - begun


def _array(values: Sequence[Any]) -> str:
    return "{" + ",".join("NULL" if value is None else json.dumps(value) if isinstance(value, str) else str(value) for value in values) + "}"


class Numbers:
    """Columns of entities as the bare handlers take them; attributes get any numbers."""

    def columns(self, entity: dict[str, Any]) -> list[Any]:
        """One entity: id, type, document, box, and its history by column."""
        rows: list[tuple[int, int, str, float | None, str | None]] = []
        for at, (_, said) in enumerate((name, said) for name, said in entity.items() if name not in {"id", "type"}):
            for dataset, one in enumerate(said if isinstance(said, list) else [said]):
                value = one.get("value", one.get("object"))
                number = float(value) if isinstance(value, int | float) else None
                rows.append(
                    (at + 1, dataset, "2026-04-01T12:00:00Z", number, None if number is not None else value if isinstance(value, str) else json.dumps(value))
                )
        doc = json.dumps({name: said for name, said in entity.items() if name not in {"id", "type"}})
        x, y = entity["location"]["value"]["coordinates"]
        return [
            entity["id"],
            BARE_TYPE,
            doc,
            f"({x},{y}),({x},{y})",
            *(list(part) for part in zip(*rows, strict=True)),
            json.dumps({"type": entity["type"], "count": 1}),
        ]

    def change(self, value: float, moment: str) -> list[Any]:
        """One attribute that changes."""
        change = {CHANGED: {"type": "Property", "value": value, "observedAt": moment, "unitCode": "M1"}}
        return [json.dumps(change), 5, moment, value, json.dumps({"type": TYPE, "count": 1})]


def questions(bench: Bench) -> Found:
    """`query_p95_ms` and `geo_p95_ms`: type and q, with and without count, and places, over a hundred thousand.

    The first questions of each kind are not timed: with those that count, they are what has the readings kept in memory. No two questions ask for the same.
    """
    chance, count = random.Random(5), 40 if bench.quick else 200
    tables: dict[str, list[Asked]] = {"plain": [], "filterable": [], "near": [], "within": []}
    counts = _counts(20 if bench.quick else count)
    for _ in range(count):
        low, code, far = chance.randrange(60), chance.randrange(CODES), chance.randrange(STORED)
        both = f"q=pm10>{low};no2<{low + 20}"

        def holds(n: int, low: int = low) -> bool:
            return level(n) > low and other(n) < low + 20

        tables["plain"].append((f"entities?type=Reading&{both}&limit=100", holds))
        tables["filterable"].append((f'entities?type=Reading&q=code=="C{code:03}"&limit=100&count=true', lambda n, code=code: n % CODES == code))
        x, y = _town.place(far)
        tables["near"].append(
            (
                f"entities?type=Reading&georel=near;maxDistance==1000&geometry=Point&coordinates=[{x},{y}]&limit=100",
                lambda n, at=(x, y): metres(at, _town.place(n)) <= 1000,
            )
        )
        ring = f"[[[{x},{y}],[{x + 0.012:.6f},{y}],[{x + 0.012:.6f},{y + 0.012:.6f}],[{x},{y + 0.012:.6f}],[{x},{y}]]]"
        tables["within"].append(
            (
                f"entities?type=Reading&georel=within&geometry=Polygon&coordinates={ring}&limit=100",
                lambda n, x=x, y=y: x < _town.place(n)[0] < x + 0.012 and y < _town.place(n)[1] < y + 0.012,
            )
        )
    found: dict[str, Measured] = {}
    right = True
    for name, asked in (tables | counts).items():
        requests = [http(bench.town, "GET", quoted(path)) for path, _ in asked]
        load(bench.port, requests[:5], connections=1)
        looked_at = range(2 if bench.quick else 5)
        measured = found[name] = load(bench.port, requests, connections=1, keep=looked_at)
        right = right and measured.only(200) and all(_right(measured, n, asked[n][1]) for n in looked_at)
    between = [_asked_while_written(bench, asked) for name, asked in counts.items() if name != ANY_PATTERN]
    kinds = {name: round(found[name].percentile(0.95), 1) for name in counts}
    any_pattern = kinds.pop(ANY_PATTERN)
    return {
        "query_p95_ms": {
            "value": round(found["plain"].percentile(0.95), 1), "unit": "ms", "goal": "<= 25; with count <= 80, of a filterable property <= 25", **found["plain"].said,
            "with_count_p95_ms": max(kinds.values()), "with_count_of_each_kind_p95_ms": kinds, "with_count_each_after_a_change_p95_ms": round(max(time for time, _ in between), 1),
            "with_count_any_pattern_p95_ms": any_pattern, "filterable_count_p95_ms": round(found["filterable"].percentile(0.95), 1), "entities": STORED,
        },
        "geo_p95_ms": {
            "value": round(max(found["near"].percentile(0.95), found["within"].percentile(0.95)), 1), "unit": "ms", "goal": "<= 25",
            "near_p95_ms": round(found["near"].percentile(0.95), 1), "within_p95_ms": round(found["within"].percentile(0.95), 1), "entities": STORED,
        },
    }, right and all(holding for _, holding in between)  # fmt: skip


def _counts(count: int) -> dict[str, list[Asked]]:
    """By kind of comparison questions that count, no two of a kind the same: of two readings, of a name that each has its own of, of one of some, of a pattern that no index knows."""
    found: dict[str, list[Asked]] = {name: [] for name in ("numbers", "text", "not text", "text between", "pattern", "relationship", "there", ANY_PATTERN)}
    for at in range(count):
        low, n, station = at * 7 % 60, at * 499 % STORED, at % 97
        some = f"pm10>{low};no2<{low + 20}"
        each: dict[str, tuple[str, Callable[[int], bool]]] = {
            "numbers": (some, lambda n, low=low: level(n) > low and other(n) < low + 20),
            "text": (f'name=="Estação {n}"', lambda one, n=n: one == n),
            "not text": (f'name!="Estação {n}"', lambda one, n=n: one != n),
            "text between": (f'name>="Estação {n}"', lambda one, n=n: f"{one}" >= f"{n}"),
            "pattern": (f'name~="ção {at}.*7$"', lambda one, at=at: re.search(f"^{at}.*7$", f"{one}") is not None),
            "relationship": (f'refStation=="urn:bench:Station:{station}";no2<{low + 20}', lambda n, s=station, low=low: n % 97 == s and other(n) < low + 20),
            "there": (f"name;!dissolvedOxygen;no2<{low + 20}", lambda n, low=low: other(n) < low + 20),
            ANY_PATTERN: (f'name~="ção {at}[0-8]*9$"', lambda one, at=at: re.search(f"^{at}[0-8]*9$", f"{one}") is not None),
        }  # fmt: skip
        for name, (text, holds) in each.items():
            if name != ANY_PATTERN or at < 40:
                found[name].append((f"entities?type=Reading&q={text}&limit=100&count=true", holds))
    return found


def _asked_while_written(bench: Bench, asked: Sequence[Asked]) -> tuple[float, bool]:
    """(milliseconds at the 95th percentile, whether the last is right) of counts, each after a reading was changed: its level twice, the second time to what it was."""
    requests: list[bytes] = []
    for n, (path, _) in enumerate(asked):
        body = {"value": level(n // 2) + (n + 1) % 2 * 1000, "observedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_800_000_000 + n))}
        requests += [http(bench.town, "PATCH", f"entities/{uri(n // 2)}/attrs/pm10", body), http(bench.town, "GET", quoted(path))]
    measured = load(bench.port, requests, connections=1, keep=[len(requests) - 1])
    times = sorted(measured.times_ms[1::2])
    return times[int(len(times) * 0.95)], measured.only(200, 204) and _right(measured, len(requests) - 1, asked[-1][1])


def _right(measured: Measured, number: int, holds: Callable[[int], bool]) -> bool:
    """Whether an answer holds as many as an independent look finds, none that should not be there, and their count."""
    said = {int(one["id"].rpartition(":")[2]) for one in measured.body(number)}
    total = sum(holds(n) for n in range(STORED))
    count = measured.header(number, "ngsild-results-count")
    return len(said) == min(100, total) and all(holds(n) for n in said) and count in {"", str(total)}


def metres(a: Sequence[float], b: Sequence[float]) -> float:
    """How far two places lie apart, on a sphere."""
    x, y = math.radians(b[0] - a[0]) * math.cos(math.radians((a[1] + b[1]) / 2)), math.radians(b[1] - a[1])
    return math.hypot(x, y) * 6_371_000


@contextmanager
def _database(cluster: Any) -> Iterator[None]:
    """The embedded server with room for the connections of all nodes."""
    from malha.foundation.database import service as database

    cluster.lock()
    try:
        cluster.prepare(cluster.start())
        database.endpoint.cache_clear()
        yield
    finally:
        cluster.stop()
        cluster.release()


@contextmanager
def place(quick: bool) -> Iterator[Bench]:
    """A database with a town and its readings, and both servers."""
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        Path(folder).chmod(0o755)
        os.environ |= {
            "MALHA_DATA": folder,
            "DJANGO_SETTINGS_MODULE": "malha.project.settings",
            "MALHA_INTERNAL_HOSTS": "*=127.0.0.1",
            "MALHA_TENANTS_BY_WRITE": "1000",
        }
        from malha.foundation.database import service as database
        from malha.foundation.database.contracts import Role
        from malha.foundation.database.embedded import Cluster
        from malha.project import supervisor

        with _database(Cluster(Path(folder), f"\nmax_connections = {CONNECTIONS}\n")):
            supervisor.migrate()
            _federation.keep_blank()
            town = make_town("ensaio")
            fill(town.id, STORED)
            declare(town.id, "code")
            with owner() as conn:
                conn.execute(_bare.FUNCTIONS)
                conn.commit()
                conn.autocommit = True
                conn.execute("VACUUM ANALYZE entity, entity_value")
            bare = {"BENCH_DSN": database.dsn(Role.OWNER), "BENCH_TENANT": str(town.id), "PYTHONPATH": str(_town.HERE)}
            with (
                _town.server("--factory", "malha.project.plane:application", "--http", "malha.project.entrance:Connection") as (port, process),
                _town.server("_bare:app", **bare) as (limit, _),
            ):
                bench = Bench(quick, town, port, limit)
                bench.plane = psutil.Process(process.pid)  # type: ignore[attr-defined]
                yield bench


PARTS: dict[str, Callable[[Bench], Found]] = {
    "retrieve": retrieve, "create": create, "update": update, "batch": batch, "questions": questions, "storm": lambda bench: _storm.storm(bench, make_town),
    "neighbours": lambda bench: _storm.neighbours(bench, make_quiet_town), "newcomers": lambda bench: _storm.newcomers(bench, make_founder()),
    "federation": _federation.federation, "peers": lambda bench: _broker_peers.peers(bench, make_quiet_town), "growth": lambda bench: _growth.growth(bench, make_quiet_town),
}  # fmt: skip


class OutOfTimeError(Exception):
    """`--quick` has no time for more."""


def _late(*_: object) -> None:
    raise OutOfTimeError


def main() -> None:
    """`python bench/_broker.py [--quick] [part …]`"""
    given = argparse.ArgumentParser()
    given.add_argument("--quick", action="store_true")
    given.add_argument("parts", nargs="*")
    asked = given.parse_args()
    figures: dict[str, Any] = {}
    correct = True
    wanted = [name for name in PARTS if name in asked.parts or not (asked.parts or (asked.quick and name in {"growth", "peers"}))]
    left_out: list[str] = []
    start = time.monotonic()
    with place(asked.quick) as bench:
        if asked.quick:
            signal.signal(signal.SIGALRM, _late)
            signal.alarm(max(1, QUICK_SECONDS - int(time.monotonic() - start)))
        for name in wanted:
            begun = time.perf_counter()
            bench.town = renewed(bench.town)
            try:
                found, right = PARTS[name](bench)
            except OutOfTimeError:
                left_out = wanted[wanted.index(name) :]
                break
            sys.stderr.write(f"{name}: {time.perf_counter() - begun:.1f} s, {'right' if right else 'WRONG'}: {json.dumps(found)}\n")
            figures |= found
            correct = correct and right
        signal.alarm(0)
        figures["plane_memory_mb"] = {"value": round(bench.plane.memory_info().rss / 1e6, 1), "unit": "MB"}  # type: ignore[attr-defined]
    sys.stdout.write(json.dumps({"figures": figures, "correct": correct and left_out != wanted, "out_of_time": left_out}) + "\n")


if __name__ == "__main__":
    main()
