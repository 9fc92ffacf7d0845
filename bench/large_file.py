"""A CSV of 2 GB through the guided page's road: memory of each process, `kill -9` in the middle, going on by itself, the count afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _board import platform
from _ingest import MEASURES, START, STATIONS, STEP, answers, write_file

BYTES, QUICK_BYTES = 2_000_000_000, 500_000_000
BLOCK_ROWS = 500_000
PORT = 18470
SLUG = "ensaio"
PATIENCE_SECONDS = 7_200
GOAL_MB = 500
PLACES = {
    "malha.project.oneport": "web",
    "malha.project.worker": "worker",
    "malha.history.lake.compactor": "compactor",
    "malha ingest": "loader",
    "malha up": "supervisor",
}


def write_large(path: Path, size: int) -> dict[str, Any]:
    """Write at least `size` bytes: the block of `write_file` again and again, each time later. Returns what it says, summed without Malha's help."""
    said = write_file(path, BLOCK_ROWS)
    rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    header, lines = rows[0], [line.split(",", 2) for line in rows[1:]]
    blocks = max(2, -(-size // (path.stat().st_size - len(header))))
    steps = BLOCK_ROWS // STATIONS
    with path.open("w", encoding="utf-8") as out:
        out.write(header)
        for block in range(blocks):
            moments = [(START + STEP * (block * steps + n)).strftime("%Y-%m-%dT%H:%M:%SZ") for n in range(steps)]
            out.writelines(f"{station},{moments[n // STATIONS]},{rest}" for n, (station, _at, rest) in enumerate(lines))
    return {"rows": BLOCK_ROWS * blocks, "sums": [total * blocks for total in said["sums"]], "bytes": path.stat().st_size}


class Memory(threading.Thread):
    """The most that each of our processes held (PSS, megabytes), and all of them at one moment."""

    def __init__(self, supervisor: int) -> None:
        super().__init__(daemon=True)
        self.roots = [supervisor]
        self.most: dict[str, float] = {}
        self.together = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            held: dict[str, float] = {}
            for process in self._all():
                try:
                    name, size = _name(process), process.memory_full_info().pss / 1e6
                except psutil.Error:
                    continue
                held[name] = held.get(name, 0.0) + size
            for name, size in held.items():
                self.most[name] = max(self.most.get(name, 0.0), size)
            self.together = max(self.together, sum(held.values()))

    def _all(self) -> list[psutil.Process]:
        found: dict[int, psutil.Process] = {}
        for root in self.roots:
            try:
                parent = psutil.Process(root)
                found |= {one.pid: one for one in [parent, *parent.children(recursive=True)]}
            except psutil.Error:
                continue
        return list(found.values())


def _name(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    return next((name for words, name in PLACES.items() if words in line), "postgres" if "postgres" in process.name() else process.name())


def run_state(folder: Path) -> dict[str, Any]:
    """The load as the installation has it now; empty before there is one."""
    code = """
import json
from malha.project import supervisor
with supervisor.platform():
    from malha.foundation.database import service as database
    from malha.foundation.tenancy import service as tenancy
    from malha.ingest.runs import service as runs
    tenant = tenancy.by_slug("ensaio").id
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        found = runs.latest(conn, tenant, 1)
    print(json.dumps([{"state": r.state.value, "entered": r.counts.entered, "read": r.counts.read, "expected": r.expected_rows, "tries": r.tries, "error": r.error, "notes": list(r.notes), "held": r.counts.held, "repeated": r.counts.repeated} for r in found]))
"""
    found = json.loads(_python(code, folder))
    return found[0] if found else {}


def stored(folder: Path) -> dict[str, tuple[int, float]]:
    """Values and their sum by attribute: hot rows stay for two days, so that all of the load can be counted."""
    code = """
import json
from malha.project import supervisor
with supervisor.platform():
    from malha.foundation.database import service as database
    from malha.foundation.tenancy import service as tenancy
    tenant = tenancy.by_slug("ensaio").id
    query = "SELECT a.name, count(*), sum(o.num) FROM observations o JOIN attribute a ON a.id = o.attr_id WHERE o.tenant_id = %s GROUP BY a.name"
    with database.connect() as conn, database.tenant_transaction(conn, [tenant]):
        print(json.dumps({name: [count, total] for name, count, total in conn.execute(query, [tenant]).fetchall()}))
"""
    return {name: (count, total) for name, (count, total) in json.loads(_python(code, folder)).items()}


def moved(folder: Path) -> int:
    """How many of the values are in the lake by now."""
    code = """
from malha.project import supervisor
with supervisor.platform():
    from malha.foundation.tenancy import service as tenancy
    from malha.history.engines import service as engines
    tenant = tenancy.by_slug("ensaio").id
    print(engines.run([tenant], lambda lake: lake.execute(f"SELECT count(*) FROM lake.t{tenant}.observation").fetchone()[0]))
"""
    return int(_python(code, folder))


def _python(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "MALHA_DATA": str(folder)}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    return done.stdout.splitlines()[-1]


def main(quick: bool) -> dict[str, Any]:
    """Load, kill in the middle, wait until the worker went on with it, compare."""
    return measure(QUICK_BYTES if quick else BYTES)


def measure(size: int) -> dict[str, Any]:
    """`large_file` for a file of so many bytes."""
    with tempfile.TemporaryDirectory(prefix="malha-large-") as outside, platform(PORT, "--no-demo") as (process, folder, _ready):
        path, given = Path(outside) / "estacoes.csv", Path(outside) / "answers.json"
        said = write_large(path, size)
        given.write_text(json.dumps(answers() | {"live": False}), encoding="utf-8")
        _say(f"{said['rows']} rows, {said['bytes']} bytes")
        here = {**os.environ, "MALHA_DATA": str(folder)}
        subprocess.run([sys.executable, "-m", "malha", "tenant", "create", "Ensaio", "--slug", SLUG, "--kind", "municipality"], env=here, check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        memory = Memory(process.pid)
        memory.start()
        began = time.monotonic()
        killed = _load_and_kill(path, given, here, memory, said["rows"])
        done = _wait(folder)
        seconds = time.monotonic() - began
        in_lake = moved(folder)
        values = said["rows"] * (len(MEASURES) + 1)
        while moved(folder) < values and time.monotonic() - began < PATIENCE_SECONDS:
            time.sleep(20)
        all_moved = time.monotonic() - began
        memory.ended.set()
        memory.join()
        found = stored(folder)
    right = all(found[name][0] == said["rows"] and abs(found[name][1] - total) <= 1e-6 * abs(total) for name, total in zip(MEASURES, said["sums"], strict=True))
    kept = done["state"] == "done" and done["read"] == said["rows"] and done["entered"] == said["rows"] >= killed["entered"] > 0
    _say(json.dumps({"killed": killed, "done": done, "found": found, "memory": memory.most}))
    figures = {
        "loader_memory_mb": {"value": round(memory.most.get("loader", 0.0), 1), "unit": "MB", "goal": f"<= {GOAL_MB}"},
        "worker_memory_mb": {"value": round(memory.most.get("worker", 0.0), 1), "unit": "MB", "goal": f"<= {GOAL_MB}"},
        "compactor_memory_mb": {"value": round(memory.most.get("compactor", 0.0), 1), "unit": "MB", "goal": f"<= {GOAL_MB}"},
        "values_in_lake_when_loaded": {"value": in_lake, "unit": "values", "of": values, "all_after_s": round(all_moved, 1)},
        "all_memory_mb": {"value": round(memory.together, 1), "unit": "MB", "by_process": {name: round(most, 1) for name, most in sorted(memory.most.items())}},
        "seconds": {"value": round(seconds, 1), "unit": "s", "rows": said["rows"], "bytes": said["bytes"]},
        "entered_when_killed": {"value": killed["entered"], "unit": "rows", "of": said["rows"]},
        "values_lost": {"value": sum(said["rows"] - count for count in (found[name][0] for name in MEASURES)), "unit": "values", "goal": "= 0"},
    }
    left_out = [] if size >= BYTES else [f"{size / 1e6:.0f} MB instead of {BYTES / 1e6:.0f}"]
    return {"correct": right and kept, "figures": figures, "left_out": left_out}


def _load_and_kill(path: Path, given: Path, here: dict[str, str], memory: Memory, rows: int) -> dict[str, Any]:
    """Start `malha ingest` and kill it with -9 once a third is in; the load as it stands then."""
    command = [sys.executable, "-m", "malha", "ingest", str(path), "--tenant", SLUG, "--answers", str(given), "--json"]
    loader = subprocess.Popen(command, env=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory.roots.append(loader.pid)
    while loader.poll() is None:
        time.sleep(4)
        if run_state(Path(here["MALHA_DATA"])).get("read", 0) > rows / 3:
            loader.kill()
    loader.wait()
    return run_state(Path(here["MALHA_DATA"]))


def _wait(folder: Path) -> dict[str, Any]:
    """The load once the worker has ended it by itself."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_SECONDS:
        found = run_state(folder)
        if found["state"] != "running":
            return found
        time.sleep(10)
    return run_state(folder)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else QUICK_BYTES)) + "\n")
