"""Alarms that interrupt what takes too long: one thread for all of them, because to start one for each question takes it half a millisecond."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)


class Alarms:
    """Calls what was asked for when its time comes, unless it was called off before."""

    def __init__(self) -> None:
        self._changed, self._due = threading.Condition(), dict[object, tuple[float, Callable[[], None]]]()
        self._thread: threading.Thread | None = None
        self._wakes = float("inf")

    @contextlib.contextmanager
    def after(self, seconds: float, ring: Callable[[], None]) -> Iterator[None]:
        """`ring` is called once, from another thread, when the block takes longer than so many seconds."""
        key, due = object(), time.monotonic() + seconds
        with self._changed:
            self._due[key] = (due, ring)
            if self._thread is None or not self._thread.is_alive():  # the first, or the first of a process that was forked
                self._thread, self._wakes = threading.Thread(target=self._watch, name="history-alarms", daemon=True), due
                self._thread.start()
            elif due < self._wakes:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(key, None)

    def _watch(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                rung = [(key, ring) for key, (due, ring) in self._due.items() if due <= now]
                for key, _ in rung:
                    del self._due[key]
            for _, ring in rung:
                try:
                    ring()
                except Exception:  # what rang may have ended meanwhile; the others still count on this thread
                    logger.warning("An alarm could not ring", exc_info=True)
            with self._changed:
                self._wakes = min((due for due, _ in self._due.values()), default=float("inf"))
                if self._wakes > time.monotonic():
                    self._changed.wait(None if self._wakes == float("inf") else self._wakes - time.monotonic())
