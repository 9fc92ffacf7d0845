"""A pool does not hold up the end of its process."""

from __future__ import annotations

import os
import subprocess
import sys
import time

#: the pool lies in a cycle of references, as one that a module keeps does
PROGRAM = """
import time
from malha.foundation.database import pools
from malha.foundation.database.contracts import Role
class Keeper: pass
keeper = Keeper()
keeper.itself, keeper.pool = keeper, pools.make(Role.APP, "test", least=1, most=2)
with keeper.pool.connection() as conn:
    print(conn.execute("SELECT current_user").fetchone()[0], time.time(), flush=True)
"""


def test_it_ends_with_the_process():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ.copy(), capture_output=True, text=True, timeout=60, check=True)
    who, asked = ended.stdout.split()
    assert "app" in who
    assert time.time() - float(asked) < 4, "each thread of a pool that is left open takes five seconds"
    assert "couldn't stop" not in ended.stderr
