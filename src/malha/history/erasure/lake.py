"""Erase a person from the lake, really: rows out of every table, files written anew, the old files off the disk.

Older snapshots of the tenant lose these files with their rows, so `at=` of an instant before an erasure is refused.
The catalogue forgets what it had noted of the old files (their smallest and largest texts).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import obstore
import psycopg

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import service as engines
from malha.history.engines.contracts import LakeMissing
from malha.history.engines.service import Connection
from malha.history.erasure.rules import recovered
from malha.history.lake import catalogue, files, upkeep
from malha.history.lake.contracts import LakeBusy
from malha.kernel.text import msg

#: files that only older snapshots of a schema read
UNREAD = """
SELECT f.data_file_id, s.path || t.path || f.path FROM ducklake_data_file f JOIN ducklake_table t USING (table_id) JOIN ducklake_schema s USING (schema_id)
WHERE s.schema_name = %(schema)s AND f.path_is_relative AND f.end_snapshot IS NOT NULL
"""
UNREAD_DELETES = """
SELECT f.delete_file_id, s.path || t.path || f.path FROM ducklake_delete_file f JOIN ducklake_table t USING (table_id) JOIN ducklake_schema s USING (schema_id)
WHERE s.schema_name = %(schema)s AND f.path_is_relative AND f.end_snapshot IS NOT NULL
"""
#: what the catalogue notes of a column over all files never shrinks by itself
NARROW = """
UPDATE ducklake_table_column_stats c SET min_value = n.low, max_value = n.high
FROM (SELECT x.table_id, x.column_id, min(x.min_value) AS low, max(x.max_value) AS high FROM ducklake_file_column_stats x
      JOIN ducklake_data_file f USING (data_file_id) WHERE f.end_snapshot IS NULL GROUP BY 1, 2) n,
     ducklake_column k
WHERE n.table_id = c.table_id AND n.column_id = c.column_id AND k.table_id = c.table_id AND k.column_id = c.column_id AND k.column_type = 'varchar'
  AND c.table_id IN (SELECT table_id FROM ducklake_table JOIN ducklake_schema s USING (schema_id) WHERE s.schema_name = %(schema)s)
"""
#: tables of the catalogue in which texts of rows may be noted
NOTED = ("ducklake_file_column_stats", "ducklake_table_column_stats", "ducklake_data_file", "ducklake_delete_file", "ducklake_file_partition_value")


def found(tenant_id: int, pattern: str, entity_ids: Sequence[int]) -> dict[str, int]:
    """How many rows of each table of the tenant's lake speak of the person."""

    def work(reader: Connection) -> dict[str, int]:
        counts: dict[str, int] = {}
        for table, condition in _conditions(reader, tenant_id, entity_ids):
            row = reader.execute(f"SELECT count(*) FROM {table} WHERE {condition}", {"pattern": pattern} if "$pattern" in condition else {}).fetchone()
            if row and row[0]:
                counts[table.rsplit(".", 1)[1]] = row[0]
        return counts

    try:
        return engines.run([tenant_id], work)
    except LakeMissing:
        return {}


def erase(tenant_id: int, pattern: str, entity_ids: Sequence[int]) -> dict[str, int]:
    """Take the rows out and their bytes off the disk. Returns how many rows went, by table, and how many `files`.

    Raises LakeBusy where a copy is being made for longer than two minutes: its files may not go from under it.
    """
    schema = engines.tenant_schema(tenant_id)
    counts: dict[str, int] = {}
    with catalogue.writing() as lake:
        if not catalogue.has_schema(lake, schema):
            return {}
        since = time.time()
        lake.execute("BEGIN")
        for table, condition in _conditions(lake, tenant_id, entity_ids):
            row = lake.execute(f"DELETE FROM {table} WHERE {condition}", {"pattern": pattern} if "$pattern" in condition else {}).fetchone()
            if row and row[0]:
                counts[table.rsplit(".", 1)[1]] = int(row[0])
        files.settle(schema, since)
        lake.execute("COMMIT")
        counts["files"] = write_anew(lake, schema)
    engines.forget_readers()
    return {name: count for name, count in counts.items() if count}


def recover(tenant_id: int, key: bytes, digests: Sequence[str]) -> set[str]:
    """The identifiers behind keyed digests, where the tenant's lake holds them."""

    def work(reader: Connection) -> set[str]:
        found: set[str] = set()
        for table, texts in _texts(reader, tenant_id):
            for name in texts:
                cursor = reader.execute(f"SELECT DISTINCT {name} FROM {table} WHERE {name} IS NOT NULL")
                while some := cursor.fetchmany(10_000):
                    found |= recovered(key, digests, (row[0] for row in some))
        return found

    try:
        return engines.run([tenant_id], work, timeout_seconds=3600)
    except LakeMissing:
        return set()


def write_anew(lake: Connection, schema: str) -> int:
    """Write every file of a schema that has deleted rows anew, and take the old ones off the disk now. Returns how many went."""
    since = time.time()
    lake.execute("BEGIN")
    for (table,) in lake.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = ?", [schema]).fetchall():
        lake.execute(f"CALL ducklake_rewrite_data_files('lake', '{table}', schema => '{schema}', delete_threshold => 0)").fetchall()
    files.settle(schema, since)
    lake.execute("COMMIT")
    with database.connect(Role.LAKE_WRITER, autocommit=True) as session:
        session.execute(f"SET lock_timeout = '{catalogue.LOCK_WAIT_SECONDS}s'")
        try:
            session.execute("SELECT pg_advisory_lock(%s)", [upkeep.COPYING])
        except psycopg.errors.LockNotAvailable as reason:
            raise LakeBusy(
                msg("Está a fazer-se uma cópia de segurança há mais de {seconds} s; tente daqui a pouco."), seconds=catalogue.LOCK_WAIT_SECONDS
            ) from reason
        return _remove(session, schema)


def _remove(session: psycopg.Connection[Any], schema: str) -> int:
    given = {"schema": schema}
    data, deletes = session.execute(UNREAD, given).fetchall(), session.execute(UNREAD_DELETES, given).fetchall()
    waiting = session.execute(
        "SELECT path FROM ducklake_files_scheduled_for_deletion WHERE path_is_relative AND starts_with(path, %s)", [f"{schema}/"]
    ).fetchall()
    ids, delete_ids = [row[0] for row in data], [row[0] for row in deletes]
    with session.transaction():
        for table in ("ducklake_file_column_stats", "ducklake_file_partition_value", "ducklake_data_file"):
            session.execute(f"DELETE FROM {table} WHERE data_file_id = ANY(%s)", [ids])
        session.execute("DELETE FROM ducklake_delete_file WHERE delete_file_id = ANY(%s)", [delete_ids])
        session.execute("DELETE FROM ducklake_files_scheduled_for_deletion WHERE path_is_relative AND starts_with(path, %s)", [f"{schema}/"])
        session.execute(NARROW, given)
    paths = sorted({row[-1] for row in (*data, *deletes, *waiting)})
    for path in paths:
        try:
            obstore.delete(files.store(), path)
        except FileNotFoundError:
            continue
    return len(paths)


def _conditions(lake: Connection, tenant_id: int, entity_ids: Sequence[int]) -> list[tuple[str, str]]:
    """Each table of the tenant, and which of its rows speak of the person: by the entity's number, or in any text."""
    numbers = ", ".join(str(int(id_)) for id_ in entity_ids)
    found = []
    for table, texts in _texts(lake, tenant_id):
        parts = [f"regexp_matches(coalesce({name}, ''), $pattern, 'i')" for name in texts]
        if numbers:
            parts.append(f"entity_id IN ({numbers})")
        if parts:
            found.append((table, " OR ".join(parts)))
    return found


def _texts(lake: Connection, tenant_id: int) -> list[tuple[str, list[str]]]:
    """The tables of the tenant that speak of entities, each with its columns of text (names of types and attributes are nobody's)."""
    schema = engines.tenant_schema(tenant_id)
    rows = lake.execute(
        "SELECT table_name, coalesce(list(column_name) FILTER (data_type = 'VARCHAR' AND column_name NOT IN ('type', 'attribute', 'unit')), [])"
        " FROM duckdb_columns() WHERE database_name = 'lake' AND schema_name = ? GROUP BY 1 HAVING bool_or(column_name = 'entity_id') ORDER BY 1",
        [schema],
    ).fetchall()
    return [(f"lake.{schema}.{table}", texts) for table, texts in rows]
