"""What the steps share: the running platform, its tenants, and how other processes and visitors reach it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from malha.kernel.errors import Unavailable
from malha.kernel.text import msg
from malha.project import supervisor
from malha.project.verification.contracts import Inputs

READY_SECONDS = 120
#: a program of somebody else: gets a token for its secret, then reads every page of a type
READER = """
import json, sys, urllib.parse, urllib.request
base, client, secret, entity_type = sys.argv[1:]
form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client, "client_secret": secret}).encode()
token = json.load(urllib.request.urlopen(base + "/identity/o/api/token", form))["access_token"]
found, offset = {}, 0
while True:
    query = urllib.parse.urlencode({"type": entity_type, "limit": 1000, "offset": offset, "options": "keyValues"})
    page = json.load(urllib.request.urlopen(urllib.request.Request(base + "/ngsi-ld/v1/entities?" + query, headers={"Authorization": "Bearer " + token})))
    found.update({entity["id"]: entity for entity in page})
    if len(page) < 1000:
        break
    offset += 1000
json.dump({"token": token, "entities": found}, sys.stdout)
"""


@dataclass
class Road:
    """The platform that is verified, and what the steps learnt on the way."""

    data: Path
    inputs: Inputs
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The platform's address."""
        return f"http://localhost:{self.port}"

    def tenant_url(self, which: str = "tenant") -> str:
        """The address of one of the tenants."""
        return f"{self.url}/{self.known[which].slug}"

    def start(self) -> float:
        """`malha up` in a throw-away data folder; returns the seconds until it answered. Raises Unavailable."""
        self.port = supervisor.free_port("127.0.0.1", 8790)
        # the webhook of the road listens on this machine, where notices may otherwise not go
        ours = {"MALHA_DATA": str(self.data), "MALHA_PORT": str(self.port), "MALHA_PUBLIC_URL": self.url, "MALHA_FETCH_PRIVATE": "1"}
        for name in [name for name in os.environ if name.startswith("MALHA_")]:
            del os.environ[name]
        os.environ.update(ours)
        began = time.monotonic()
        log = self.data.parent / "up.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen([sys.executable, "-m", "malha", "up", "--no-demo"], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        while time.monotonic() - began < READY_SECONDS:
            if self.process.poll() is not None:
                break
            if self.status("/health") == 200:
                return time.monotonic() - began
            time.sleep(0.1)
        raise Unavailable(msg("A Malha não arrancou: {reason}"), reason=log.read_text(errors="replace")[-500:])

    def stop(self) -> None:
        """End the platform as Ctrl-C does."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def get(self, path: str, *, token: str = "", accept: str = "") -> bytes:
        """What a visitor without session gets; raises urllib's HTTPError for a refusal."""
        headers = {key: value for key, value in {"Authorization": f"Bearer {token}" if token else "", "Accept": accept}.items() if value}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", headers=headers), timeout=20) as answer:  # noqa: S310 -- our own address
            return bytes(answer.read())

    def status(self, path: str, *, token: str = "") -> int:
        """The HTTP status that a visitor gets; 0 when nobody answers."""
        try:
            self.get(path, token=token)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0
        return 200

    def read_as_a_program(self, client: str, secret: str, entity_type: str) -> dict[str, Any]:
        """Every entity of a type as a process of its own reads it, with its token."""
        done = subprocess.run(  # noqa: S603 -- our own reader
            [sys.executable, "-c", READER, self.tenant_url(), client, secret, entity_type], capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise Unavailable(msg("O outro processo não conseguiu ler: {reason}"), reason=done.stderr.strip()[-400:])
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


def throw_away_folder() -> Path:
    """A folder of its own for one verification, closed to others."""
    return Path(tempfile.mkdtemp(prefix="malha-verify-"))
