import subprocess
import sys

PROGRAM = """
import sys
from malha.project import plane
plane.application()
found = sorted(name for name in sys.modules if name.partition(".")[0] in {"django", "ninja", "allauth"})
assert not found, found
print(len(plane.routes()))
"""


def test_it_works():
    """The plane starts without a line of Django in memory."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
