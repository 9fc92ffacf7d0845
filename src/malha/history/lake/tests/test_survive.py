"""A compactor killed at any point neither loses nor doubles a row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from malha.history.lake import service as lake

from .test_compact import START, in_lake, write_hot

KILLED = """
import os, signal, sys
from malha.history.lake import catalogue, compaction, moving, service
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
point = sys.argv[2]
if point == "after-rows":
    compaction.name_entities = die
elif point == "before-commit":
    real = catalogue.set_watermark
    catalogue.set_watermark = lambda *given: (real(*given), die())
else:
    moving.remove_undone = die
service.compact(int(sys.argv[1]))
"""


@pytest.mark.parametrize("point", ["after-rows", "before-commit", "after-commit"])
def test_it_works(new_tenant: Any, point: str) -> None:
    tenant = new_tenant().id
    rows = [(entity, START + timedelta(minutes=minute), float(minute)) for entity in (1, 2) for minute in range(50)]
    write_hot(tenant, rows)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tenant), point], env=os.environ, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert lake.compact(tenant).rows == (0 if point == "after-commit" else len(rows))
    assert in_lake(tenant) == sorted(rows)
    assert sum(row[0] for row in in_lake(tenant, "count", "rollup_hour")) == len(rows)
