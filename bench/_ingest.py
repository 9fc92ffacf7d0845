"""The ingest part of `bench/road.py`, in a process and on a database of its own; prints one JSON object.

A CSV of stations (8 columns: which, when, five measures, a state) goes through the road that a person's upload takes:
detection, mapping, validation, state, history, event. The clock stops when the last row is readable in both.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

STATIONS = 1000
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)
COLUMNS = ("station", "observed_at", "temperature", "relativeHumidity", "atmosphericPressure", "windSpeed", "precipitation", "status")
MEASURES = COLUMNS[2:7]
TYPE = "StationReading"
CORE = 0
BATCH = 50_000


def write_file(path: Path, rows: int) -> dict[str, Any]:
    """Write the file with a fixed seed. Returns what it says, summed without Malha's help."""
    chance = random.Random(20261123)
    sums = [0.0] * len(MEASURES)
    last: tuple[str, str, str] = ("", "", "")
    with path.open("w", newline="", encoding="utf-8") as handle:
        out = csv.writer(handle)
        out.writerow(COLUMNS)
        for n in range(rows):
            station, at = f"E{n % STATIONS:04}", (START + STEP * (n // STATIONS)).strftime("%Y-%m-%dT%H:%M:%SZ")
            values = [f"{chance.uniform(low, high):.1f}" for low, high in ((-5, 40), (10, 100), (980, 1040), (0, 30), (0, 12))]
            sums = [total + float(text) for total, text in zip(sums, values, strict=True)]
            out.writerow([station, at, *values, "falha" if n % 97 == 0 else "ok"])
            last = (station, at, values[0])
    return {"rows": rows, "sums": sums, "last": last}


def answers() -> dict[str, Any]:
    """What the person at the guided page would answer about this file."""
    from malha.sources.tabular.contracts import CellType

    columns = [{"column": name, "attribute": name, "type": CellType.NUMBER.value, "decimal": "."} for name in MEASURES]
    return {"name": "Estações", "kind": "own", "type": TYPE, "key": ["station"], "time": {"columns": ["observed_at"], "zone": "UTC"},
            "columns": [*columns, {"column": "status", "attribute": "status", "type": CellType.TEXT.value}]}  # fmt: skip


def enforce(tenant_id: int) -> None:
    """A model of the file's rows, whose bounds and words each row has to keep."""
    from malha.foundation.database import service as database
    from malha.vocabulary.models import policy, service
    from malha.vocabulary.models.contracts import DataModel, Label, ModelProperty, ValueType

    bounds = ((-5, 40), (10, 100), (980, 1040), (0, 30), (0, 12))
    measures = [
        ModelProperty(name, label=Label(name, name), type=ValueType.NUMBER, minimum=low, maximum=high)
        for name, (low, high) in zip(MEASURES, bounds, strict=True)
    ]
    status = ModelProperty("status", label=Label("Estado", "Status"), type=ValueType.TEXT, pattern="^(ok|falha)$")
    model = DataModel(TYPE, "1.0.0", Label("Leitura", "Reading"), Label("De ensaio", "For measuring"), (*measures, status))
    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        service.create_model(conn, tenant_id, model)
        policy.set_rule(conn, tenant_id, TYPE, policy.Rule(policy.Mode.ENFORCE))


def limit_rows_per_s(path: Path, rows: int) -> float:
    """`COPY … FROM STDIN` as text of the same file in one commit: the most that PostgreSQL takes in here."""
    from malha.foundation.database import service as database
    from malha.foundation.database.contracts import Role

    with database.connect(Role.OWNER, autocommit=True) as conn:
        conn.execute(f"CREATE TABLE limit_rows (station text, observed_at timestamptz, {', '.join(f'{m} float8' for m in MEASURES)}, status text)")
        begun = time.perf_counter()
        with conn.transaction(), path.open("rb") as handle, conn.cursor().copy("COPY limit_rows FROM STDIN (FORMAT text, DELIMITER ',', HEADER)") as copy:
            while data := handle.read(1 << 20):
                copy.write(data)
        seconds = time.perf_counter() - begun
        conn.execute("DROP TABLE limit_rows")
    return rows / seconds


def load(tenant_id: int, path: Path, said: dict[str, Any]) -> float:
    """Seconds from the file to the last row being readable in state and history."""
    from malha.context.store import service as store
    from malha.context.store.contracts import EntityQuery
    from malha.foundation.database import service as database
    from malha.history.temporal import service as temporal
    from malha.history.temporal.contracts import Grain, SeriesQuery
    from malha.ingest.runs import service as runs

    station, at, value = said["last"]
    begun = time.perf_counter()
    runs.load_file(tenant_id, path, answers(), live=False, batch_rows=BATCH)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        (entity,) = store.query(conn, [tenant_id], EntityQuery(types=(TYPE,), id_pattern=f":{station}$")).entities
        assert entity.value("temperature") == float(value)
    instant = datetime.fromisoformat(at)
    series = temporal.series(tenant_id, SeriesQuery(TYPE, "temperature", instant, instant + timedelta(seconds=1), uris=(entity.uri,), grain=Grain.RAW))
    assert series[0].points[-1][1] == float(value)
    return time.perf_counter() - begun


def server_cpu_seconds() -> float:
    """Processor time that the server and its sessions have used so far (Linux; elsewhere 0)."""
    pids = [int(pid.read_text().split()[0]) for pid in Path(os.environ["MALHA_DATA"]).rglob("postmaster.pid")]
    ticks = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = place.read_text().rsplit(")", 1)[1].split()
            if int(place.parent.name) in pids:
                ticks += sum(map(int, fields[11:15]))  # its own and that of sessions that ended
            elif int(fields[1]) in pids:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def matches(tenant_id: int, said: dict[str, Any]) -> bool:
    """Whether what is stored is what the file said: as many values, the same sums, each station once."""
    from malha.foundation.database import service as database

    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        found = conn.execute(
            "SELECT a.name, count(*), sum(h.num) FROM observations h JOIN attribute a ON a.id = h.attr_id WHERE h.tenant_id = %s GROUP BY a.name",
            [tenant_id],
        ).fetchall()
        stations = conn.execute("SELECT count(*) FROM entities WHERE tenant_id = %s", [tenant_id]).fetchone()
    sums = {name: (count, total) for name, count, total in found}
    right = all(
        sums[name][0] == said["rows"] and abs(sums[name][1] - total) < 1e-6 * max(1.0, abs(total)) for name, total in zip(MEASURES, said["sums"], strict=True)
    )
    return right and sums["status"][0] == said["rows"] and stations == (min(STATIONS, said["rows"]),)


def measure(rows: int, runs: int) -> dict[str, Any]:
    """Load the file `runs` times, each into a tenant of its own."""
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind

    path = Path(os.environ["MALHA_DATA"]) / "estacoes.csv"
    said = write_file(path, rows)
    limit = limit_rows_per_s(path, rows)
    os.sched_setaffinity(0, {CORE})  # our process; the server was started before and keeps every core
    seconds: list[float] = []
    cpu: list[tuple[float, float]] = []
    correct = True
    for n in range(runs):
        tenant = tenancy.create_tenant(slug=f"ensaio-{n}", name="Ensaio", kind=OrganisationKind.MUNICIPALITY)
        ours, theirs = time.process_time(), server_cpu_seconds()
        seconds.append(load(tenant.id, path, said))
        cpu.append((time.process_time() - ours, server_cpu_seconds() - theirs))
        correct = correct and matches(tenant.id, said)
    held = tenancy.create_tenant(slug="ensaio-modelo", name="Ensaio", kind=OrganisationKind.MUNICIPALITY)
    enforce(held.id)
    enforced = rows / load(held.id, path, said)
    correct = correct and matches(held.id, said)
    rates = sorted(rows / s for s in seconds)
    ours, theirs = (round(statistics.median(part) / rows * 1e6, 2) for part in zip(*cpu, strict=True))
    return {"rows": rows, "rates": rates, "enforced": enforced, "limit": limit, "correct": correct, "cpu_us_per_row": ours, "server_cpu_us_per_row": theirs}


def main() -> None:
    """`python bench/_ingest.py --rows 1000000 --runs 3`"""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        Path(folder).chmod(0o755)
        os.environ["MALHA_DATA"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
        from malha.project import supervisor

        with supervisor.running_database():
            supervisor.migrate()
            result = profiled(given.rows) if given.profile else measure(given.rows, given.runs)
    sys.stdout.write(json.dumps(result) + "\n")


def profiled(rows: int) -> dict[str, Any]:
    """Where the time goes, on standard error."""
    import cProfile
    import pstats

    profile = cProfile.Profile()
    result = profile.runcall(measure, rows, 1)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(30)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("cumtime").print_stats("malha", 45)
    return result


if __name__ == "__main__":
    main()
