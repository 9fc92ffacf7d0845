"""Look whether the lake's files are what the catalogue says, and go on without those that are not.

A machine that loses power may lose what its disks had promised. Rows of the last 48 hours are still hot then: a broken
file is put aside (the catalogue forgets it, its bytes stay for whoever wants to mend them), the tenant's watermark goes
back to the beginning of its hot rows, and what is missing is compacted again. An older file comes back from a copy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines.service import Connection
from malha.history.lake import catalogue, files, service
from malha.history.lake.files import LakeFile

logger = logging.getLogger(__name__)

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
#: hot rows are kept this long after they were moved
HOT = timedelta(hours=48)

#: a bucket of a month begins so long before its last value
PERIOD = timedelta(days=32)
SPANS = """
SELECT s.schema_name, min(v.min_value), max(v.max_value) FROM ducklake_data_file f
JOIN ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL JOIN ducklake_schema s USING (schema_id)
JOIN ducklake_column c ON c.table_id = f.table_id AND c.column_name = 'bucket' AND c.end_snapshot IS NULL
JOIN ducklake_file_column_stats v ON v.data_file_id = f.data_file_id AND v.table_id = f.table_id AND v.column_id = c.column_id
WHERE f.data_file_id = ANY(%(data)s) OR f.data_file_id IN (SELECT data_file_id FROM ducklake_delete_file WHERE delete_file_id = ANY(%(deletes)s))
GROUP BY 1
"""
FORGET = """
WITH latest AS (SELECT * FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1),
made AS (INSERT INTO ducklake_snapshot SELECT snapshot_id + 1, clock_timestamp(), schema_version, next_catalog_id, next_file_id FROM latest RETURNING snapshot_id),
told AS (INSERT INTO ducklake_snapshot_changes (snapshot_id, changes_made)
    SELECT m.snapshot_id, string_agg(DISTINCT 'deleted_from_table:' || f.table_id, ',') FROM made m, ducklake_data_file f
    WHERE f.data_file_id = ANY(%(data)s) OR f.data_file_id IN (SELECT data_file_id FROM ducklake_delete_file WHERE delete_file_id = ANY(%(deletes)s)) GROUP BY 1),
data AS (UPDATE ducklake_data_file SET end_snapshot = (SELECT snapshot_id FROM made)
    WHERE end_snapshot IS NULL AND data_file_id = ANY(%(data)s) RETURNING data_file_id)
UPDATE ducklake_delete_file SET end_snapshot = (SELECT snapshot_id FROM made)
WHERE end_snapshot IS NULL AND (delete_file_id = ANY(%(deletes)s) OR data_file_id IN (SELECT data_file_id FROM data))
"""


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that is not what the catalogue says. `reason` is `missing`, `size`, `unreadable`, or `changed` (its bytes are others than in the copy)."""

    file: LakeFile
    reason: str


def look(since: datetime) -> list[Broken]:
    """The broken ones among the files written at or after `since` that the newest snapshot reads."""
    return [Broken(known, reason) for known in files.catalogued(since) if (reason := files.broken(known))]


def set_aside(lake: Connection, found: Sequence[Broken]) -> list[int]:
    """Let the catalogue go on without these files. Returns the tenants whose rows are to be compacted again.

    A broken file of deletes takes nothing with it but its deletes: the corrected rows come back beside their
    corrections until the next compaction of the tenant puts them in order. What a broken file of sums held is summed again.
    """
    if not found:
        return []
    spans = _spans(found)
    numbers = {"data": [b.file.id for b in found if not b.file.deletes], "deletes": [b.file.id for b in found if b.file.deletes]}
    with database.connect(Role.LAKE_WRITER) as session:
        session.execute(FORGET, numbers)
    for one in found:
        logger.error("lake file %s set aside: %s", one.file.path, one.reason)
    tenants = sorted({int(b.file.schema[1:]) for b in found if b.file.schema[1:].isdigit()})
    for tenant in tenants:
        lake.execute("DELETE FROM lake.main.watermark WHERE tenant_id = ?", [tenant])
    for schema, first, last in spans:
        service.sum_again(lake, int(schema[1:]), first - PERIOD, last + PERIOD)
    return tenants


def _spans(found: Sequence[Broken]) -> list[tuple[str, datetime, datetime]]:
    """The tenants' schemas whose sums lie in broken files, each with the first and the last bucket of those."""
    ids = [b.file.id for b in found if b.file.table.startswith("rollup_") and not b.file.deletes]
    torn = [b.file.id for b in found if b.file.table.startswith("rollup_") and b.file.deletes]
    with database.connect(Role.LAKE_WRITER, autocommit=True) as session:
        rows = session.execute(SPANS, {"data": ids, "deletes": torn}).fetchall()
    return [(schema, datetime.fromisoformat(first), datetime.fromisoformat(last)) for schema, first, last in rows if first and last]


def start_check(now: datetime, mend: Callable[[Sequence[Broken]], Sequence[Broken]] = lambda found: found) -> list[Broken]:
    """Look at what was written while its rows are still hot, mend what can be, set aside the rest. Returns what was set aside."""
    found = list(mend(look(now - HOT)))
    if found:
        with catalogue.writing() as lake:
            set_aside(lake, found)
    return found
