"""A load says each second how far it is, and hears whether somebody wants it to stop."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

import psycopg

from malha.foundation.database import service as database
from malha.ingest.runs import book as runs
from malha.ingest.runs.contracts import Counts, Stopped

logger = logging.getLogger(__name__)
EVERY_SECONDS = 1.0


class Hearing:
    """While it is open, a thread notes counts and place of a load in its row. Steps: 1 reads and checks, 2 writes into history.

    `check` raises Stopped where somebody asked for that.
    """

    def __init__(self, tenant_id: int, run_id: int) -> None:
        self.tenant_id, self.run_id, self.counts = tenant_id, run_id, Counts()
        self._position: dict[str, int] = {}
        self._end, self._stop = threading.Event(), False
        self._thread = threading.Thread(target=self._go, daemon=True, name="hearing")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def at(self, step: int, done: int, of: int) -> None:
        """So many rows of a step are done, of about so many (0: nobody knows)."""
        before = self._position
        since = before if before.get("step") == step else {"since": int(time.time()), "from": done}
        self._position = {"step": step, "done": done, "of": of, "since": since["since"], "from": since["from"]}

    def check(self) -> None:
        """Raises Stopped where the load is to stop."""
        if self._stop:
            raise Stopped

    def _go(self) -> None:
        while not self._end.wait(EVERY_SECONDS):
            try:
                with database.connect(autocommit=True) as conn:
                    while not self._end.wait(EVERY_SECONDS):
                        with database.tenant_transaction(conn, [self.tenant_id]):
                            self._stop = runs.hear(conn, self.tenant_id, self.run_id, self.counts, self._position)
            except psycopg.Error:  # the load itself finds out whether the database is gone for good
                logger.warning("load %s is not heard of", self.run_id, exc_info=True)
