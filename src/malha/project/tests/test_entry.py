"""`./malha` itself: what it gives to the installer, what a cut leaves, and two that start at once. The installer is one of ours that notes what it gets."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

ENTRY = Path(__file__).resolve().parents[4] / "malha"
pytestmark = pytest.mark.skipif(not ENTRY.is_file(), reason="só num checkout")

#: makes an environment whose Python says what it is asked for; $SLOW makes it last, $CUT makes it fail once
UV = """#!/bin/sh
case $1 in --version) echo "uv 0"; exit 0 ;; esac
env > "$NOTED/env.$$"
echo "$*" >> "$NOTED/calls"
if [ -n "${CUT:-}" ] && [ ! -e "$NOTED/cut" ]; then touch "$NOTED/cut"; exit 2; fi
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
touch "$NOTED/begun"
if [ -n "${SLOW:-}" ]; then while [ ! -e "$NOTED/end" ]; do sleep 0.05; done; fi
printf '#!/bin/sh\\nif [ "$1" = -m ] && [ "$2" = malha ]; then shift 2; echo "malha $*"; exit 0; fi\\nexec %s "$@"\\n' "$REAL" > "$UV_PROJECT_ENVIRONMENT/bin/python"
chmod +x "$UV_PROJECT_ENVIRONMENT/bin/python"
"""


class House:
    """A checkout with the script alone, and an installer of ours on the path."""

    def __init__(self, place: Path) -> None:
        self.tree, self.noted, self.bin = place / "malha", place / "noted", place / "bin"
        for folder in (self.tree, self.noted, self.bin):
            folder.mkdir()
        shutil.copy(ENTRY, self.tree / "malha")
        for name in ("uv.lock", "pyproject.toml"):
            (self.tree / name).write_text("one\n")
        (self.bin / "uv").write_text(UV)
        (self.bin / "uv").chmod(0o755)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        base = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.tree), "NOTED": str(self.noted), "REAL": sys.executable, "MALHA_PYTHON": sys.executable}
        return {**base, "LANG": "pt_PT.UTF-8", **more}

    def begin(self, *words: str, **more: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen([self.tree / "malha", *words], env=self.environment(more), stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def run(self, *words: str, **more: str) -> tuple[int, str, str]:
        running = self.begin(*words, **more)
        out, err = running.communicate(timeout=120)
        return running.returncode, out, err

    def calls(self) -> list[str]:
        return (self.noted / "calls").read_text().splitlines() if (self.noted / "calls").exists() else []

    def wait_for(self, name: str) -> None:
        until = time.monotonic() + 60
        while not (self.noted / name).exists():
            assert time.monotonic() < until, f"{name} never came"
            time.sleep(0.02)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_it_works(house: House) -> None:
    code, out, err = house.run("version", "--json")
    assert (code, out) == (0, "malha version --json\n")
    assert "cerca de 350 MB" in err
    assert house.run("version") == (0, "malha version\n", ""), "what is installed is not installed again"
    (house.tree / "uv.lock").write_text("two\n")
    assert "A atualizar os pacotes" in house.run("version")[2]
    assert len(house.calls()) == 2
    assert not (house.tree / ".malha" / "installing").is_symlink()


def test_a_cut_is_tried_again_and_goes_on(house: House) -> None:
    code, out, err = house.run("version", CUT="1")
    assert (code, out) == (0, "malha version\n")
    assert "a partir de onde ficou" in err


def test_killed_in_the_middle_it_goes_on_the_next_time(house: House) -> None:
    first = house.begin("version", SLOW="1")
    house.wait_for("begun")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate(timeout=60)
    assert (house.tree / ".malha" / "installing").is_symlink(), "nobody could tidy"
    code, out, err = house.run("version")
    assert (code, out) == (0, "malha version\n")
    assert "Outro" not in err, "who died is waited for by nobody"
    assert not (house.tree / ".malha" / "installing").is_symlink()


def test_stopped_by_the_person_it_leaves_no_lock(house: House) -> None:
    first = house.begin("version", SLOW="1")
    house.wait_for("begun")
    os.killpg(first.pid, signal.SIGTERM)
    first.communicate(timeout=60)
    assert first.returncode != 0
    assert not (house.tree / ".malha" / "installing").is_symlink()


def test_two_at_once_install_once(house: House) -> None:
    first = house.begin("test", SLOW="1")
    house.wait_for("begun")
    second = house.begin("version")
    assert second.stderr is not None
    said = second.stderr.readline()
    assert f"Outro ./malha está a instalar os pacotes (processo {first.pid})" in said
    (house.tree / ".venv" / "bin" / "pytest").write_text("")  # what the first one brings
    (house.tree / ".venv" / "bin" / "pytest").chmod(0o755)
    (house.noted / "end").touch()
    assert first.communicate(timeout=60)[0] == "malha test\n"
    assert second.communicate(timeout=60)[0] == "malha version\n"
    assert len(house.calls()) == 1


def test_proxies_and_certificates_reach_the_installer(house: House) -> None:
    given = {"HTTPS_PROXY": "http://proxy.exemplo:3128", "NO_PROXY": "localhost", "PIP_INDEX_URL": "https://espelho.exemplo/simple", "UV_HTTP_TIMEOUT": "7"}
    assert house.run("version", **given, REQUESTS_CA_BUNDLE="/etc/casa.pem")[0] == 0
    (noted,) = house.noted.glob("env.*")
    told = dict(line.split("=", 1) for line in noted.read_text().splitlines() if "=" in line)
    assert {name: told.get(name) for name in given} == given
    assert {told.get(name) for name in ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")} == {"/etc/casa.pem"}
    assert told["UV_SYSTEM_CERTS"] == "1"
    assert "sync --frozen" in house.calls()[0]
