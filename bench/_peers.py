"""What other stores take for the same questions over the same rows: plain PostgreSQL, chDB, VictoriaMetrics.

Each is given only the rows that its questions touch (one sensor's year and one city-month), which favours it. A peer that
is not there says so in words.
"""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

SENSOR = 500
#: what a peer answers: milliseconds of each question, and the mean of the city-month by which its answer is checked
type Times = dict[str, float]
type Period = tuple[datetime, datetime]
RUNS = 3


def measure(ideal: Path, month: Period, points_end: datetime) -> tuple[dict[str, Times], list[str], bool]:
    """(milliseconds by peer and question, what is missing and why, whether every answer was right)."""
    with tempfile.TemporaryDirectory(prefix="malha-peers-") as folder:
        part = Path(folder) / "part.parquet"
        with duckdb.connect() as maker:
            maker.execute("SET TimeZone = 'UTC'")
            some = f"entity_no = {SENSOR} OR (moment >= '{month[0].isoformat()}' AND moment < '{month[1].isoformat()}')"
            maker.execute(f"COPY (SELECT entity_no::INTEGER AS entity_no, moment, value FROM '{ideal}' WHERE {some}) TO '{part}' (ROW_GROUP_SIZE 200000)")
            expected = maker.execute(f"SELECT epoch_us(moment) // 3600000000, avg(value) FROM '{part}' WHERE {_within(month)} GROUP BY 1 ORDER BY 1").fetchall()
        found: dict[str, Times] = {}
        missing, correct = [], True
        for name, ask in (("PostgreSQL 18, plain table with an index", postgres), ("chDB", chdb), ("VictoriaMetrics", victoria)):
            try:
                times, hours = ask(part, month, points_end)
            except (OSError, subprocess.SubprocessError, ImportError) as reason:
                missing.append(f"{name}: {str(reason)[:120]}")
                continue
            found[name] = times
            if hours:
                correct = correct and len(hours) == len(expected) and all(abs(value - known) <= 1e-6 for value, (_, known) in zip(hours, expected, strict=True))
        return found, missing, correct


def _within(month: Period) -> str:
    return f"moment >= '{month[0].isoformat()}' AND moment < '{month[1].isoformat()}'"


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Median milliseconds of some runs after a first one, and what came."""
    found, times = work(), []
    for _ in range(RUNS):
        begun = time.perf_counter()
        found = work()
        times.append((time.perf_counter() - begun) * 1000)
    return round(statistics.median(times), 1), found


def postgres(part: Path, month: Period, points_end: datetime) -> tuple[Times, list[float]]:
    """A plain table of three columns in the server that Malha runs on, in a schema of its own."""
    from malha.foundation.database import service as database
    from malha.foundation.database.contracts import Role

    with database.connect(Role.OWNER, autocommit=True) as conn:
        conn.execute("CREATE TABLE plain_observation (entity_no integer, moment timestamptz, value float8)")
        with tempfile.TemporaryDirectory() as folder, duckdb.connect() as maker:
            file = Path(folder) / "rows.csv"
            maker.execute("SET TimeZone = 'UTC'")
            maker.execute(f"COPY (SELECT * FROM '{part}') TO '{file}' (HEADER false)")
            with file.open("rb") as rows, conn.cursor().copy("COPY plain_observation FROM STDIN (FORMAT csv)") as copy:
                while piece := rows.read(1 << 20):
                    copy.write(piece)
        conn.execute("CREATE INDEX ON plain_observation (entity_no, moment)")
        conn.execute("CREATE INDEX ON plain_observation USING brin (moment)")
        conn.execute("ANALYZE plain_observation")
        questions = {
            "sensor_year_ms": f"SELECT (moment AT TIME ZONE 'Europe/Lisbon')::date, avg(value) FROM plain_observation WHERE entity_no = {SENSOR} GROUP BY 1 ORDER BY 1",
            "city_month_raw_ms": f"SELECT date_trunc('hour', moment), avg(value) FROM plain_observation WHERE {_within(month)} GROUP BY 1 ORDER BY 1",
            "entity_10k_ms": f"SELECT avg(value), min(value), max(value), count(value) FROM plain_observation WHERE entity_no = {SENSOR} AND moment < '{points_end.isoformat()}'",
        }
        times, hours = {}, []
        for name, statement in questions.items():
            times[name], rows = _timed(lambda sql=statement: conn.execute(sql).fetchall())
            hours = [row[1] for row in rows] if name == "city_month_raw_ms" else hours
        conn.execute("DROP TABLE plain_observation")
    return times, hours


#: chDB keeps the process that loads it: a child that ends
CHDB = """
import json, statistics, sys, time
from chdb import session
part, questions = sys.argv[1], json.loads(sys.argv[2])
at = session.Session()
at.query("SET session_timezone = 'UTC'")
at.query("CREATE DATABASE IF NOT EXISTS peer ENGINE = Atomic")
at.query("CREATE TABLE peer.o (entity_no Int32, moment DateTime64(6, 'UTC'), value Float64) ENGINE = MergeTree ORDER BY (entity_no, moment)")
at.query(f"INSERT INTO peer.o SELECT entity_no, moment, value FROM file('{part}', Parquet)")
found = {}
for name, sql in questions.items():
    times, rows = [], str(at.query(sql, "TSV"))
    for _ in range(3):
        begun = time.perf_counter(); rows = str(at.query(sql, "TSV")); times.append((time.perf_counter() - begun) * 1000)
    found[name] = [round(statistics.median(times), 1), rows]
print(json.dumps(found))
"""


def chdb(part: Path, month: Period, points_end: datetime) -> tuple[Times, list[float]]:
    """ClickHouse in process (PyPI `chdb`, extra `bench`), as a sorted MergeTree table."""
    import importlib.util

    if importlib.util.find_spec("chdb") is None:
        raise ImportError("the extra `bench` is not installed")
    first, last = (f"toDateTime64('{at:%Y-%m-%d %H:%M:%S}', 6, 'UTC')" for at in month)
    end = f"toDateTime64('{points_end:%Y-%m-%d %H:%M:%S}', 6, 'UTC')"
    questions = {
        "sensor_year_ms": f"SELECT toDate(moment, 'Europe/Lisbon') AS d, avg(value) FROM peer.o WHERE entity_no = {SENSOR} GROUP BY d ORDER BY d",
        "city_month_raw_ms": f"SELECT toStartOfHour(moment) AS h, avg(value) FROM peer.o WHERE moment >= {first} AND moment < {last} GROUP BY h ORDER BY h",
        "entity_10k_ms": f"SELECT avg(value), min(value), max(value), count(value) FROM peer.o WHERE entity_no = {SENSOR} AND moment < {end}",
    }
    done = subprocess.run([sys.executable, "-c", CHDB, str(part), json.dumps(questions)], stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    found = json.loads(done.stdout.splitlines()[-1])
    hours = [float(line.split("\t")[1]) for line in found["city_month_raw_ms"][1].splitlines()]
    return {name: times for name, (times, _) in found.items()}, hours


def victoria(part: Path, month: Period, points_end: datetime) -> tuple[Times, list[float]]:
    """VictoriaMetrics from Debian over HTTP, asked by PromQL; its windows end where ours begin, so only the number of points is held against ours."""
    binary = shutil.which("victoria-metrics")
    if binary is None:
        raise FileNotFoundError("the Debian package victoria-metrics is not installed")
    with tempfile.TemporaryDirectory(prefix="malha-vm-") as folder, _victoria(binary, folder) as base:
        with duckdb.connect() as reader:
            reader.execute("SET TimeZone = 'UTC'")
            rows = reader.execute(f"SELECT entity_no || ',' || epoch_ms(moment) || ',' || value FROM '{part}'")
            while some := rows.fetchmany(200_000):
                body = "\n".join(row[0] for row in some).encode()
                _ask(f"{base}/api/v1/import/csv?format=1:label:s,2:time:unix_ms,3:metric:t", body)
        _ask(f"{base}/internal/force_flush")

        def query(text: str, start: datetime, end: datetime, step: str) -> int:
            given = urllib.parse.urlencode({"query": text, "start": start.timestamp(), "end": end.timestamp(), "step": step, "nocache": 1})
            answer = json.loads(_ask(f"{base}/api/v1/query_range?{given}"))
            return sum(len(each["values"]) for each in answer["data"]["result"])

        year = (month[0].replace(month=1), month[0].replace(month=12, day=31))
        asked: dict[str, tuple[str, datetime, datetime, str]] = {
            "sensor_year_ms": (f'avg_over_time(t{{s="{SENSOR}"}}[1d])', *year, "1d"),
            "city_month_raw_ms": ("sum(sum_over_time(t[1h])) / sum(count_over_time(t[1h]))", *month, "1h"),
            "entity_10k_ms": (f'avg_over_time(t{{s="{SENSOR}"}}[400d])', points_end, points_end, "1d"),
        }
        times = {}
        for name, given in asked.items():
            times[name], points = _timed(lambda these=given: query(*these))
            if not points:
                raise OSError(f"no answer to {name}")
    return times, []


@contextmanager
def _victoria(binary: str, folder: str) -> Iterator[str]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port = made.getsockname()[1]
    process = subprocess.Popen(
        [binary, f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/data", "-retentionPeriod=100y", "-search.maxPointsPerTimeseries=1000000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                _ask(f"http://127.0.0.1:{port}/health")
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _ask(address: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(address, body, timeout=60) as answer:
        return bytes(answer.read())
