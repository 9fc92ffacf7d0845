"""A pool does not hold up the end of its process."""

from __future__ import annotations

import os
import subprocess
import sys

#: what is registered first is called last: after whatever the room does at the end
PROGRAM = """
import atexit
atexit.register(lambda: print(pool.closed))
from malha.foundation.database import pools
from malha.foundation.database.contracts import Role
pool = pools.make(Role.APP, "test", least=1, most=2)
with pool.connection() as conn:
    print(conn.execute("SELECT current_user").fetchone()[0])
"""


def test_it_is_closed_before_the_interpreter_ends():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ.copy(), capture_output=True, text=True, timeout=60, check=True)
    who, closed = ended.stdout.split()
    assert "app" in who
    assert closed == "True", "each thread of a pool that is left open takes five seconds"
