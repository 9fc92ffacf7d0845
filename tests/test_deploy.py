"""What an operator takes from `deploy/`: units, front and containers say what the code does. Without root or a network; a tool that is missing skips its test."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from malha.foundation.settings.contracts import FIELDS
from malha.project import plane
from malha.project.checkout import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
PYTHON = "/opt/malha/.venv/bin/python"


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"falta {program}")
    return found


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8")))


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    verify = need("systemd-analyze")
    copies = []
    for unit in UNITS:
        copies.append(tmp_path / unit.name)
        copies[-1].write_text(unit.read_text(encoding="utf-8").replace(PYTHON, sys.executable), encoding="utf-8")
    done = subprocess.run([verify, "verify", "--man=no", "--generators=no", *copies], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if any(unit.name in line for unit in UNITS)]
    assert not said


def test_the_settings_that_the_files_name_exist() -> None:
    names = set(re.findall(r"^(MALHA_\w+)=", (DEPLOY / "malha.env").read_text(encoding="utf-8"), re.MULTILINE))
    names |= {name for service in compose()["services"].values() for name in service.get("environment", {}) if name.startswith("MALHA_")}
    front = {"MALHA_DOMAIN", "MALHA_WEB", "MALHA_PLANE"}  # read by the Caddyfile
    assert {name for name in names - front if name.removeprefix("MALHA_").removesuffix("_FILE").lower() not in FIELDS} == set()
    assert front == set(re.findall(r"\{\$(MALHA_\w+)", (DEPLOY / "Caddyfile").read_text(encoding="utf-8")))


def test_the_compose_file_fits_together() -> None:
    known = compose()
    services = known["services"]
    for name, service in services.items():
        assert "image" in service or "build" in service, name
        waits = service.get("depends_on", {})
        assert set(waits) <= set(services), name
        assert all(how["condition"] in {"service_healthy", "service_completed_successfully", "service_started"} for how in waits.values()), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in known["volumes"] or (DEPLOY / source).exists(), f"{name}: {volume}"
        module = re.search(r"malha\.project\.\w+", " ".join(service.get("command", [])))
        assert module is None or importlib.util.find_spec(module[0]) is not None, name
    assert services["migrate"]["restart"] == "no"
    assert services["front"]["environment"]["MALHA_WEB"] == "web:8700"
    assert "database" not in {name for name, service in services.items() if "ports" in service}, "only the front is reached from outside"


def test_the_front_sends_to_the_plane_what_the_plane_answers() -> None:
    said = re.search(r"@plane path_regexp \S*?\((ngsi-ld[^)]*)\)", (DEPLOY / "Caddyfile").read_text(encoding="utf-8"))
    assert said is not None
    assert {name.replace("\\", "") for name in said[1].split("|")} == plane.PREFIXES - {"health"}


@contextmanager
def named(name: str, *, ready: bool = True) -> Iterator[int]:
    """A server that answers everything with its name and what it was told, and says whether it is ready; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if ready or self.path != "/readyz" else 503)
            self.end_headers()
            self.wfile.write(f"{name} {self.path} {self.headers.get('X-Forwarded-Proto', '')}".encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def front(tmp_path: Path, web: int | str, behind: int) -> Iterator[str]:
    """Caddy with our Caddyfile on loopback, without certificates; its address."""
    program = need("caddy")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "MALHA_DOMAIN": f"http://localhost:{port}", "MALHA_WEB": f"127.0.0.1:{web}" if isinstance(web, int) else web, "MALHA_PLANE": f"127.0.0.1:{behind}",
        "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "CADDY_ADMIN": f"unix/{tmp_path}/admin.sock",
    }  # fmt: skip
    running = subprocess.Popen(
        [program, "run", "--config", DEPLOY / "Caddyfile", "--adapter", "caddyfile"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://localhost:{port}"
        deadline = time.monotonic() + 60
        while running.poll() is None and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{address}/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        running.terminate()
        running.wait(30)


def test_caddy_takes_each_path_where_it_belongs(tmp_path: Path) -> None:
    need("caddy")
    with named("web") as web, named("plane") as behind, front(tmp_path, web, behind) as address:

        def ask(path: str) -> list[str]:
            with urllib.request.urlopen(address + path, timeout=30) as answer:
                assert answer.headers["Strict-Transport-Security"]
                return str(answer.read().decode()).split()

        for route in plane.routes():
            path = re.sub(r"\{[^}]*\}", "x", str(getattr(route, "path", "")))
            for asked in (path, f"/vila{path}"):
                expected = "web" if path == "/health" else "plane"
                assert ask(asked)[:2] == [expected, asked], asked
        for asked in ("/", "/vila/", "/vila/dados/", "/vila/catalog.jsonld", "/conta/entrar/", "/static/assets/base.js"):
            assert ask(asked)[:2] == ["web", asked]
        assert ask("/vila/ngsi-ld/v1/entities")[2] == "http", "what came in by HTTP is said to have come so"


def test_caddy_leaves_out_a_replica_that_is_not_ready(tmp_path: Path) -> None:
    need("caddy")
    with (
        named("one") as one,
        named("two", ready=False) as two,
        named("plane") as behind,
        front(tmp_path, f"127.0.0.1:{one} 127.0.0.1:{two}", behind) as address,
    ):

        def answers() -> set[str]:
            found = set()
            for _ in range(12):
                with urllib.request.urlopen(f"{address}/vila/", timeout=30) as answer:
                    found.add(answer.read().decode().split()[0])
            return found

        deadline = time.monotonic() + 60
        while answers() != {"one"}:
            assert time.monotonic() < deadline, "the one that says no is still asked"
            time.sleep(0.2)
