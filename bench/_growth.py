"""Growth: the same requests over ten thousand, a hundred thousand and a million entities of one tenant, and their plot as SVG."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import _town
import psycopg
from _readings import CODES, declare, fill, owner, quoted, uri
from _town import Measured, Town, http, load

from malha.foundation.database import service as database

if TYPE_CHECKING:
    from _broker import Bench

SIZES = (10_000, 100_000, 1_000_000)
#: requests of each kind and size, so many times
REQUESTS, ROUNDS = 400, 3
PLOT = _town.HERE.parent / "docs" / "broker-growth.svg"
COLOURS = ("#0b6e4f", "#b5450b", "#1f4e9e", "#7a2a86", "#7a5c00", "#444444")
WORDS = {
    "retrieve": "um pelo id", "update": "mudar um atributo", "q": "tipo e q filtrável, um achado", "q_many": "o mesmo, achados a crescer",
    "near": "perto de um ponto",
}  # fmt: skip


def asked(town: Town, stored: int, turn: int = 0) -> dict[str, tuple[list[bytes], int]]:
    """By name the requests of one size, each with a partner all over what is stored, and the status that is right. Each `turn` changes to other values."""
    chance = random.Random(stored)
    numbers = [chance.randrange(stored) for _ in range(REQUESTS)]
    near = "entities?type=Reading&georel=near;maxDistance==300&geometry=Point&coordinates=[{},{}]&limit=20"
    return {
        "retrieve": ([http(town, "GET", f"entities/{uri(n)}") for n in numbers], 200),
        "update": ([http(town, "PATCH", f"entities/{uri(n)}/attrs/pm10", {"value": 1000 * (turn + 1) + at}) for at, n in enumerate(numbers)], 204),
        "q": ([http(town, "GET", quoted(f'entities?type=Reading&q=name=="Estação {n}"&limit=20')) for n in numbers], 200),
        "q_many": ([http(town, "GET", quoted(f'entities?type=Reading&q=code=="C{n % CODES:03}"&limit=20')) for n in numbers], 200),
        "near": ([http(town, "GET", quoted(near.format(*_town.place(n)))) for n in numbers], 200),
    }  # fmt: skip


def checkpoint() -> None:
    """Have what a load wrote on the disk, so that who reads next does not write it."""
    here = database.endpoint()
    with psycopg.connect(host=here.host, port=here.port, user="postgres", password=here.passwords["postgres"], dbname="postgres", autocommit=True) as conn:
        conn.execute("CHECKPOINT")


def growth(bench: Bench, make_town: Callable[[str], Town]) -> tuple[dict[str, Any], bool]:
    """`growth_factor`: the 95th percentile over a million entities over that over ten thousand, the worst of five kinds of request.

    One `q` finds one entity at every size; the other finds 20, 200 and 2,000, of which a page of 20 is wanted. The plane is warm and every table
    vacuumed and written to the disk before each size. A percentile of a moment tells of the machine too: each is the median of three rounds.
    """
    town, before, right = make_town("crescente"), 0, True
    found: dict[str, list[float]] = {name: [] for name in WORDS}
    for size in SIZES:
        begun = time.perf_counter()
        fill(town.id, size - before, first=before)
        if not before:
            declare(town.id, "name", "code")
        before = size
        with owner() as conn:
            conn.autocommit = True
            conn.execute("VACUUM (ANALYZE, SKIP_LOCKED)")  # of all that the load wrote: else the server does it by itself while the last size is measured
        checkpoint()
        sys.stderr.write(f"{size} entities after {time.perf_counter() - begun:.0f} s\n")
        rounds: dict[str, list[Measured]] = {name: [] for name in WORDS}
        for turn in range(ROUNDS + 1):
            for name, (requests, status) in asked(town, size, turn).items():
                measured = load(bench.port, requests if turn else requests[:50], connections=1, keep=[0])
                right = right and measured.only(status) and (status == 204 or len(measured.body(0)) > 0)
                rounds[name] += [measured] if turn else []
        for name, each in rounds.items():
            found[name].append(_town.median([one.percentile(0.95) for one in each]))
    ms = {name: [round(one, 2) for one in each] for name, each in found.items()}
    PLOT.write_text(plot(SIZES, ms), encoding="utf-8")
    factors = {f"{name}_factor": round(each[-1] / each[0], 2) for name, each in ms.items()}
    figure = {"value": max(factors.values()), "unit": "x", "goal": "<= 1.5", **factors, "p95_ms": ms, "entities": list(SIZES), "requests": [REQUESTS] * ROUNDS}
    return {"growth_factor": figure}, right


def plot(
    sizes: Sequence[int],
    ms: Mapping[str, Sequence[float]],
    words: Mapping[str, str] = WORDS,
    *,
    what: str = "entidades",
    title: str = "Percentil 95 do tempo de resposta com cada vez mais entidades",
) -> str:
    """Milliseconds over how much there is, both on a scale of powers of ten, as SVG that reads on light and dark ground."""
    import math

    left, top, width, height, whole = 70, 20, 440, 240, 760
    low, high = (math.floor(math.log10(min(map(min, ms.values())))), math.ceil(math.log10(max(map(max, ms.values())))))
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])

    def at(size: float, value: float) -> tuple[float, float]:
        return left + (math.log10(size) - first) / (last - first) * width, top + height - (math.log10(value) - low) / (high - low) * height

    parts = [f'<rect width="{whole}" height="{top + height + 50}" fill="#fff"/>']
    for power in range(low, high + 1):
        y = at(sizes[0], 10**power)[1]
        parts.append(f'<path d="M{left} {y:.1f}H{left + width}" stroke="#ccc"/><text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{10**power:g} ms</text>')
    for size in sizes:
        x = at(size, 10**low)[0]
        count = f"{size:,}".replace(",", " ")
        parts.append(f'<text x="{x:.1f}" y="{top + height + 20}" text-anchor="middle">{count}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">{what}</text>')
    ends = [at(sizes[-1], values[-1])[1] for values in ms.values()]
    beside = dict(zip(sorted(range(len(ends)), key=ends.__getitem__), _apart(sorted(ends)), strict=True))
    for number, ((name, values), colour) in enumerate(zip(ms.items(), COLOURS[: len(ms)], strict=True)):
        points = [at(size, value) for size, value in zip(sizes, values, strict=True)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        factor = f"{values[-1] / values[0]:.2f}".replace(".", ",")
        parts.append(f'<text x="{points[-1][0] + 10:.1f}" y="{beside[number] + 4:.1f}" fill="{colour}">{words[name]} ({factor}×)</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {top + height + 50}" font-family="sans-serif" font-size="12" role="img">'
    return "\n".join([head, f"<title>{title}</title>", *parts, "</svg>"]) + "\n"


def _apart(heights: Sequence[float], least: float = 14.0) -> list[float]:
    """The heights of words, from the top down, none written over another."""
    found: list[float] = []
    for height in heights:
        found.append(max(height, found[-1] + least) if found else height)
    return found
