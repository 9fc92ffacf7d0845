"""Children end with their supervisor, even when that one is killed: they hold a pipe that closes with it."""

from __future__ import annotations

import os
import signal
import threading

#: not `MALHA_…`: it is no setting
VARIABLE = "_MALHA_LIFELINE"


def hold() -> None:
    """Watch the supervisor's pipe in a thread; when it closes, end this process as Ctrl-C would."""
    descriptor = os.environ.get(VARIABLE)
    if descriptor is None:
        return
    threading.Thread(target=_wait, args=[int(descriptor)], daemon=True, name="lifeline").start()


def _wait(descriptor: int) -> None:
    while True:
        try:
            if os.read(descriptor, 1) == b"":
                break
        except OSError:
            break
    os.kill(os.getpid(), signal.SIGTERM)
