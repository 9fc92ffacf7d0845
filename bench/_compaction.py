"""How fast hot rows reach the lake, beside a bare `INSERT … SELECT` of DuckDB from the same table into the same kind of lake.

Run by `_history.py`, inside an installation of its own, with tenants of its own. Both roads run in processes of
their own; ratios are of the same run. Reading is asked while a compaction runs, and alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role

FILL = """
INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, type_id, attr_id, kind)
SELECT %(tenant)s, n %% 1000, timestamptz '2026-03-01' + (n / 1000) * interval '1 minute', round((20 + 5 * sin(n / 500.0) + random())::numeric, 2)::float8, t.id, a.id, 1
FROM generate_series(0, %(rows)s - 1) AS n, entity_type t, attribute a WHERE t.name = 'Medida' AND a.name = 'medida'
"""
NAMES = """
INSERT INTO entity_type (name, iri) VALUES ('Medida', 'https://exemplo.pt/Medida') ON CONFLICT DO NOTHING;
INSERT INTO attribute (name, iri) VALUES ('medida', 'https://exemplo.pt/medida') ON CONFLICT DO NOTHING
"""
#: rows of one transaction: what comes in larger ones is kept in arrays
TOGETHER = 20_000
#: what is measured in the child: seconds of compacting (and of the processor), after everything is loaded and attached
COMPACT = """
import contextlib, json, resource, sys, time
with contextlib.suppress(ImportError):
    import pandas  # libraries read it at their first use where tests brought it; an installation has none
from malha.history.lake import catalogue, service
tenants = json.loads(sys.argv[1])
catalogue.prepare()
started, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
rows = service.compact_many(tenants).rows
now = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"rows": rows, "begun": started, "seconds": time.monotonic() - started, "cpu": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime}))
"""
BARE = """
import json, resource, sys, tempfile, time
from malha.history.engines import service as engines
tenants, folder = json.loads(sys.argv[1]), tempfile.mkdtemp()
lake = engines.connect("ducklake", "postgres_scanner", memory_mb=1024, threads=1)
engines.attach_hot(lake)
lake.execute(f"ATTACH 'ducklake:{folder}/catalogue.duckdb' AS bare (DATA_PATH '{folder}/data/', DATA_INLINING_ROW_LIMIT 0)")
columns = "tenant_id, type_id, attr_id, entity_id, dataset_id, observed_at, kind, num, txt, unit_id, quality, op, received_at, run_id, row_no, seq"
started, used, rows = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF), 0
for tenant in tenants:
    lake.execute(f"CREATE TABLE bare.t{tenant} AS SELECT {columns} FROM hot.observation_hot WHERE false")
    rows += lake.execute(f"INSERT INTO bare.t{tenant} SELECT {columns} FROM hot.observation_hot WHERE tenant_id = {tenant}").fetchone()[0]
now = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"rows": rows, "seconds": time.monotonic() - started, "cpu": now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime}))
"""
#: the same rows each time, however many are there by then: the processor's time of each question, and when it was asked
READ = """
import json, sys, time
from malha.history.engines import service as engines
tenant, seconds, until, times = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], []
query = f"SELECT entity_id, avg(num) FROM lake.t{tenant}.observation WHERE attribute = 'medida' AND observed_at < TIMESTAMPTZ '{until}' GROUP BY ALL"
engines.run([tenant], lambda reader: reader.execute(query).fetchall())
print("ready", flush=True)
end = time.monotonic() + seconds
while time.monotonic() < end:
    at, started = time.monotonic(), time.process_time()
    engines.run([tenant], lambda reader: reader.execute(query).fetchall())
    times.append((at, time.process_time() - started))
print(json.dumps(times))
"""


#: a process that only computes, in its core's own cache: two processors of a machine may be one core
BUSY = """
import hashlib
block = bytes(4096)
while True:
    hashlib.sha256(block)
"""


def measure(rows: int = 2_000_000, tenants: int = 308) -> dict[str, dict[str, Any]]:
    """The figures `compaction_rows_per_s` (one tenant), `compaction_many_rows_per_s` and `read_while_compacting_ratio`.

    `rows` in all, in each of the two runs. Speeds and ratios are by processor time, the database server's with it, so that neighbours do not count.
    """
    figures: dict[str, dict[str, Any]] = {}
    for name, count in (("compaction_rows_per_s", 1), ("compaction_many_rows_per_s", tenants)):
        made = _tenants(count)
        for tenant in made:
            _fill(tenant, max(1, rows // count))
        _settle()
        bare = _child(BARE, json.dumps(made))
        ours = _child(COMPACT, json.dumps(made))
        speed, limit = ours["rows"] / ours["cpu"], bare["rows"] / bare["cpu"]
        figures[name] = {
            "value": speed,
            "unit": "1/s",
            "goal": ">= 0.6 of the limit",
            "limit": limit,
            "ratio_to_limit": speed / limit,
            "wall_per_s": round(ours["rows"] / ours["seconds"]),
            "wall_limit": round(bare["rows"] / bare["seconds"]),
            "tenants": count,
            "moved": ours["rows"] == bare["rows"],
        }
        if count == 1:
            figures["read_while_compacting_ratio"] = _reading(made[0], rows)
    return figures


def _reading(tenant: int, rows: int) -> dict[str, object]:
    """How much longer a question takes while as many rows again are compacted: medians of those asked meanwhile, and of those asked alone."""
    until = (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=-(-rows // 1000))).isoformat()
    alone = _asked(tenant, until, 3)
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    beside = _asked(tenant, until, 3)
    busy.kill()
    busy.wait()
    _fill(tenant, rows, after=rows)
    reading = subprocess.Popen([sys.executable, "-c", READ, str(tenant), str(3 + rows / 250_000), until], stdout=subprocess.PIPE, text=True)
    assert reading.stdout is not None
    reading.stdout.readline()
    compacted = _child(COMPACT, json.dumps([tenant]))
    asked = json.loads(reading.stdout.read().splitlines()[-1])
    reading.wait()
    together = [seconds for at, seconds in asked if compacted["begun"] <= at <= compacted["begun"] + compacted["seconds"]]
    least = statistics.median(seconds for _, seconds in alone)
    return {
        "value": statistics.median(together) / least, "unit": "1", "goal": "<= 1.2", "limit": statistics.median(seconds for _, seconds in beside) / least,
        "asked_meanwhile": len(together), "compacted": compacted["rows"],
    }  # fmt: skip


def _asked(tenant: int, until: str, seconds: float) -> list[tuple[float, float]]:
    done = subprocess.run([sys.executable, "-c", READ, str(tenant), str(seconds), until], check=True, stdout=subprocess.PIPE, text=True)
    found: list[tuple[float, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _tenants(count: int) -> list[int]:
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind

    return [tenancy.create_tenant(slug=f"medida-{uuid4().hex[:10]}", name="Medida", kind=OrganisationKind.MUNICIPALITY).id for _ in range(count)]


def _fill(tenant: int, rows: int, after: int = 0) -> None:
    with database.connect(Role.APP, autocommit=True) as conn, database.tenant_transaction(conn, [tenant]):
        for statement in NAMES.split(";"):
            conn.execute(statement)
    for first in range(after, after + rows, TOGETHER):
        with database.connect(Role.APP, autocommit=True) as conn, database.tenant_transaction(conn, [tenant]):
            conn.execute(
                FILL.replace("generate_series(0, %(rows)s - 1)", "generate_series(%(after)s::bigint, %(after)s::bigint + %(rows)s - 1)"),
                {"tenant": tenant, "rows": min(TOGETHER, after + rows - first), "after": first},
            )


def _settle() -> None:
    """Have the server do now what it owes new rows, so that no run pays for it: its work counts as theirs."""
    with database.connect(Role.OWNER, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE) observation_hot, observation_packed")


def _child(script: str, *arguments: str) -> Any:
    used = _server_cpu()
    done = subprocess.run([sys.executable, "-c", script, *arguments], env=os.environ, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if isinstance(found, dict):
        time.sleep(1)  # the server counts what its children used when they have ended
        found["cpu"] += _server_cpu() - used
    return found


def _server_cpu() -> float:
    """Seconds of the processor that the database server and its ended children have used."""
    import psutil

    server = int((Path(os.environ["MALHA_DATA"]) / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    return sum(psutil.Process(server).cpu_times()[:4])
