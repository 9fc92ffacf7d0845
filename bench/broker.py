"""The broker: retrieve, create, update, batches, questions, notifications, each beside its limit in the same run.

A full run takes half an hour. `BENCH_PARTS=growth,federation` measures only these parts of it (`retrieve`, `create`, `update`, `batch`,
`questions`, `storm`, `neighbours`, `federation`, `newcomers`, `peers`, `growth`), `BENCH_REQUESTS=3000` asks less often where there are 10,000 requests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PLACE = "server and dispatcher on core 0, load and receivers on core 1, PostgreSQL unpinned on the same machine"


def main(quick: bool) -> dict[str, Any]:
    """Every figure; `correct` when every answer was the one that an independent look gives."""
    parts = [part for part in os.environ.get("BENCH_PARTS", "").split(",") if part]
    command = [sys.executable, str(HERE / "_broker.py"), *(["--quick"] if quick else []), *parts]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    limits = {
        "all": "the limit is asked in turn with ours, by new connections each time; 300 requests (of the others 50) make connections and statements of both ready before anything is timed",
        "retrieve": "Starlette and psycopg, one autocommit SELECT as the owner of the table, no token, no row-level security",
        "create, update": "the same server; one function that writes entity, history and event in one transaction",
        "federation": "the slowest of all nodes that a bare client asks at the same moment; their plane processes share both cores, each with its own database",
        "batch": "COPY into a staging table and three statements on one connection: entities, history, event; three rounds in turn, or five, after one that makes ready",
    }
    left_out = [f"all parts but {', '.join(parts)}"] if parts else list[str]()
    if quick:
        left_out += [
            "growth from 10,000 to 1,000,000 entities and its plot",
            "other servers beside ours",
            "twenty of the 25 nodes of the federation",
            "10,000 requests of each in three rounds (500 in three, of one entity read in seven)",
            "50 clients",
            "a minute of updates (five seconds)",
            "30 s of the noisy neighbour (5 s)",
        ]
    left_out += [f"{part}: no time was left" for part in found["out_of_time"]]
    return {"correct": found["correct"], "figures": found["figures"], "place": PLACE, "limits": limits, "left_out": left_out}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main("--quick" in sys.argv)) + "\n")
