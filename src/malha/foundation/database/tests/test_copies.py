"""A copy is put back with every row, walls and all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from malha.foundation.database import copies, service
from malha.foundation.database.contracts import DatabaseError, Role
from malha.foundation.database.embedded import Cluster
from malha.foundation.settings import service as settings
from malha.kernel.time import now


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """A cluster of its own: restoring is no thing to do to a shared one."""
    Path(tmp_path).chmod(0o755)
    monkeypatch.setenv("MALHA_DATA", str(tmp_path))
    settings.current.cache_clear()
    service.endpoint.cache_clear()
    cluster = Cluster(tmp_path)
    cluster.lock()
    cluster.prepare(cluster.start())
    yield cluster
    cluster.stop()
    cluster.release()
    monkeypatch.undo()
    settings.current.cache_clear()
    service.endpoint.cache_clear()


def test_it_works(installation, tmp_path):
    with service.connect(Role.OWNER) as owner:
        owner.execute("CREATE TABLE walled (tenant_id bigint, word text)")
        owner.execute("INSERT INTO walled VALUES (1, 'antes'), (2, 'também')")
        owner.execute("ALTER TABLE walled ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    place = copies.copy(tmp_path / "copies", now())
    with service.connect(Role.OWNER) as owner:
        owner.execute("DROP TABLE walled")
    copies.restore(place)
    with service.connect(Role.OWNER) as owner:
        owner.execute("ALTER TABLE walled NO FORCE ROW LEVEL SECURITY")
        assert owner.execute("SELECT word FROM walled ORDER BY tenant_id").fetchall() == [("antes",), ("também",)]


def test_secrets_and_sockets_are_closed_to_others(installation, tmp_path):
    assert (tmp_path / "secrets" / "postgres.json").stat().st_mode & 0o077 == 0
    socket = Path(json.loads((tmp_path / "endpoint.json").read_text())["host"])
    assert socket.stat().st_mode & 0o077 == 0


def test_an_empty_folder_is_no_copy(installation, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DatabaseError, match="não há nenhuma cópia"):
        copies.restore(tmp_path / "nothing")
