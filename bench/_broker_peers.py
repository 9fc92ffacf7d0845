"""Other servers beside ours, asked the same by the same load: the part `peers` of `bench/broker.py`.

For NGSI-LD: Cassiopeia (TypeScript, NGSI-LD 1.3, 2021), the one foreign broker that builds without Maven, Docker or MongoDB. It is on no registry:
`BENCH_CASSIOPEIA` names a checkout of it, built by `npm ci` and `tsc`; its database is a PostGIS of the system's packages, in a folder that goes afterwards.
For SensorThings: `django-ogc-sensorthings` (extra `bench`) over our PostgreSQL. Neither asks for a token nor tells tenants apart. A peer that is not there, and what it failed at, is said.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _town
from _town import TYPE, Measured, Town, http, load

if TYPE_CHECKING:
    from _broker import Bench

FIRST = 50_000_000
SELECTIVE = "stationCode==%22BSS0007%22"
SERIES, ARRAY = 10, 2_000
#: what the newest Cassiopeia writes and reads, and its published schema lacks; and indexes, which favour it
SCHEMA = """
SET search_path = public;
CREATE TABLE latest_attributes (LIKE attributes INCLUDING DEFAULTS);
ALTER TABLE latest_attributes ADD PRIMARY KEY (instance_id);
ALTER TABLE entities ALTER ent_temporal DROP NOT NULL;
CREATE UNIQUE INDEX ON entities (ent_id);
CREATE INDEX ON entities (ent_type);
CREATE INDEX ON latest_attributes (eid);
CREATE INDEX ON latest_attributes (attr_name);
CREATE INDEX ON attributes (eid);
"""
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.3.jsonld"


class NotHereError(Exception):
    """A peer that this machine does not have."""


type Ask = Callable[[str, str, object], bytes]
type Side = dict[str, Measured]


def peers(bench: Bench, make_town: Callable[[str], Town]) -> tuple[dict[str, Any], bool]:
    """`ngsild_peer` and `sensorthings_peer`: each question's figure of ours, of the peer, and how many times ours is the better."""
    figures: dict[str, Any] = {}
    right = True
    for name, measure in (("ngsild_peer", _ngsild), ("sensorthings_peer", _sensorthings)):
        try:
            figures[name], fine = measure(bench, make_town(f"comparada-{name[:4]}"))
            right = right and fine
        except NotHereError as reason:
            figures[name] = {"value": None, "left_out": str(reason)}
    return figures, right


def _ngsild(bench: Bench, town: Town) -> tuple[dict[str, Any], bool]:
    count = bench.requests // 5
    with cassiopeia() as port:
        key = base64.b64encode(b"bench:bench").decode()

        def theirs(verb: str, path: str, body: object = None) -> bytes:
            return _request(verb, f"/ngsi-ld/v1/{path}", body, f"Authorization: Basic {key}")

        other = _entities(port, theirs, count, whole=True)
    mine = _entities(bench.port, lambda verb, path, body=None: http(town, verb, path, body), count, whole=False)
    right = all(one.only(200, 201, 204) for one in mine.values()) and len(mine["query"].body(0)) == len(other["query"].body(0)) == sum(
        n % 1000 == 7 for n in range(count)
    )
    sys.stderr.write(f"entities: {[{name: one.statuses for name, one in side.items()} for side in (mine, other)]}\n")
    return _compared("Cassiopeia 0.0.1 over PostgreSQL 15 with PostGIS", mine, other, rates=("create", "retrieve", "update"), times=("query",)), right


def _entities(port: int, ask: Ask, count: int, *, whole: bool) -> Side:
    """Creates, reads, changes and questions of one broker; `whole` says id and type in a change, which the peer asks for."""
    said = [_town.entity(FIRST + n) for n in range(count)]
    name = [one["id"] for one in said]
    load(port, [ask("POST", "entities/" if whole else "entities", _town.entity(FIRST - 1 - n)) for n in range(20)])
    more = [{"id": one, "type": TYPE} if whole else {} for one in name]
    change = [one | {"dissolvedOxygen": {"type": "Property", "value": n, "observedAt": "2026-05-01T12:00:00Z"}} for n, one in enumerate(more)]
    question = f"entities{'/' if whole else ''}?type={TYPE}&q={SELECTIVE}" + ("" if whole else "&limit=1000")
    return {
        "create": load(port, [ask("POST", "entities/" if whole else "entities", one) for one in said]),
        "retrieve": load(port, [ask("GET", f"entities/{one}", None) for one in name]),
        "update": load(port, [ask("PATCH", f"entities/{one}/attrs{'/' if whole else ''}", said) for one, said in zip(name, change, strict=True)]),
        "query": load(port, [ask("GET", question, None)] * 40, connections=1, keep=[0]),
    }


def _sensorthings(bench: Bench, town: Town) -> tuple[dict[str, Any], bool]:
    count = bench.requests // 5
    with sensorthings() as port:
        other, _ = _observations(port, lambda verb, path, body=None: _request(verb, f"/sensorthings/v1.1/{path}", body), count)
    prefix = f"/{town.slug}/sensorthings/v1.1/"
    mine, fine = _observations(
        bench.port, lambda verb, path, body=None: _request(verb, prefix + path, body, f"Authorization: Bearer {town.token}"), count
    )  # fmt: skip
    figure = _compared("django-ogc-sensorthings 1.2.0 over the same PostgreSQL", mine, other, rates=("create", "data_array"), times=("filter_count", "expand"))
    figure["data_array"] |= {side: round(figure["data_array"][side] * ARRAY, 1) for side in ("value", "peer")} | {"unit": "observations/s"}
    return figure, fine


def _observations(port: int, ask: Ask, count: int) -> tuple[Side, bool]:
    """Single observations, arrays of two thousand, a filtered and counted page, and things with what they measure."""
    made = [_answer(port, ask("POST", "Things", _thing(n))) for n in range(SERIES)]
    streams = [one["value"][0]["@iot.id"] for one in (_answer(port, ask("GET", f"Things({_key(thing)})/Datastreams", None)) for thing in made)]
    single = [
        ask("POST", "Observations", {"phenomenonTime": _moment(n), "resultTime": _moment(n), "result": n % 50, "Datastream": {"@iot.id": streams[n % SERIES]}})
        for n in range(count)
    ]
    arrays = [
        [{"Datastream": {"@iot.id": stream}, "components": ["phenomenonTime", "resultTime", "result"], "dataArray@iot.count": ARRAY,
          "dataArray": [[_moment(100_000 + run * ARRAY + n), _moment(100_000 + run * ARRAY + n), n % 50] for n in range(ARRAY)]}]
        for run, stream in enumerate(streams[: 3 if count < 1_000 else SERIES])
    ]  # fmt: skip
    load(
        port,
        [ask("POST", "Observations", {"phenomenonTime": _moment(-1), "resultTime": _moment(-1), "result": 0, "Datastream": {"@iot.id": streams[0]}})],
        connections=1,
    )
    place = f"Datastreams({_key({'@iot.id': streams[0]})})/Observations"
    found = {
        "create": load(port, single),
        "data_array": load(port, [ask("POST", "CreateObservations", one) for one in arrays], connections=1),
        "filter_count": load(
            port, [ask("GET", f"{place}?$filter=result%20gt%2040&$orderby=result%20desc&$top=100&$count=true", None)] * 40, connections=1, keep=[0]
        ),
        "expand": load(port, [ask("GET", "Things?$top=10&$expand=Datastreams($expand=Sensor,ObservedProperty)", None)] * 40, connections=1, keep=[0]),
    }
    wanted = sum(n % 50 > 40 for n in range(ARRAY)) + sum(n % 50 > 40 for n in range(0, count, SERIES))
    page = found["filter_count"].body(0)
    things = [one for one in found["expand"].body(0)["value"] if one["name"].startswith("Caixa")]
    right = (
        page["@iot.count"] == wanted
        and all(one["result"] > 40 for one in page["value"])
        and all(one["Datastreams"][0]["Sensor"]["name"] == "S" for one in things)
    )
    sys.stderr.write(f"observations: {page['@iot.count']} of {wanted}, {len(things)} things, { {name: one.statuses for name, one in found.items()} }\n")
    return found, right and bool(things) and all(found[name].only(200, 201) for name in found)


def _thing(number: int) -> dict[str, Any]:
    point = {"type": "Point", "coordinates": _town.place(number)}
    stream = {
        "name": "Nível", "description": "d", "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
        "unitOfMeasurement": {"name": "metre", "symbol": "m", "definition": "ucum:m"},
        "Sensor": {"name": "S", "description": "d", "encodingType": "application/pdf", "metadata": "https://exemplo.pt/s.pdf"},
        "ObservedProperty": {"name": "Level", "definition": "http://exemplo.pt/Level", "description": "d"},
    }  # fmt: skip
    place = {"name": "Rua", "description": "d", "encodingType": "application/geo+json", "location": point}
    return {"name": f"Caixa {number}", "description": "d", "properties": {}, "Locations": [place], "Datastreams": [stream]}


def _moment(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_780_000_000 + second))


def _key(one: dict[str, Any]) -> str:
    return f"'{one['@iot.id']}'" if isinstance(one["@iot.id"], str) else str(one["@iot.id"])


def _answer(port: int, request: bytes) -> Any:
    """The body of one answer, or of what its Location names where a creation says nothing more."""
    measured = load(port, [request], connections=1, keep=[0])
    assert measured.only(200, 201), measured.answers[0][:600]
    if body := measured.answers[0].partition(b"\r\n\r\n")[2].strip():
        return json.loads(body)
    key = measured.header(0, "location").rpartition("(")[2].strip("')")
    return {"@iot.id": int(key) if key.isdigit() else key}


def _compared(peer: str, mine: Side, other: Side, *, rates: tuple[str, ...], times: tuple[str, ...]) -> dict[str, Any]:
    failed = {name: found for name, one in other.items() if (found := {status: n for status, n in one.statuses.items() if status >= 400 or not status})}
    figure: dict[str, Any] = {"peer": peer, **({"peer_failed": failed} if failed else {})}
    for name in rates:
        figure[name] = {
            "value": round(mine[name].per_s, 1),
            "peer": round(other[name].per_s, 1),
            "unit": "1/s",
            "times": round(mine[name].per_s / other[name].per_s, 1),
        }
    for name in times:
        ours, theirs = mine[name].percentile(0.95), other[name].percentile(0.95)
        figure[name] = {"value": round(ours, 1), "peer": round(theirs, 1), "unit": "ms, p95", "times": round(theirs / ours, 1)}
    return figure


def _request(verb: str, path: str, body: object = None, head: str = "") -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{verb} {path} HTTP/1.1", "Host: localhost", *([head] if head else []), "Content-Type: application/json", f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


@contextmanager
def sensorthings() -> Iterator[int]:
    """The SensorThings peer on the core of the servers, in a database of its own of our PostgreSQL. Its port."""
    from malha.foundation.database import service as database

    if importlib.util.find_spec("sensorthings") is None:
        raise NotHereError("the extra `bench` is not installed")
    import psycopg

    here = database.endpoint()
    with psycopg.connect(host=here.host, port=here.port, user="postgres", password=here.passwords["postgres"], dbname="postgres", autocommit=True) as conn:
        conn.execute("CREATE DATABASE bench_sensorthings")
    told = {"HOST": here.host, "PORT": str(here.port), "USER": "postgres", "PASSWORD": here.passwords["postgres"], "NAME": "bench_sensorthings"}
    given = {"BENCH_PEER_DATABASE": json.dumps(told), "PYTHONPATH": str(_town.HERE)}
    subprocess.run([sys.executable, str(_town.HERE / "_sta_peer.py")], env={**os.environ, **given}, check=True)
    with _town.server("_sta_peer:application", **given) as (port, _):
        yield port


@contextmanager
def cassiopeia() -> Iterator[int]:
    """The NGSI-LD peer on the core of the servers, over a PostGIS of its own. Its port."""
    built = Path(os.environ.get("BENCH_CASSIOPEIA") or os.devnull)
    node = shutil.which("node")
    if not (built / "dist" / "index.js").exists() or node is None:
        raise NotHereError("BENCH_CASSIOPEIA names no built checkout of Cassiopeia, or there is no node")
    with tempfile.TemporaryDirectory(prefix="malha-peer-") as folder, _postgis(Path(folder), (built / "db_init.sql").read_text() + SCHEMA) as database:
        port, place = _free(), Path(folder) / "run"
        (place / "contextCache").mkdir(parents=True)
        said = {"compressOutput": False, "port": port, "psql": database, "users": [{"username": "bench", "password": "bench"}]}
        (place / "cassiopeia_config.json").write_text(json.dumps(said))
        (place / "contextCache" / f"{hashlib.md5(CORE.encode(), usedforsecurity=False).hexdigest()}.jsonld").write_text(json.dumps({"@context": _core()}))
        command = [*_town.on_core(_town.SERVER_CORE), node, str(built / "index.js")]
        with subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _until_answers(port)
                yield port
            finally:
                process.terminate()


def _core() -> dict[str, Any]:
    """The core context as a peer of v1.3 needs it, of our own table: it would fetch it from the network."""
    from malha.vocabulary.contexts.core import DEFAULT_VOCABULARY, NGSI_LD, PREFIXES, TERMS

    moments = {name: {"@id": TERMS[name], "@type": f"{NGSI_LD}DateTime"} for name in ("observedAt", "createdAt", "modifiedAt")}
    names = {name: {"@id": TERMS[name], "@type": "@id"} for name in ("object", "datasetId")}
    lists = {"coordinates": {"@id": TERMS["coordinates"], "@container": "@list"}}
    return {**PREFIXES, "id": "@id", "type": "@type", "@vocab": DEFAULT_VOCABULARY, **TERMS, **moments, **names, **lists}


@contextmanager
def _postgis(folder: Path, schema: str) -> Iterator[dict[str, Any]]:
    """A server of the system's packages with PostGIS, its settings those that it comes with (written through); how to connect to it."""
    extension = next(iter(sorted(Path("/usr/share/postgresql").glob("*/extension/postgis.control"), reverse=True)), None)
    if extension is None:
        raise NotHereError("no PostGIS among the system's packages")
    binaries = Path("/usr/lib/postgresql") / extension.parent.parent.name / "bin"
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    data, port, password = folder / "data", _free(), folder / "password"
    folder.chmod(0o755)
    data.mkdir()
    password.write_text("bench")
    if os.geteuid() == 0:
        for one in (data, password):
            shutil.chown(one, user)
    as_user: dict[str, Any] = {"user": user, "cwd": "/"} if os.geteuid() == 0 else {}
    given = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8"]
    subprocess.run(given, **as_user, check=True, stdout=subprocess.DEVNULL)
    command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    with subprocess.Popen(command, **as_user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            told = {"host": "127.0.0.1", "port": port, "user": "postgres", "password": "bench", "database": "postgres"}
            _prepare(port, schema)
            yield told
        finally:
            process.terminate()
            process.wait(20)


def _prepare(port: int, schema: str) -> None:
    import psycopg

    end = time.monotonic() + 30
    while True:
        try:
            with psycopg.connect(host="127.0.0.1", port=port, user="postgres", password="bench", dbname="postgres", autocommit=True) as conn:
                kept = [line for line in schema.splitlines() if not line.startswith(("COPY ", "\\."))]  # the published dump copies no rows
                conn.execute("\n".join(kept))
                conn.execute("ALTER ROLE postgres SET search_path = public")
                return
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_answers(port: int) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
