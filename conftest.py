"""One embedded PostgreSQL, migrated once, for a test run; a copy of it for each worker.

Tests isolate themselves by tenant: each makes its own (`new_tenant`), so that nothing has to be emptied.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

RUN = "PYTEST_MALHA_RUN"  # folder of the run, inherited by the workers
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")
FAST = "\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
_cluster: Any = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rehearsals", action="store_true", help="run the rehearsals too: minutes each, on a machine that does nothing else")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave rehearsals out unless they are asked for; begin with what tidies the whole lake, while little is in it."""
    items.sort(key=lambda item: item.get_closest_marker("whole_lake") is None)
    if config.getoption("--rehearsals"):
        return
    left_out = [item for item in items if item.get_closest_marker("rehearsal")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_configure(config: pytest.Config) -> None:
    if "MALHA_SCREENS" in os.environ:  # the browser tests then keep their pictures
        os.environ["PYTEST_MALHA_SCREENS"] = os.environ["MALHA_SCREENS"]
    for name in [name for name in os.environ if name.startswith("MALHA_") and name != "MALHA_SAMPLES"]:
        del os.environ[name]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
    if hasattr(config, "workerinput"):
        _use_copy(Path(os.environ[RUN]), config.workerinput["workerid"])
        import django

        django.setup()
    else:
        _start_cluster(shared=not getattr(config.option, "numprocesses", None))


def _start_cluster(*, shared: bool) -> None:
    """Make the migrated cluster; where workers run the tests, stop it again: each starts a copy."""
    global _cluster  # noqa: PLW0603 -- stopped in pytest_unconfigure
    folder = Path(tempfile.mkdtemp(prefix="malha-test-"))
    folder.chmod(0o755)
    os.environ[RUN] = str(folder)
    os.environ["MALHA_DATA"] = str(folder)
    from malha.foundation.database.embedded import Cluster
    from malha.project import supervisor

    _cluster = Cluster(folder, FAST)
    _cluster.lock()
    _cluster.prepare(_cluster.start())
    supervisor.migrate()
    from django.db import connections

    connections.close_all()
    if not shared:
        _cluster.stop()


def _use_copy(run: Path, worker: str) -> None:
    """A server of the worker's own: an open transaction of one worker holds up no event of another."""
    global _cluster  # noqa: PLW0603 -- stopped in pytest_unconfigure
    data = run / worker
    data.mkdir(mode=0o755)
    for part in ("postgres", "secrets"):
        subprocess.run(["cp", "-a", str(run / part), str(data / part)], check=True)
    os.environ["MALHA_DATA"] = str(data)
    from malha.foundation.database.embedded import Cluster

    _cluster = Cluster(data, FAST)
    _cluster.lock()
    _cluster.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _cluster is None:
        return
    from django.db import connections

    connections.close_all()
    _cluster.stop()
    _cluster.release()
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ[RUN], ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """No test talks to the world."""
    real = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
            raise AssertionError(f"a test tried to reach {address}")
        real(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = real  # type: ignore[method-assign]


@pytest.fixture
def new_tenant() -> Callable[..., Any]:
    """Make a tenant of its own for a test: `new_tenant()` or `new_tenant(name="Vila Nova")`."""
    from malha.foundation.tenancy import service
    from malha.foundation.tenancy.contracts import OrganisationKind

    def make(name: str = "Vila de Ensaio", **fields: Any) -> Any:
        slug = fields.pop("slug", f"ensaio-{uuid4().hex[:10]}")
        return service.create_tenant(slug=slug, name=name, kind=fields.pop("kind", OrganisationKind.MUNICIPALITY), **fields)

    return make


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real files: `MALHA_SAMPLES`, else `../shared/data` beside the checkout; skips without it."""
    from malha.project.verification import inputs

    place = inputs.find(None)
    return place if place is not None else pytest.skip("falta a pasta de exemplos (MALHA_SAMPLES)")
