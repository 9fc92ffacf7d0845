"""Start, watch and stop the processes of one installation: database, one port, worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from malha.foundation.database import service as database
from malha.foundation.database.embedded import Cluster
from malha.foundation.settings import service as settings
from malha.kernel.errors import Unavailable
from malha.kernel.text import msg

STOP_SECONDS = 10


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or the next port nobody listens on. Raises Unavailable after a hundred."""
    for port in range(wanted, wanted + 100):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise Unavailable(msg("As portas de {first} a {last} estão todas ocupadas; escolha outra com --port."), first=wanted, last=wanted + 99)


@contextmanager
def running_database() -> Iterator[None]:
    """The embedded server while the block runs, or the server that `MALHA_DATABASE_URL` names."""
    if settings.current().database_url:
        database.prepare_server()
        yield
        return
    cluster = Cluster(settings.current().data)
    cluster.lock()
    try:
        cluster.prepare(cluster.start())
        database.endpoint.cache_clear()
        try:
            yield
        finally:
            cluster.stop()
    finally:
        cluster.release()


def migrate() -> None:
    """Bring the tables to this version, as their owner."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", database="owner", verbosity=0, interactive=False)


class Processes:
    """The children of the supervisor; when one dies on its own the whole stops and says which."""

    def __init__(self) -> None:
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str, log: Path | None = None) -> None:
        """Start `python -m …` as a child called `name`."""
        output = log.open("ab") if log else None
        self.children[name] = subprocess.Popen(  # noqa: S603 -- our own modules
            [sys.executable, "-m", *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )

    def wait(self) -> None:
        """Block until a child ends. Raises Unavailable naming it."""
        while True:
            for name, child in self.children.items():
                if child.poll() is not None:
                    raise Unavailable(msg("O processo {name} parou (código {code})."), name=name, code=child.returncode)
            time.sleep(0.5)

    def stop(self) -> None:
        """Ask every child to end, and end those that do not."""
        for child in self.children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def wait_until_ready(url: str, processes: Processes, seconds: float = 30) -> None:
    """Return when `url` answers. Raises Unavailable when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for name, child in processes.children.items():
            if child.poll() is not None:
                raise Unavailable(msg("O processo {name} parou (código {code})."), name=name, code=child.returncode)
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310 -- our own address
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise Unavailable(msg("A Malha não respondeu em {seconds} segundos em {url}."), seconds=seconds, url=url)
