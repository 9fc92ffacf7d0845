"""Real clients, each in an environment of its own (their pins are not ours), against the plane on loopback.

The environments are made once in the user's cache folder; without network, or with a client that cannot be
installed, the test says so and is left out.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from malha.history.lake import service as lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "malha" / "clients"
ENVIRONMENTS = {"sharing": ["delta-sharing"], "geo": ["OWSLib", "geopandas", "pyarrow", "polars", "httpx", "duckdb", "python-odata", "requests"]}


def environment(name):
    """The Python of a client's environment."""
    python = CACHE / name / "bin" / "python"
    ready = CACHE / name / "ready"
    if not ready.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", CACHE / name], check=True, capture_output=True, timeout=120)
            subprocess.run([python, "-m", "pip", "install", "-q", *ENVIRONMENTS[name]], check=True, capture_output=True, timeout=400)
        except (subprocess.SubprocessError, OSError) as reason:
            pytest.skip(f"{', '.join(ENVIRONMENTS[name])} não se instalam aqui: {reason}")
        ready.touch()
    return python


@pytest.fixture
def served(client, town, key_of):
    """(address of the town on loopback, a key); history is in the lake."""
    import uvicorn

    lake.compact(town.id)
    config = uvicorn.Config(client.app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/{town.slug}", key_of(town), town
    server.should_exit = True
    thread.join(10)


def run(name, script, *arguments):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MALHA_", "PYTHON", "DJANGO"))}
    done = subprocess.run([environment(name), "-W", "ignore", "-c", script, *arguments], capture_output=True, text=True, timeout=300, env=clean, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_delta_sharing(served, tmp_path):
    address, key, town = served
    profile = tmp_path / "malha.share"
    profile.write_text(f'{{"shareCredentialsVersion": 1, "endpoint": "{address}/delta-sharing", "bearerToken": "{key}"}}')
    said = run("sharing", """
import sys, delta_sharing
profile, slug = sys.argv[1:]
client = delta_sharing.SharingClient(profile)
print(sorted((t.schema, t.name) for t in client.list_all_tables()))
table = delta_sharing.load_as_pandas(f"{profile}#{slug}.agora.AirQualityObserved")
print(table.pm10.tolist()[:4], table.stationName.tolist()[0], str(table.modifiedAt.dtype)[:14])
values = delta_sharing.load_as_pandas(f"{profile}#{slug}.valores.AirQualityObserved")
print(values[values.attribute == "pm10"].value.sum(), len(delta_sharing.load_as_pandas(f"{profile}#{slug}.agora.AirQualityObserved", limit=2)))
""", str(profile), town.slug)  # fmt: skip
    assert "('agora', 'AirQualityObserved'), ('dia', 'AirQualityObserved'), ('hora', 'AirQualityObserved'), ('valores', 'AirQualityObserved')" in said
    assert "[2.0, 3.0, 4.0, 5.0] Estação Á datetime64" in said
    assert "30.0 2" in said


def test_owslib(served):
    address, key, _town = served
    said = run("geo", """
import sys
from owslib.ogcapi.features import Features
from owslib.util import Authentication
address, key = sys.argv[1:]
service = Features(address + "/ogc", auth=Authentication("malha", key))
print(service.feature_collections())
found = service.collection_items("AirQualityObserved", limit=2, bbox=[-8.5995, 41.0, -8.0, 42.0])
print(found["numberReturned"], found["features"][0]["properties"]["pm10"])
print(len(service.collection_items("AirQualityObserved", filter="pm10 > 3")["features"]), sorted(service.collection_queryables("AirQualityObserved")["properties"])[:1])
""", address, key)  # fmt: skip
    assert "['AirQualityObserved', 'AirQualityObserved_daily', 'AirQualityObserved_hourly']" in said
    assert "2 3.0" in said
    assert said.splitlines()[2].startswith("2 ")


def test_tables_in_pandas_polars_geopandas_and_duckdb(served):
    address, key, _town = served
    said = run("geo", """
import io, sys, httpx, pandas, polars, geopandas, duckdb
address, key = sys.argv[1:]
headers = {"Authorization": "Bearer " + key}
data = httpx.get(address + "/hub/AirQualityObserved.parquet", headers=headers, follow_redirects=True).content
print(pandas.read_parquet(io.BytesIO(data)).pm10.sum(), polars.read_parquet(io.BytesIO(data))["pm10"].sum())
places = geopandas.read_parquet(io.BytesIO(data))
print(places.geometry.x.tolist()[0], places.crs.to_string(), places.to_crs(3763).geometry.x.round().tolist()[0])
link = httpx.get(address + "/hub/AirQualityObserved_series.parquet?link=1", headers=headers).text.strip()
try:
    duckdb.execute("INSTALL httpfs; LOAD httpfs")
    print("duckdb", duckdb.execute(f"SELECT sum(value) FROM read_parquet('{link}') WHERE attribute = 'pm10'").fetchone()[0])
except duckdb.Error:
    print("duckdb without httpfs")
""", address, key)  # fmt: skip
    assert "14.0 14.0" in said
    assert "-8.6 OGC:CRS84" in said
    assert "duckdb 30.0" in said or "without httpfs" in said


def test_python_odata(served):
    address, key, _town = served
    said = run("geo", """
import sys, requests
from odata import ODataService
address, key = sys.argv[1:]
session = requests.Session()
session.auth = ("malha", key)
service = ODataService(address + "/odata/", session=session, reflect_entities=True)
air = service.entities["AirQualityObserved"]
rows = [one.id for one in service.query(air).all()]
print(len(rows), rows[0])
""", address, key)  # fmt: skip
    assert "5 urn:x:AirQualityObserved:00000" in said
