"""A load killed at any point goes on, and neither loses nor doubles a value, whatever form the file has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.history.engines import service as engines
from malha.ingest.bulk import reading, service
from malha.ingest.quality import service as quality
from malha.ingest.runs import service as runs

URIS = [f"urn:ensaio:WeatherObserved:{n}" for n in range(3)]
COUNT, WRONG = 6000, 4000
SMALL = {"BLOCK_ROWS": 500, "BLOCK_BYTES": 30_000}
KILLED = """
import os, signal, sys
from pathlib import Path
import django
django.setup()
from malha.history.lake import files
from malha.history.lake import service as lake
from malha.ingest.bulk import reading, service
tenant, source, point = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
reading.BLOCK_ROWS, reading.BLOCK_BYTES, service.PIECE_ROWS, service.PART_ROWS = 500, 30_000, 2_000, 1
def on_call(number, real, before):
    calls = []
    def called(*given, **more):
        calls.append(1)
        if before and len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*given, **more)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return called
if point == "in-a-piece":
    service._Piece.add = on_call(6, service._Piece.add, False)
elif point == "before-the-note":
    Path.write_text = on_call(3, Path.write_text, True)
elif point == "before-commit":
    files.settle = on_call(2, files.settle, True)
else:
    lake.bulk_load_files = on_call(1, lake.bulk_load_files, False)
service.load_history(tenant, source)
"""


@pytest.fixture
def tenant(new_tenant: Any) -> int:
    made = new_tenant().id
    with database.connect() as connection, database.tenant_transaction(connection, [made]):
        store.upsert_table(connection, made, EntityTable("WeatherObserved", URIS, [Column("name", ["A", "B", "C"])]))
    return int(made)


def write(folder: Path, form: str) -> Path:
    start = datetime(2025, 3, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=15 * row) for row in range(COUNT)]
    table = pa.table({
        "entity": [URIS[row % 3] if row != WRONG else "urn:ensaio:nenhuma" for row in range(COUNT)],
        "observedAt": pa.array(times, pa.timestamp("us", "UTC")), "temperature": [row % 30 + 0.5 for row in range(COUNT)],
    })  # fmt: skip
    path = folder / f"anos.{form}"
    if form == "csv":
        csv.write_csv(table, path)
    elif form == "parquet":
        parquet.write_table(table, path, row_group_size=1_700)
    else:
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=1_300)
    return path


@pytest.mark.parametrize(
    ("form", "point"),
    [
        ("parquet", "before-commit"),
        ("arrow", "before-the-note"),
        *(pytest.param(form, point, marks=pytest.mark.rehearsal)
          for form in ("csv", "parquet", "arrow") for point in ("in-a-piece", "before-the-note", "before-commit", "after-commit")),
    ],
)  # fmt: skip
def test_it_works(tenant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, point: str) -> None:
    source = write(tmp_path, form)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tenant), str(source), point], env=os.environ, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    for name, value in SMALL.items():
        monkeypatch.setattr(reading, name, value)
    monkeypatch.setattr(service, "PIECE_ROWS", 2_000)
    monkeypatch.setattr(service, "PART_ROWS", 1)
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        run = runs.latest(connection, tenant)[0]
    found = service.load_history(tenant, source, run_id=run.id)
    assert (found.counts.read, found.counts.held, found.counts.observations) == (COUNT, 1, COUNT - 1)
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        assert [row.row_number for row in quality.rows(connection, tenant, run.id)] == [WRONG + 1]
    schema, total = engines.tenant_schema(tenant), sum(row % 30 + 0.5 for row in range(COUNT) if row != WRONG)
    for what in (
        f"count(*), sum(num), count(DISTINCT (entity_id, observed_at)) FROM lake.{schema}.observation",
        f"sum(count), sum(sum), sum(count) FROM lake.{schema}.rollup_month",
    ):
        assert engines.run([tenant], lambda reader, what=what: reader.execute(f"SELECT {what}").fetchone()) == (COUNT - 1, total, COUNT - 1)
