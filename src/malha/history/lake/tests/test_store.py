"""The same lake on an S3-compatible store: a simulator that speaks the protocol, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from moto.server import ThreadedMotoServer

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Endpoint

from .test_compact import START, write_hot

#: everything happens in a process of its own: the place of the lake is a setting, and its catalogue would stay with the others'
SCRIPT = """
import sys
from datetime import UTC, datetime, timedelta
from malha.history.engines import service as engines
from malha.history.lake import catalogue, files, integrity, service, upkeep
tenant = int(sys.argv[1])
assert service.compact(tenant).rows == 120
known = [f for f in files.catalogued(datetime(1970, 1, 1, tzinfo=UTC))]
assert known and integrity.look(datetime(1970, 1, 1, tzinfo=UTC)) == []
count = f"SELECT count(*), sum(num) FROM lake.{engines.tenant_schema(tenant)}.observation"
print(engines.run([tenant], lambda reader: reader.execute(count).fetchone()))
other = f"SELECT count(*) FROM read_parquet('{files.storage.address()}t{tenant + 1}/**/*.parquet')"
try:
    engines.run([tenant], lambda reader: reader.execute(other).fetchone())
    raise SystemExit("read what is another's")
except Exception as reason:
    assert "Permission" in type(reason).__name__, reason
with catalogue.writing() as lake:
    upkeep.tidy(lake, datetime.now(UTC), keep_snapshots=-timedelta(hours=1), keep_files=-timedelta(hours=1))
engines.forget_readers()
print(engines.run([tenant], lambda reader: reader.execute(count).fetchone()))
import obstore
one = next(f for f in known if f.table == "observation")
left = [f.path for f in files.catalogued(datetime(1970, 1, 1, tzinfo=UTC)) if f.table == "observation"]
obstore.delete(files.store(), left[0])
assert [b.reason for b in integrity.look(datetime(1970, 1, 1, tzinfo=UTC))] == ["missing"]
integrity.start_check(datetime.now(UTC))
assert service.compact(tenant).rows == 120
engines.forget_readers()
print(engines.run([tenant], lambda reader: reader.execute(count).fetchone()))
"""


@contextmanager
def own_catalogue(place: Endpoint) -> Iterator[str]:
    """A data folder whose lake has a catalogue of its own."""
    name = f"lake_{uuid4().hex[:12]}"
    names = {"host": place.host, "port": place.port, "user": "postgres", "password": place.passwords["postgres"], "dbname": "postgres"}
    with psycopg.connect(**names, autocommit=True) as server, tempfile.TemporaryDirectory() as folder:
        server.execute(f"CREATE DATABASE {name} OWNER malha_lake_writer")  # type: ignore[arg-type]
        shutil.copytree(Path(os.environ["MALHA_DATA"]) / "secrets", Path(folder) / "secrets")
        where = {"host": place.host, "port": place.port, "database": place.database, "lake_database": name}
        (Path(folder) / "endpoint.json").write_text(json.dumps(where))
        yield folder
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.mark.slow
def test_it_works(new_tenant: Any) -> None:
    tenant = new_tenant().id
    write_hot(tenant, [(entity, START + timedelta(minutes=minute), 1.0) for entity in (1, 2) for minute in range(60)])
    simulator = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    simulator.start()
    try:
        _, port = simulator.get_host_and_port()
        bucket = f"lago-{uuid4().hex[:8]}"
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/{bucket}", method="PUT")).close()
        store = {
            "MALHA_LAKE": f"s3://{bucket}/malha", "MALHA_S3_ENDPOINT": f"http://127.0.0.1:{port}", "MALHA_S3_KEY_ID": "chave", "MALHA_S3_SECRET": "segredo",
        }  # fmt: skip
        with own_catalogue(database.endpoint()) as data:
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT, str(tenant)], env={**os.environ, **store, "MALHA_DATA": data}, check=False, capture_output=True, text=True
            )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == ["(120, 120.0)"] * 3
    finally:
        simulator.stop()
