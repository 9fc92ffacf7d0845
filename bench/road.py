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
    """`ingest_rows_per_s`: a CSV of 8 columns through validation into state and history, our process on one core."""
    rows, runs = (QUICK_ROWS, 1) if quick else (ROWS, RUNS)
    done = subprocess.run([sys.executable, str(HERE / "_ingest.py"), "--rows", str(rows), "--runs", str(runs)], stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    value = statistics.median(result["rates"])
    figure = {
        "value": round(value, 1), "unit": "rows/s", "goal": ">= 15000 and >= 0.06 of limit", "limit": round(result["limit"], 1),
        "ratio_to_limit": round(value / result["limit"], 4), "spread": [round(rate, 1) for rate in result["rates"]], "rows": rows, "columns": 8,
    }  # fmt: skip
    return {"ingest_rows_per_s": figure}, bool(result["correct"]), [f"ingest: {rows} rows once, not {ROWS} three times"] if quick else []


#: each part answers with its figures, whether its answers were right, and what a quick run left out
PARTS: tuple[Part, ...] = (ingest,)


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
