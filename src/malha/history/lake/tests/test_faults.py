"""What goes wrong in the night: two compactors, no catalogue, no room, a clock that jumps, news of two years ago."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import service as engines
from malha.history.lake import jobs
from malha.history.lake import service as lake

from .test_compact import START, in_lake, names, write_hot
from .test_store import own_catalogue


def test_two_compactors_at_once_move_every_row_once(new_tenant: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(entity, START + timedelta(minutes=minute), 1.0) for entity in (1, 2) for minute in range(50)])
    moved: list[int] = []
    other = subprocess.Popen(
        [sys.executable, "-c", f"from malha.history.lake import service; print(service.compact({tenant}).rows)"], stdout=subprocess.PIPE, text=True
    )
    threads = [threading.Thread(target=lambda: moved.append(lake.compact(tenant).rows)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moved.append(int(other.communicate()[0]))
    assert sorted(moved) == [0, 0, 100]
    assert len(in_lake(tenant)) == 100
    assert sum(row[0] for row in in_lake(tenant, "count", "rollup_hour")) == 100


@contextmanager
def catalogue_gone() -> Iterator[None]:
    """Nobody reaches the catalogue's database while the block runs, as when its server is being moved."""
    place = database.endpoint()
    names_ = {"host": place.host, "port": place.port, "user": "postgres", "password": place.passwords["postgres"], "dbname": "postgres"}
    with psycopg.connect(**names_, autocommit=True) as server:
        server.execute(f"ALTER DATABASE {place.lake_database} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [place.lake_database])
        try:
            yield
        finally:
            server.execute(f"ALTER DATABASE {place.lake_database} ALLOW_CONNECTIONS true")  # type: ignore[arg-type]


def test_the_catalogue_is_gone_for_a_while(new_tenant: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(1, START, 1.0)])
    lake.compact(tenant)
    assert len(in_lake(tenant)) == 1
    write_hot(tenant, [(1, START + timedelta(hours=1), 2.0)])
    with catalogue_gone():
        with pytest.raises(psycopg.OperationalError):
            lake.compact(tenant)
        with pytest.raises(Exception, match=r"connect|connection|historico|histórico"):
            in_lake(tenant, "count(*)")
    engines.forget_readers()
    assert lake.compact(tenant).rows == 1
    assert len(in_lake(tenant)) == 2


@pytest.mark.rehearsal
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_catalogue_is_gone_for_a_minute_amid_compactions(new_tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker goes on trying, values go on coming: once the catalogue is back all of them are in the lake, each once."""
    monkeypatch.setattr(jobs, "DUE_ROWS", 1)
    tenant, schedule, done = new_tenant().id, jobs.Schedule(), threading.Event()
    compacted, refused = list[bool](), list[str]()
    monkeypatch.setattr(jobs, "_tenants", lambda: [tenant])

    def work() -> None:  # as the worker does, which says what went wrong and tries again
        while not done.is_set():
            try:
                compacted.append(tenant in schedule.compact_due())
            except Exception as reason:  # noqa: BLE001 -- whatever it is, the worker goes on
                refused.append(str(reason))
            done.wait(0.5)

    def write(minute: int) -> None:
        write_hot(tenant, [(entity, START + timedelta(minutes=minute), float(minute)) for entity in range(20)])

    worker = threading.Thread(target=work)
    worker.start()
    try:
        minute, begun = 0, time.monotonic()
        while not any(compacted):
            write(minute)
            minute += 1
            assert time.monotonic() < begun + 300
        with catalogue_gone():
            until = time.monotonic() + 60
            while time.monotonic() < until:
                write(minute)
                minute += 1
                time.sleep(0.2)
        engines.forget_readers()
        begun = time.monotonic()
        while len(in_lake(tenant)) < 20 * minute and time.monotonic() < begun + 300:
            time.sleep(1)
    finally:
        done.set()
        worker.join()
    assert refused
    assert in_lake(tenant) == sorted((entity, START + timedelta(minutes=n), float(n)) for n in range(minute) for entity in range(20))
    assert sum(row[0] for row in in_lake(tenant, "count", "rollup_day")) == 20 * minute


def test_late_data_of_two_years_ago(new_tenant: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(1, START + timedelta(minutes=minute), 1.0) for minute in range(10)])
    lake.compact(tenant)
    old = START - timedelta(days=731)
    write_hot(tenant, [(1, old, 5.0), (1, old + timedelta(minutes=1), 7.0)])
    assert lake.compact(tenant).rows == 2
    assert in_lake(tenant, "bucket, count, sum", "rollup_day") == [(old.replace(hour=0), 2, 12.0), (START.replace(hour=0), 10, 10.0)]
    assert [row[0] for row in in_lake(tenant, "DISTINCT month")] == [202402 if old.month == 2 else old.year * 100 + old.month, START.year * 100 + START.month]


def test_a_clock_that_jumps_neither_loses_nor_doubles(new_tenant: Any) -> None:
    """Order comes from transactions, not from clocks: rows received “next year” and then “last year” are moved once each."""
    tenant = new_tenant().id
    with database.connect(Role.APP, autocommit=True) as conn, database.tenant_transaction(conn, [tenant]):
        type_id, attr_id = names(conn)
        for hour, received in enumerate((datetime.now(UTC) + timedelta(days=365), datetime.now(UTC) - timedelta(days=365), datetime.now(UTC))):
            conn.execute(
                "INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, type_id, attr_id, kind, received_at) VALUES (%s, 1, %s, %s, %s, %s, 1, %s)",
                [tenant, START + timedelta(hours=hour), hour, type_id, attr_id, received],
            )
    assert lake.compact(tenant).rows == 3
    assert lake.compact(tenant).rows == 0
    assert [row[2] for row in in_lake(tenant)] == [0.0, 1.0, 2.0]


FULL = """
import sys
from malha.history.lake import service
print(service.compact(int(sys.argv[1])).rows)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="um disco cheio de ensaio precisa de montar um tmpfs, e disso só root é capaz")
def test_a_full_disk_loses_nothing(new_tenant: Any, tmp_path: Path) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(entity, START + timedelta(minutes=minute), minute * 1.37) for entity in range(4) for minute in range(120)])
    small = tmp_path / "lago"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "malha-ensaio", str(small)], check=False, capture_output=True).returncode:
        pytest.skip("aqui nem root monta um tmpfs")
    try:
        with own_catalogue(database.endpoint()) as data:
            env = {**os.environ, "MALHA_DATA": data, "MALHA_LAKE": str(small)}
            refused = subprocess.run([sys.executable, "-c", FULL, str(tenant)], env=env, check=False, capture_output=True, text=True)
            assert refused.returncode == 1
            assert "space" in refused.stderr
            subprocess.run(["mount", "-o", "remount,size=16m", str(small)], check=True)
            done = subprocess.run([sys.executable, "-c", FULL, str(tenant)], env=env, check=False, capture_output=True, text=True)
            assert done.stdout.strip() == "480", done.stderr
            files = [str(path) for path in small.rglob("observation/**/*.parquet")]
            assert duckdb.sql(f"SELECT count(*) FROM read_parquet({files})").fetchone() == (480,) or len(files) > 1
    finally:
        subprocess.run(["umount", str(small)], check=False)
