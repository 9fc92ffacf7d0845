"""An erasure as a process that ends: the identifiers come by standard input, never as arguments, jobs or rows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from malha.history.erasure import service


def start(tenant_id: int, identifiers: Sequence[str], *, ground: str, by: str, whole: Sequence[int]) -> None:
    """Begin; the proof tells when it is done."""
    child = subprocess.Popen([sys.executable, "-m", "malha.history.erasure.worker"], stdin=subprocess.PIPE, start_new_session=True)
    assert child.stdin is not None
    child.stdin.write(json.dumps({"tenant_id": tenant_id, "identifiers": list(identifiers), "ground": ground, "by": by, "whole": list(whole)}).encode())
    child.stdin.close()


if __name__ == "__main__":
    asked = json.loads(sys.stdin.buffer.read())
    service.erase(asked.pop("tenant_id"), asked.pop("identifiers"), **asked)
