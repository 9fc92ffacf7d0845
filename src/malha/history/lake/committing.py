"""One lake transaction after another: files on disk before each commit, and once more where somebody else's came between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import duckdb

from malha.history.engines.service import Connection
from malha.history.lake import files

ATTEMPTS = 5


def commit[T](lake: Connection, schemas: Sequence[str], write: Callable[[], T]) -> T:
    """Do `write` in one lake transaction, its files on disk before the commit; again when somebody else's commit came between."""
    for attempt in range(ATTEMPTS):
        since = time.time()
        lake.execute("BEGIN")
        try:
            done = write()
            for schema in schemas:
                files.settle(schema, since)
            lake.execute("COMMIT")
            return done
        except duckdb.TransactionException as conflict:
            _rollback(lake)
            if attempt == ATTEMPTS - 1 or "conflict" not in str(conflict).lower():
                raise
            time.sleep(0.1 * 2**attempt)
        except BaseException:
            _rollback(lake)
            raise
    raise AssertionError


def _rollback(lake: Connection) -> None:
    try:
        lake.execute("ROLLBACK")
    except duckdb.TransactionException:
        return  # a failed commit has rolled back already
