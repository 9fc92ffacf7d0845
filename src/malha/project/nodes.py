"""Several installations on this machine, each a plane process with a database of its own in one PostgreSQL: for tests and measurements.

`nodes(folder, names)` yields them ready to be asked. The processes are forks of one that has read the code already, so that
twenty-five of them start in seconds. Not for production: there are no pages, and of the worker only what tells of changes, where it is asked for.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from malha.foundation.database import service as database
from malha.foundation.settings import service as settings

TENANT = "no"
READY_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Node:
    """One installation: its address, a token for everything of its tenant `no`, and the process that answers."""

    name: str
    url: str
    token: str
    pid: int

    @property
    def api(self) -> str:
        """Where its NGSI-LD API is."""
        return f"{self.url}/{TENANT}/ngsi-ld/v1"

    def kill(self) -> None:
        """End the process without warning."""
        os.kill(self.pid, signal.SIGKILL)


@contextmanager
def nodes(
    folder: Path, names: Sequence[str], *, delays: Mapping[str, float] | None = None, like: str = "template0", kept: bool = False,
    working: bool = False,
) -> Iterator[list[Node]]:  # fmt: skip
    """Installations on the PostgreSQL of this process, kept in `folder`; `delays` are seconds that a node takes for each answer.

    `working` has them tell subscribers and sources of changes, as the worker does. They begin as copies of the database `like`, and are dropped afterwards unless `kept` (where the whole server goes).
    """
    mark = f"node_{os.getpid()}_"
    made: list[str] = []
    server: subprocess.Popen[bytes] | None = None
    try:
        with _superuser() as conn:
            for name in ("template", *names):
                _folder(folder / name, mark + name)
            made.append(mark + "template")
            _create(conn, mark + "template", like)
            subprocess.run(  # noqa: S603 -- our own module
                [sys.executable, "-m", __name__, "template"], env=_environment(folder / "template"), check=True
            )
            for name in names:
                made.append(mark + name)
                _create(conn, mark + name, mark + "template")
        spec = [{"name": name, "data": str(folder / name), "delay": (delays or {}).get(name, 0.0), "working": working} for name in names]
        command = [sys.executable, "-m", __name__, "serve", json.dumps(spec)]
        server = subprocess.Popen(command, env=_environment(folder / "template"), stdout=subprocess.PIPE)  # noqa: S603 -- our own module
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in names]
        told = {one.name: one for one in (Node(**json.loads(line)) for line in lines)}
        yield [told[name] for name in names]
    finally:
        if server is not None:
            server.terminate()
            server.wait(20)
        with _superuser() as conn:
            for name in () if kept else made:
                conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _superuser() -> psycopg.Connection[Any]:
    place = database.endpoint()
    return psycopg.connect(host=place.host, port=place.port, user="postgres", password=place.passwords["postgres"], dbname="postgres", autocommit=True)


def _create(conn: psycopg.Connection[Any], name: str, template: str = "template0") -> None:
    conn.execute(sql.SQL("CREATE DATABASE {} OWNER malha_owner TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    if template == "template0":
        place = database.endpoint()
        with psycopg.connect(host=place.host, port=place.port, user="postgres", password=place.passwords["postgres"], dbname=name, autocommit=True) as inside:
            database.bootstrap(conn, inside, passwords=dict(place.passwords))


def _folder(folder: Path, name: str) -> None:
    """A data folder whose database is another one of the same server."""
    place = database.endpoint()
    (folder / "secrets").mkdir(parents=True, exist_ok=True)
    (folder / "secrets" / "postgres.json").write_text(json.dumps(dict(place.passwords)))
    told = {"host": place.host, "port": place.port, "database": name, "lake_database": place.lake_database}
    (folder / "endpoint.json").write_text(json.dumps(told))


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALHA_")}
    return {**kept, "MALHA_DATA": str(folder), "MALHA_INTERNAL_HOSTS": "*=127.0.0.0/8", "DJANGO_SETTINGS_MODULE": "malha.project.settings"}


def _template() -> None:
    """Migrate the database of this process and make its one tenant."""
    from malha.project import supervisor

    supervisor.migrate()
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind

    tenant = tenancy.create_tenant(slug=TENANT, name="Nó", kind=OrganisationKind.MUNICIPALITY)
    from malha.foundation.access.contracts import Capability
    from malha.foundation.database import django as scopes
    from malha.foundation.identity import service as identity

    with scopes.scope(tenant.id):
        identity.create_machine(tenant.id, name="Nó", capabilities=list(Capability), types=None, created_by=None)


def _serve(spec: Sequence[Mapping[str, Any]]) -> None:
    """Fork a process for each node and wait until told to end."""
    import uvicorn  # noqa: F401 -- read before the forks, for all of them

    from malha.project import plane  # noqa: F401 -- as above

    children = [_fork(one) for one in spec]

    def end(*_: object) -> None:
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        signal.pause()


def _fork(one: Mapping[str, Any]) -> int:
    from uvicorn.loops.auto import auto_loop_factory

    pid = os.fork()
    if pid:
        return pid
    os.environ["MALHA_DATA"] = str(one["data"])
    settings.current.cache_clear()
    database.endpoint.cache_clear()
    try:
        asyncio.run(_node(str(one["name"]), float(one["delay"]), working=bool(one["working"])), loop_factory=auto_loop_factory())
    finally:
        os._exit(0)


def _work() -> None:
    """What the worker does for subscriptions, in threads that end with the process."""
    from malha.context.federation.passing_on import forwarding
    from malha.project import composition

    for run in (composition.notify, forwarding.run):
        threading.Thread(target=run, args=[threading.Event()], daemon=True).start()


async def _node(name: str, delay: float, *, working: bool) -> None:
    import uvicorn

    place = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # where no protocol is named, loops leave answers to wait for more (Nagle)
    place.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{place.getsockname()[1]}"
    os.environ["MALHA_PUBLIC_URL"] = url  # sources tell it what changes there
    settings.current.cache_clear()

    from malha.foundation.access.contracts import Capability
    from malha.foundation.tokens import service as tokens
    from malha.project import plane

    with database.connect(autocommit=True) as conn:
        row = conn.execute("SELECT id FROM organisation WHERE slug = %s", [TENANT]).fetchone()
        assert row is not None
        with database.tenant_transaction(conn, [row[0]]):
            machine = conn.execute("SELECT client_id FROM machine_client").fetchone()
        assert machine is not None
        token = tokens.issue(conn, settings.secret_key(), subject=f"client:{machine[0]}", tenants=[row[0]], capabilities=list(Capability))
    application = plane.application()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if delay and scope["type"] == "http":
            await asyncio.sleep(delay)
        await application(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", http="malha.project.entrance:Connection"))
    serving = asyncio.create_task(server.serve(sockets=[place]))
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.01)
    if working:
        _work()
    told = {"name": name, "url": url, "token": token, "pid": os.getpid()}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    await serving


if __name__ == "__main__":
    _template() if sys.argv[1] == "template" else _serve(json.loads(sys.argv[2]))
