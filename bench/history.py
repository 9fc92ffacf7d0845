"""History: years of 1,000 sensors loaded, compacted and asked, beside raw DuckDB on one sorted Parquet file.

`BENCH_PARTS=compaction` measures only how hot rows reach the lake, of one tenant and of many.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FULL, QUICK = 100_000_000, 10_000_000
GOALS = {
    "worst_ratio_to_duckdb": ("x", "<= 1.3"), "sensor_year_ms": ("ms", "<= 30"), "city_month_ms": ("ms", "<= 300"), "city_month_raw_ms": ("ms", "<= 2000"),
    "last_values_ms": ("ms", "<= 50"), "entity_10k_ms": ("ms", "<= 20"), "bytes_per_observation": ("B", "<= 6"),
    "compaction_rows_per_s": ("rows/s", ">= 0.6 of limit"), "bulk_validated_per_s": ("observations/s", ">= 500000"), "bulk_arrow_per_s": ("rows/s", ">= 0.5 of limit"),
}  # fmt: skip


def main(quick: bool) -> dict[str, Any]:
    """Every figure; `correct` when every answer is the one of raw DuckDB."""
    command = [
        sys.executable,
        str(HERE / "_history.py"),
        "--rows",
        str(QUICK if quick else FULL),
        "--runs",
        "3" if quick else "5",
        "--hot-rows",
        str(500_000 if quick else 2_000_000),
        "--tenants",
        str(40 if quick else 308),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    figures: dict[str, Any] = {}
    for name, more in found["figures"].items():
        unit, goal = GOALS.get(name, (more.pop("unit", "ms"), ""))
        figures[name] = {"unit": unit, **({"goal": goal} if goal else {}), **more}
    left_out = [
        *found["left_out"],
        *(["100 million rows, and the growth between; half a million rows to compact, not two million; 40 tenants, not 308"] if quick else []),
    ]
    return {"correct": found["correct"], "figures": figures, "rows": found["rows"], "load_average": found["load_average"], "left_out": left_out}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main("--quick" in sys.argv)) + "\n")
