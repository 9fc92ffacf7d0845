"""Children end with their supervisor, even when that one is killed: they hold a pipe that closes with it.

A child may also be started before there is anything for it to do, so that it reads its code meanwhile: it waits at a gate.
"""

from __future__ import annotations

import os
import signal
import threading

#: not `MALHA_…`: it is no setting
VARIABLE = "_MALHA_LIFELINE"
GATE = "_MALHA_GATE"


def hold() -> None:
    """Watch the supervisor's pipe in a thread; when it closes, end this process as Ctrl-C would."""
    descriptor = os.environ.get(VARIABLE)
    if descriptor is None:
        return
    threading.Thread(target=_wait, args=[int(descriptor)], daemon=True, name="lifeline").start()


def wait_at_gate() -> None:
    """Return when the supervisor has opened the gate; at once for whoever was started without one."""
    descriptor = os.environ.get(GATE)
    if descriptor is not None:
        os.read(int(descriptor), 1)  # the end of the file is the gate's opening, also for whoever comes later


def _wait(descriptor: int) -> None:
    while True:
        try:
            if os.read(descriptor, 1) == b"":
                break
        except OSError:
            break
    os.kill(os.getpid(), signal.SIGTERM)
