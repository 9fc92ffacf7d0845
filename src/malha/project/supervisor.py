"""Start, watch and stop the processes of one installation: database, one port, worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from malha.foundation.database import service as database
from malha.foundation.database.contracts import DatabaseError, Role
from malha.foundation.database.embedded import Cluster
from malha.foundation.settings import service as settings
from malha.kernel.errors import Unavailable
from malha.kernel.text import msg
from malha.project import lifeline

if TYPE_CHECKING:
    from django.db.migrations.executor import MigrationExecutor

STOP_SECONDS = 10
RESTARTS = 5
RESTART_WINDOW_SECONDS = 60


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
def running_database() -> Iterator[Callable[[], None]]:
    """The embedded server while the block runs, or the server that `MALHA_DATABASE_URL` names.

    Yields a function that starts the embedded server again when it has ended on its own.
    """
    if settings.current().database_url:
        database.prepare_server()
        yield lambda: None
        return
    cluster = Cluster(settings.current().data)
    cluster.lock()
    try:
        cluster.prepare(cluster.start())
        database.endpoint.cache_clear()
        try:
            yield cluster.keep_running
        finally:
            cluster.stop()
    finally:
        cluster.release()


@contextmanager
def platform() -> Iterator[None]:
    """Django set up on this installation's database: the one that `./malha up` runs now, or one of our own for a moment.

    A database that serves is migrated only when a migration waits: whoever only lists must not stand in line behind a load.
    """
    if _answers():
        _take_its_port()
        if migrations_wait():
            migrate()
        yield
        return
    with running_database():
        migrate()
        yield


def serves_at(port: int | None) -> None:
    """Note beside the data on which port it is served, so that a command beside tells the right address; None: no more."""
    place = settings.current().data / "port"
    if port is None:
        place.unlink(missing_ok=True)
    else:
        place.write_text(str(port), encoding="utf-8")


def _take_its_port() -> None:
    """Speak of the port on which the installation runs, where nobody names another: it may have found its own taken."""
    place = settings.current().data / "port"
    if "MALHA_PORT" not in os.environ and place.exists():
        os.environ["MALHA_PORT"] = place.read_text(encoding="utf-8")
        settings.current.cache_clear()


def _answers() -> bool:
    """Whether somebody runs the database of this data folder."""
    try:
        database.connect(Role.OWNER).close()
    except (DatabaseError, psycopg.OperationalError):
        database.endpoint.cache_clear()
        return False
    return True


def migrate() -> None:
    """Bring the tables to this version, as their owner."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", database="owner", verbosity=0, interactive=False)


def _executor() -> MigrationExecutor:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
    import django
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    django.setup()
    return MigrationExecutor(connections["owner"])


def migrations_wait() -> bool:
    """Whether the tables lack a migration of this version, or are not made at all."""
    executor = _executor()
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def older_data() -> bool:
    """Whether the tables hold data of an older version: some migrations were applied and others wait."""
    return bool(_executor().loader.applied_migrations) and migrations_wait()


@dataclass
class Child:
    """One process of the installation, with what is needed to start it again."""

    arguments: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes]
    starts: list[float] = field(default_factory=list)


class Processes:
    """The children of the supervisor. One that ends on its own is started again, but not for ever.

    They hold the read end of a pipe whose other end is ours alone, so that they end with us even when we are killed.
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.children: dict[str, Child] = {}
        self._lifeline, self._ours = os.pipe()
        self._gate, key = os.pipe()
        self._key: int | None = key

    def open_gate(self) -> None:
        """Let the children that wait at the gate begin."""
        if self._key is not None:
            os.close(self._key)
            self._key = None

    def start(self, name: str, *arguments: str) -> None:
        """Start `python -m …` as a child called `name`; what it says goes to a log of that name. It may wait at the gate."""
        log = self.logs / f"{name}.log"
        self.children[name] = Child(arguments, log, self._spawn(arguments, log), [time.monotonic()])

    def _spawn(self, arguments: tuple[str, ...], log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 -- our own modules
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[self._lifeline, self._gate],
                env={**os.environ, lifeline.VARIABLE: str(self._lifeline), lifeline.GATE: str(self._gate)},
            )

    def check(self, *, give_up: bool = True) -> list[str]:
        """Start again what has ended; returns the names. Raises Unavailable for a child that keeps ending; without `give_up` it waits."""
        restarted: list[str] = []
        for name, child in self.children.items():
            if child.process.poll() is None:
                continue
            child.starts = [moment for moment in child.starts if time.monotonic() - moment < RESTART_WINDOW_SECONDS]
            if len(child.starts) >= RESTARTS:
                if not give_up:
                    continue
                raise Unavailable(msg("O processo {name} não se aguenta (código {code}). Veja {log}."), name=name, code=child.process.returncode, log=child.log)
            child.process = self._spawn(child.arguments, child.log)
            child.starts.append(time.monotonic())
            restarted.append(name)
        return restarted

    def stop(self) -> None:
        """Ask every child to end, and end those that do not."""
        running = [child.process for child in self.children.values()]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM if self._key is None else signal.SIGKILL)  # what waits at the gate has nothing to end
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(url: str, processes: Processes, seconds: float = 120) -> None:
    """Return when `url` answers. Raises Unavailable when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for name, child in processes.children.items():
            if child.process.poll() is not None:
                raise Unavailable(msg("O processo {name} parou (código {code}). Veja {log}."), name=name, code=child.process.returncode, log=child.log)
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310 -- our own address
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise Unavailable(msg("A Malha não respondeu em {seconds} segundos em {url}."), seconds=seconds, url=url)
