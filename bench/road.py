"""The whole road: rows taken in a second, the time from a message to the map, home, memory, start."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

type Figures = dict[str, dict[str, Any]]
type Part = Callable[[bool], tuple[Figures, bool, list[str]]]

HERE = Path(__file__).resolve().parent
ROWS, QUICK_ROWS = 1_000_000, 300_000
RUNS = 3


def ingest(quick: bool) -> tuple[Figures, bool, list[str]]:
    """`ingest_rows_per_s`: a CSV of 8 columns through validation into state and history, our process on one core.

    `ingest_enforced_rows_per_s` is the same once, under a data model whose bounds each row has to keep.
    """
    rows, runs = (QUICK_ROWS, 1) if quick else (ROWS, RUNS)
    done = subprocess.run([sys.executable, str(HERE / "_ingest.py"), "--rows", str(rows), "--runs", str(runs)], stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    value = statistics.median(result["rates"])
    figure = {
        "value": round(value, 1), "unit": "rows/s", "goal": ">= 15000 and >= 0.06 of limit", "limit": round(result["limit"], 1),
        "ratio_to_limit": round(value / result["limit"], 4), "spread": [round(rate, 1) for rate in result["rates"]], "rows": rows, "columns": 8,
        "cpu_us_per_row": result["cpu_us_per_row"], "server_cpu_us_per_row": result["server_cpu_us_per_row"],
    }  # fmt: skip
    held = {"value": round(result["enforced"], 1), "unit": "rows/s", "ratio_to_limit": round(result["enforced"] / result["limit"], 4), "rows": rows}
    return (
        {"ingest_rows_per_s": figure, "ingest_enforced_rows_per_s": held},
        bool(result["correct"]),
        [f"ingest: {rows} rows once, not {ROWS} three times"] if quick else [],
    )


def board(quick: bool) -> tuple[Figures, bool, list[str]]:
    """Start, home, map and memory of running platforms, measured from outside."""
    short = ["--loads", "12", "--seconds", "8", "--idle", "10"] if quick else []
    done = subprocess.run([sys.executable, str(HERE / "_board.py"), *short], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    goals = {
        "post_to_map_p95_ms": ("ms", "<= 1000"), "home_p95_ms": ("ms", "<= 150"), "home_complete_ms": ("ms", "<= 1500"),
        "idle_memory_mb": ("MB", "<= 900"), "ready_s": ("s", "<= 15"), "ready_demo_s": ("s", "<= 60"),
    }  # fmt: skip
    figures: Figures = {name: {"value": round(found[name], 1), "unit": unit, "goal": goal} for name, (unit, goal) in goals.items() if found[name] is not None}
    figures |= {"home_painted_ms": {"value": round(found["home_painted_ms"], 1), "unit": "ms"}}  # by software: no graphics card here
    figures |= {
        "post_to_client_p95_ms": {"value": round(found["post_to_client_p95_ms"], 1), "unit": "ms"}
    }  # the platform's part, without five maps drawn by software
    figures |= {"readings_seen": {"value": found["readings_seen"], "unit": "readings", "goal": f"= {found['expected']}"}}
    said = ["post_to_map: until the value is in the source that the map draws from, not until the frame is painted"]
    return figures, found["readings_seen"] > 0, [*said, "12 loads, 8 s of readings, memory after 10 s"] if quick else said


#: each part answers with its figures, whether its answers were right, and what a quick run left out
PARTS: tuple[Part, ...] = (ingest, board)


def main(quick: bool) -> dict[str, Any]:
    """Every figure of the road; `correct` only when every part's answers were compared and right."""
    figures: Figures = {}
    correct, left_out = True, []
    for part in PARTS:
        found, right, missing = part(quick)
        figures |= found
        correct = correct and right
        left_out += missing
    return {"correct": correct, "figures": figures, "left_out": left_out}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main("--quick" in sys.argv)) + "\n")
