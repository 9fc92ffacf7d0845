"""Models are read by many threads, the first of them at the same moment."""

from __future__ import annotations

import subprocess
import sys

#: processes that begin anew, each with sixteen threads that read a model before anybody has
SCRIPT = """
import os, sys, threading
from malha.vocabulary.models import writing
sys.setswitchinterval(1e-6)
words = {"pt": "Coisa", "en": "Thing"}
document = {"type": "Thing", "version": "1.0.0", "label": words, "description": words, "properties": []}
found = []

def read(gate):
    gate.wait()
    found.append(writing.from_json(document).type)

for _ in range(30):
    if (child := os.fork()) == 0:
        gate = threading.Barrier(16)
        threads = [threading.Thread(target=read, args=(gate,)) for _ in range(16)]
        for each in threads: each.start()
        for each in threads: each.join()
        os._exit(0 if found == ["Thing"] * 16 else 1)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended:
        sys.exit(f"ended with {ended}")
"""


def test_sixteen_threads_may_be_the_first_to_read_a_model() -> None:
    """A class that msgspec has not looked at yet ends the process when several threads ask for it at once."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
