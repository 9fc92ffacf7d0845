"""Keep the lake small and tidy: merge, let old snapshots go, clean up. Runs under the lake's lock, in the compactor's child.

Every night small files are merged; once a month, when it has closed, rows that were deleted are written out of every
file. Snapshots live `KEEP_SNAPSHOTS`: so long `at=` answers. Files that nobody reads go from the disk a day later, and
those that a killed writer left behind with them, unless a copy is being made (`copying`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import duckdb
import psycopg

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import service as engines
from malha.history.engines.contracts import LakeMissing
from malha.history.engines.service import Connection
from malha.history.lake import catalogue, files

KEEP_SNAPSHOTS = timedelta(days=7)
#: a reader may still be in a file that was replaced a moment ago
KEEP_FILES = timedelta(days=1)
#: the advisory lock that a copy shares while it reads files; taking files away wants it alone
COPYING = 0x6D616C6862
#: of a file's rows, how many must be deleted for it to be written anew by night; when a month has closed any will do
NIGHTLY_THRESHOLD, MONTHLY_THRESHOLD = 0.1, 0.0

_TORN_SUMS = """SELECT DISTINCT t.table_name FROM ducklake_delete_file d JOIN ducklake_table t USING (table_id) JOIN ducklake_schema s USING (schema_id)
WHERE s.schema_name = %s AND t.table_name IN ('rollup_day', 'rollup_month') AND num_nulls(s.end_snapshot, t.end_snapshot, d.end_snapshot) = 3"""


@contextmanager
def copying() -> Iterator[None]:
    """While the block runs no file of the lake is taken away; writing goes on."""
    with database.connect(Role.LAKE_WRITER, autocommit=True) as session:
        session.execute("SELECT pg_advisory_lock_shared(%s)", [COPYING])
        yield


def tidy(lake: Connection, now: datetime, *, keep_snapshots: timedelta = KEEP_SNAPSHOTS, keep_files: timedelta = KEEP_FILES) -> None:
    """Merge small files, write deletes out of files, expire snapshots, and clean up what nobody reads any more."""
    closed = _month_has_closed(lake, now)
    threshold = MONTHLY_THRESHOLD if closed else NIGHTLY_THRESHOLD
    for statement in (f"CALL ducklake_rewrite_data_files('lake', delete_threshold => {threshold})", "CALL ducklake_merge_adjacent_files('lake')"):
        _settled(lake, statement, catalogue.schemas(lake))
    lake.execute("CALL ducklake_expire_snapshots('lake', older_than => ?::TIMESTAMPTZ)", [now - keep_snapshots])
    remove_unread(lake, now - keep_files)
    lake.execute("DELETE FROM lake.main.upkeep")
    lake.execute("INSERT INTO lake.main.upkeep VALUES (?::TIMESTAMPTZ)", [now])


def settle_sums(tenant_id: int) -> None:
    """Write the sums of a tenant anew where rows were taken out of their files, as a load of several parts does at the borders of its months.

    Until the night a chart of a year would else take half as long again: it would look up in another file what is no longer there.
    """
    schema = engines.tenant_schema(tenant_id)
    with database.connect(Role.LAKE_WRITER, autocommit=True) as session:
        torn = [row[0] for row in session.execute(_TORN_SUMS, [schema]).fetchall()]
    if not torn:
        return
    with catalogue.writing() as lake:
        for table in torn:
            of = f"'lake', '{table}', schema => '{schema}'"
            for statement in (f"CALL ducklake_rewrite_data_files({of}, delete_threshold => 0.0)", f"CALL ducklake_merge_adjacent_files({of})"):
                _settled(lake, statement, [schema])


def last_done() -> datetime | None:
    """When the lake of this installation was last tidied; None before the first time."""
    try:
        return engines.run([], last_tidied)
    except (LakeMissing, duckdb.CatalogException):
        return None


def last_tidied(lake: Connection) -> datetime | None:
    """When `tidy` last came to its end."""
    row = lake.execute("SELECT max(tidied_at) FROM lake.main.upkeep").fetchone()
    return row[0] if row else None


def remove_unread(lake: Connection, older_than: datetime, *, wait_seconds: int = 0) -> bool:
    """Take away files that no snapshot reads and that were let go before `older_than`, orphans too. False while a copy is being made."""
    with database.connect(Role.LAKE_WRITER, autocommit=True) as session:
        if not _alone(session, wait_seconds):
            return False
        lake.execute("CALL ducklake_cleanup_old_files('lake', older_than => ?::TIMESTAMPTZ)", [older_than])
        lake.execute("CALL ducklake_delete_orphaned_files('lake', older_than => ?::TIMESTAMPTZ)", [older_than])
    return True


def _alone(session: psycopg.Connection, wait_seconds: int) -> bool:
    if wait_seconds:
        session.execute(f"SET lock_timeout = '{int(wait_seconds)}s'")
        try:
            session.execute("SELECT pg_advisory_lock(%s)", [COPYING])
        except psycopg.errors.LockNotAvailable:
            return False
        return True
    row = session.execute("SELECT pg_try_advisory_lock(%s)", [COPYING]).fetchone()
    return bool(row and row[0])


def _settled(lake: Connection, statement: str, schemas: Sequence[str]) -> None:
    """Run a statement that writes files of these schemas, and have them on disk before it is committed."""
    since = time.time()
    lake.execute("BEGIN")
    lake.execute(statement).fetchall()
    for schema in schemas:
        files.settle(schema, since)
    lake.execute("COMMIT")


def _month_has_closed(lake: Connection, now: datetime) -> bool:
    last = last_tidied(lake)
    return last is not None and (last.year, last.month) != (now.year, now.month)
