"""A copy of the shared installation of the tests: by content, mended from, forgotten, in a folder and on an S3 simulator."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import obstore
import pytest
from moto.server import ThreadedMotoServer

from malha.foundation.settings import service as settings
from malha.history.backups import restoring, service
from malha.history.backups.contracts import AlreadyCopying, BackupBroken, NoBackup, PlaceTaken, WrongKey
from malha.history.backups.repository import Repository
from malha.history.backups.taking import _alone
from malha.history.engines import service as engines
from malha.history.engines import storage
from malha.history.lake import files, integrity
from malha.history.lake import service as lake
from malha.history.lake.tests.test_compact import START, write_hot
from malha.kernel.time import now

pytestmark = pytest.mark.timeout(400)


def observed(tenant: int) -> list[files.LakeFile]:
    return [one for one in files.catalogued(integrity.BEGINNING) if one.schema == engines.tenant_schema(tenant) and one.table == "observation"]


def test_it_works(new_tenant: Any, tmp_path: Path) -> None:
    """A second copy writes little; a file whose bytes changed, or that is gone, comes back; what no copy has is named and set aside."""
    tenant = new_tenant().id
    write_hot(tenant, [(1, START + timedelta(minutes=minute), float(minute)) for minute in range(100)])
    lake.compact(tenant)
    first = service.take(str(tmp_path), now())
    second = service.take(str(tmp_path), now() + timedelta(seconds=1))
    assert "secrets/erasure.key" in {piece.path for piece in first.pieces}  # by which a later erasure is repeated on this copy
    assert {piece.path for piece in first.pieces} <= {piece.path for piece in second.pieces}
    assert all(piece.stored in {other.stored for other in first.pieces} for piece in second.pieces if piece.path.startswith("lake/t"))
    repository = service.open_repository(str(tmp_path))
    place, (known,) = storage.folder(), observed(tenant)
    assert place
    whole = (place / known.path).read_bytes()
    (place / known.path).write_bytes(whole[:400] + bytes([whole[400] ^ 1]) + whole[401:])  # the size and the end are right
    assert service.mend(repository, [known]) == ([known.path], [])
    assert (place / known.path).read_bytes() == whole
    (place / known.path).unlink()
    assert service.mend(repository, [known]) == ([known.path], [])
    write_hot(tenant, [(2, START, 1.0)])
    lake.compact(tenant)
    new = next(one for one in observed(tenant) if one.path != known.path)
    unharmed = (place / new.path).read_bytes()
    (place / new.path).write_bytes(b"nada")
    mended, lost = service.mend(repository, observed(tenant))
    (place / new.path).write_bytes(unharmed)  # the lake is that of the tests after this one too
    assert (mended, [(one.file.path, one.reason) for one in lost]) == ([], [(new.path, "size")])
    assert service.prune(repository, now() + timedelta(days=1)) == 1
    assert [one.id for one in repository.manifests()] == [second.id]
    assert b"".join(repository.read(second.pieces[0]))
    with pytest.raises(PlaceTaken, match="nunca por cima"):
        restoring.restore(repository, tmp_path, second)


def test_two_copies_at_once(tmp_path: Path) -> None:
    with _alone(), pytest.raises(AlreadyCopying):
        service.take(str(tmp_path), now())
    with pytest.raises(NoBackup):
        service.open_repository(str(tmp_path / "nothing"))


def test_a_copy_that_was_changed_is_found(tmp_path: Path) -> None:
    repository = Repository(str(tmp_path), "palavra", make=True)
    piece, size = repository.keep_stream("x", iter([b"a" * 3_000_000, b"b"]))
    assert size == 3_000_001
    assert sum(map(len, repository.read(piece))) == size
    place = tmp_path / piece.stored
    place.write_bytes(place.read_bytes()[:-10])
    with pytest.raises(BackupBroken, match="cortada"):
        b"".join(repository.read(piece))
    with pytest.raises(WrongKey):
        Repository(str(tmp_path), "outra")
    with pytest.raises(WrongKey):
        Repository(str(tmp_path))


@pytest.fixture
def bucket(monkeypatch: Any) -> Iterator[str]:
    simulator = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    simulator.start()
    _, port = simulator.get_host_and_port()
    name = f"copias-{uuid4().hex[:8]}"
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="PUT")).close()
    for variable, value in (("ENDPOINT", f"http://127.0.0.1:{port}"), ("KEY_ID", "chave"), ("SECRET", "segredo")):
        monkeypatch.setenv(f"MALHA_S3_{variable}", value)
    settings.current.cache_clear()
    yield f"s3://{name}/malha"
    simulator.stop()
    monkeypatch.undo()
    settings.current.cache_clear()


def test_copies_on_an_object_store(bucket: str) -> None:
    made = service.take(bucket, now())
    repository = service.open_repository(bucket)
    assert repository.newest().id == made.id
    dump = next(piece for piece in made.pieces if piece.path == "dumps/malha.dump")
    assert b"".join(repository.read(dump)).startswith(b"PGDMP")
    assert len(list(obstore.list(files.open_store(bucket)))) >= 1
