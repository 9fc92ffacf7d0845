"""How the embedded server divides the memory that there is."""

from __future__ import annotations

import pytest

from malha.foundation.database import service
from malha.foundation.database.contracts import Role
from malha.foundation.database.memory import available_mb, divided
from malha.foundation.settings import service as settings


@pytest.mark.parametrize(
    ("available", "wanted", "shared", "cache"),
    [
        (1024, 0, 128, 512),
        (4096, 0, 128, 2048),
        (6400, 0, 200, 3200),
        (65536, 0, 256, 32768),
        (8192, 2048, 2048, 4096),
        (2048, 4096, 1024, 1024),
        (100, 0, 128, 128),
    ],
)
def test_so_much_is_shared_of_what_there_is(available, wanted, shared, cache):
    assert divided(available, wanted) == f"shared_buffers = {shared}MB\neffective_cache_size = {cache}MB\n"


def test_a_container_has_what_it_may_have(tmp_path):
    whole = available_mb(())
    for text, expected in (("max\n", whole), (str(512 << 20), min(512, whole)), (str(1 << 62), whole)):
        (tmp_path / "limit").write_text(text)
        assert available_mb((tmp_path / "limit", tmp_path / "missing")) == expected


def test_the_running_server_was_told():
    if settings.current().database_url:
        pytest.skip("a server of somebody else's")
    with service.connect(Role.OWNER, autocommit=True) as conn:
        assert f"shared_buffers = {conn.execute('SHOW shared_buffers').fetchone()[0]}\n" in divided(available_mb(), settings.current().database_memory_mb)
