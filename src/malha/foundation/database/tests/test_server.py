"""A server of somebody else's: by TCP, with SCRAM, as a superuser, as a user that may only create, and as one that may not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from malha.foundation.database import service
from malha.foundation.database.contracts import DatabaseError, Role
from malha.foundation.database.embedded import SUPERUSER, Cluster
from malha.foundation.settings import service as settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    """A second PostgreSQL that listens on TCP and knows nothing of us; yields (port, password of its superuser)."""
    folder = tmp_path_factory.mktemp("server")
    for place in (folder, folder.parent, folder.parent.parent):
        place.chmod(0o755)
    port = _free_port()
    cluster = Cluster(folder, f"\nlisten_addresses = '127.0.0.1'\nport = {port}\nfsync = off\nsynchronous_commit = off\n")
    cluster.lock()
    endpoint = cluster.start()
    hba = folder / "postgres" / "pg_hba.conf"
    hba.write_text(hba.read_text() + "host all all 127.0.0.1/32 scram-sha-256\n")
    cluster._pg_ctl("reload")
    yield port, endpoint.passwords[SUPERUSER]
    cluster.stop()
    cluster.release()


@pytest.fixture
def against(server, tmp_path, monkeypatch):
    """Point this process to the server: `against(user, password)` gives the environment for another."""

    def point(user: str, password: str) -> dict[str, str]:
        names = {"MALHA_DATABASE_URL": f"postgresql://{user}:{password}@127.0.0.1:{server[0]}/postgres", "MALHA_DATA": str(tmp_path / "data")}
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        settings.current.cache_clear()
        service.endpoint.cache_clear()
        return {**{k: v for k, v in os.environ.items() if not k.startswith("MALHA_")}, **names}

    yield point
    monkeypatch.undo()
    settings.current.cache_clear()
    service.endpoint.cache_clear()


def administrator(server) -> psycopg.Connection:
    return psycopg.connect(host="127.0.0.1", port=server[0], user=SUPERUSER, password=server[1], dbname="postgres", autocommit=True)


def migrated(environment: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-m", "malha.project.migrate"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_it_works(server, against):
    environment = against(SUPERUSER, server[1])
    migrated(environment)
    migrated(environment)  # and again, as at every start
    service.endpoint.cache_clear()
    assert service.endpoint().port == server[0]
    with service.connect(Role.APP) as app:
        assert app.info.host == "127.0.0.1"
        assert app.execute("SELECT count(*) FROM organisation").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TABLE mine (id int)")
    with service.connect(Role.LAKE_WRITER) as lake:
        assert lake.info.dbname == "malha_lake"
    assert (Path(environment["MALHA_DATA"]) / "secrets" / "postgres.json").stat().st_mode & 0o077 == 0


def test_a_user_that_may_create_roles_and_databases_is_enough(server, against):
    with administrator(server) as boss:
        boss.execute("CREATE ROLE municipio LOGIN CREATEROLE CREATEDB PASSWORD 'segredo-do-municipio'")
    environment = against("municipio", "segredo-do-municipio")
    migrated(environment)
    migrated(environment)


def test_a_user_without_rights_is_told_what_is_missing(server, against):
    with administrator(server) as boss:
        boss.execute("CREATE ROLE fraco LOGIN PASSWORD 'fraco'")
    against("fraco", "fraco")
    with pytest.raises(DatabaseError, match="CREATEROLE"):
        service.prepare_server()


def test_a_server_that_refuses_is_named(server, against):
    against(SUPERUSER, "errada")
    with pytest.raises(DatabaseError, match=f"127.0.0.1:{server[0]}"):
        service.prepare_server()


def test_pages_never_start_with_settings_that_would_harm(server, against):
    environment = {**against(SUPERUSER, server[1]), "MALHA_PUBLIC_URL": "https://malha.exemplo.pt"}
    done = subprocess.run([sys.executable, "-m", "malha.project.migrate"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MALHA_SMTP_URL" in done.stderr
    assert "Traceback" not in done.stderr
