"""`./malha up` as people live with it: a taken port, a second start, a kill, Ctrl-C. One installation of its own, in real processes."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

READY_SECONDS = 240  # a busy machine is no fault of the program
LIST = """
import json, subprocess, sys
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
with database.connect(Role.OWNER, autocommit=True) as conn:
    (last,) = conn.execute("SELECT max(relname) FROM pg_class WHERE relname ~ '^observation_hot_[0-9]{8}$'").fetchone()
    conn.execute(f"DROP TABLE {last}")
    done = subprocess.run([sys.executable, "-m", "malha", "tenant", "list", "--json"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    (still,) = conn.execute("SELECT to_regclass(%s)", [last]).fetchone()
print(json.dumps({"tenants": json.loads(done.stdout), "migrated": still is not None}))
"""
#: makes the tables of an older version: without the last change to what is known of tokens
OLDER = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
import django
from django.core.management import call_command
django.setup()
call_command("migrate", "tokens", "0001", database="owner", verbosity=0)
"""


def environment(data: Path, language: str = "pt_PT.UTF-8") -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALHA_", "DJANGO_", "LC_", "PYTEST_"))}
    return {**kept, "MALHA_DATA": str(data), "LANG": language, "PYTHONUNBUFFERED": "1"}


def command(data: Path, *words: str, language: str = "pt_PT.UTF-8") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "malha", *words], env=environment(data, language), capture_output=True, text=True, check=False)


@contextmanager
def up(data: Path, port: int, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    with said.open("wb") as output:
        words = [sys.executable, "-m", "malha", "up", "--no-demo", "--port", str(port)]
        process = subprocess.Popen(words, env=environment(data), stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def address(process: subprocess.Popen[bytes], said: Path) -> str:
    """The address that it printed, once it did."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Malha em (http://localhost:\d+)", said.read_text()):
            return found.group(1)
        time.sleep(0.2)
    raise AssertionError(f"not ready:\n{said.read_text()}")


def working(data: Path) -> list[str]:
    """Command lines of living processes that were told of this data folder, or hold it; the server of PostgreSQL too."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            told = (folder / "environ").read_bytes()
        except OSError:
            continue
        if int(folder.name) != os.getpid() and (str(data) in line or f"MALHA_DATA={data}\0".encode() in told):
            found.append(line.strip())
    return found


def listening(port: int) -> set[str]:
    """The IPv4 addresses on which somebody listens at `port`, and "::" for any over IPv6."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, at = line.split()[1].split(":")
        if line.split()[3] == "0A" and int(at, 16) == port:
            found.add(str(ipaddress.ip_address(int.from_bytes(bytes.fromhex(address), "little"))))
    six = Path("/proc/net/tcp6").read_text().splitlines()[1:] if Path("/proc/net/tcp6").exists() else []
    return found | {"::" for line in six if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")}


def gone(data: Path, but: str = "", seconds: float = 30) -> list[str]:
    """What is still there after a while, besides what has `but` in its command line or its title."""
    deadline = time.monotonic() + seconds
    while (left := [line for line in working(data) if not but or but not in line]) and time.monotonic() < deadline:
        time.sleep(0.3)
    return left


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


def answer(data: Path, *words: str) -> dict[str, Any]:
    """What a command tells a program: one JSON document and nothing else, on an installation at work."""
    done = command(data, *words, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def programs_are_answered(data: Path, folder: Path) -> None:
    """Copies and links are told in JSON; failure is told by the exit code and a sentence, not by a document."""
    made = answer(data, "backup", "--to", str(folder / "copies"))
    assert (made["place"], made["inside_data"], made["check"]) == (str(folder / "copies"), False, None)
    assert made["counts"]["entities"] == 0
    listed = answer(data, "backup", "list", "--to", str(folder / "copies"))
    assert [one["id"] for one in listed["copies"]] == [made["id"]]
    copied = answer(data, "database", "copy", "--into", str(folder / "dumps"))
    assert {one.name for one in Path(copied["folder"]).iterdir()} == {"malha.dump", "lake.dump"}
    assert answer(data, "federate", "--tenant", "aveiro") == {"links": []}
    none = command(data, "backup", "list", "--to", str(folder / "nothing"), "--json")
    assert (none.returncode, none.stdout) == (1, "")
    refused = command(data, "federate", "--tenant", "nao-ha", "--json")
    assert (refused.returncode, refused.stdout) == (1, "")


@pytest.mark.skipif(sys.platform != "linux", reason="os processos leem-se em /proc")
def test_it_works(tmp_path: Path, taken: int) -> None:
    data, said = tmp_path / "data", tmp_path / "up.log"
    with up(data, taken, said) as first:
        url = address(first, said)
        assert f"A porta {taken} está ocupada; uso a {url.rpartition(':')[2]}." in said.read_text()
        with urllib.request.urlopen(url, timeout=60) as page:
            assert page.status == 200

        for language, word in (("pt_PT.UTF-8", "já está a correr"), ("en_GB.UTF-8", "already runs")):
            second = command(data, "up", "--no-demo", language=language)
            assert second.returncode == 1
            assert word in second.stderr
            assert f"{data} (pid {first.pid})" in second.stderr
            assert "port" not in second.stdout, "who is refused is told of nothing else"
            assert "Traceback" not in second.stderr
        assert first.poll() is None
        made = command(data, "tenant", "create", "0105")
        assert made.returncode == 0, made.stderr
        invited = json.loads(command(data, "user", "invite", "ana@exemplo.pt", "--tenant", "aveiro", "--json").stdout)
        assert invited["link"].startswith(f"{url}/aveiro/"), "a command beside speaks of the port that was found free"
        for words, said_of_it in ((["tenant", "list"], "Município"), (["tenant", "show", "aveiro"], "Sistema de coordenadas")):
            assert said_of_it in command(data, *words).stdout

        beside = subprocess.run([sys.executable, "-c", LIST], env=environment(data), capture_output=True, text=True, check=False)
        assert beside.returncode == 0, beside.stderr
        assert json.loads(beside.stdout)["migrated"] is False, "a command beside it makes no tables, so that it waits for no load"

        programs_are_answered(data, tmp_path)
        first.kill()
        first.wait()
        assert gone(data, but="postgres") == [], "what served ends with its supervisor"

    done = subprocess.run([sys.executable, "-c", OLDER], env=environment(data), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with up(data, taken, said) as again:
        url = address(again, said)
        copy = re.search(r"Dados de uma versão anterior: cópia feita em (\S+)\.\n", said.read_text())
        assert copy is not None, said.read_text()
        assert f"./malha database restore {copy[1]}" in said.read_text()
        assert {one.name for one in Path(copy[1]).iterdir()} == {"malha.dump", "lake.dump"}
        assert listening(int(url.rpartition(":")[2])) == {"127.0.0.1"}, "never beyond loopback unless told"
        assert len(working(data)) > 3
        again.send_signal(signal.SIGINT)
        assert again.wait(60) == 0
        assert "A parar" in said.read_text()
        assert gone(data) == [], "Ctrl-C leaves nothing behind"
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(url, timeout=2)


@pytest.mark.parametrize(
    ("words", "code"), [(["up", "--port", "porta"], 2), (["nada"], 2), (["tenant", "show", "nao-ha"], 1), (["models", "validate", "/nao/ha"], 2)]
)
def test_exit_codes_tell_misuse_from_failure(tmp_path: Path, words: list[str], code: int) -> None:
    done = command(tmp_path / "data", *words)
    assert done.returncode == code, done.stderr
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
