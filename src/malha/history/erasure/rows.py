"""Erase a person from PostgreSQL: found in every table of the tenant, by reading all of them; none is forgotten when rooms are added.

Runs as owner of the tables, one transaction. Bytes of what was deleted stay in pages and log until they are written anew:
`scrub` does that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.erasure.contracts import FoundEntity
from malha.history.erasure.rules import MARK, recovered

#: rows of an entity, which go with it where it goes whole
OF_ENTITY = ("entity_change", "observation_hot", "observation_packed", "entity_before_run", "entity_deleted")
#: rows that go whole: what waits, what was told, what was before
GO = frozenset({"ingest_held", "ingest_removed", "outbox", "outbox_failure", "snapshot_entity", "snapshot_observation", *OF_ENTITY})
#: rows that nobody may change: a chain of digests proves it, and their rooms keep personal data out of them
STAY = frozenset({"audit_entry", "audit_link", "audit_anchor", "erasure"})
TABLES = """
SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE t.typname IN ('text', 'varchar', 'jsonb', '_text')) FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
JOIN pg_type t ON t.oid = a.atttypid
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition GROUP BY 1 HAVING bool_or(a.attname = 'tenant_id') ORDER BY 1
"""
TYPES = "SELECT a.attname::text, format_type(a.atttypid, NULL) FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attname = ANY(%s)"
ENTITIES = """
SELECT e.id, e.uri, t.name, e.uri ~* %(pattern)s FROM entity e JOIN entity_type t ON t.id = e.type_id
WHERE e.tenant_id = %(tenant)s AND (e.uri ~* %(pattern)s OR e.doc::text ~* %(pattern)s) ORDER BY e.id
"""
#: attributes that speak of the person go; the rest of the entity stays
ATTRIBUTES = """
UPDATE entity e SET doc = e.doc - (SELECT coalesce(array_agg(k), '{}') FROM jsonb_each(e.doc) AS j (k, v) WHERE v::text ~* %(pattern)s),
    name_key = CASE WHEN e.doc->>'name' ~* %(pattern)s THEN NULL ELSE name_key END, modified_at = now()
WHERE e.tenant_id = %(tenant)s AND e.doc::text ~* %(pattern)s
"""


def entities(conn: psycopg.Connection[Any], tenant_id: int, pattern: str) -> list[FoundEntity]:
    """The entities that speak of the person."""
    return [FoundEntity(*row) for row in conn.execute(ENTITIES, {"tenant": tenant_id, "pattern": pattern}).fetchall()]


def found(conn: psycopg.Connection[Any], tenant_id: int, pattern: str) -> dict[str, int]:
    """How many rows of each table speak of the person."""
    counts: dict[str, int] = {}
    for table, columns in _tables(conn):
        row = conn.execute(
            sql.SQL("SELECT count(*) FROM {} x WHERE tenant_id = %s AND {}").format(sql.Identifier(table), _meets(columns)), [tenant_id, pattern]
        ).fetchone()
        if row and row[0]:
            counts[table] = row[0]
    return counts


def erase(conn: psycopg.Connection[Any], tenant_id: int, pattern: str, entity_ids: Sequence[int]) -> dict[str, int]:
    """Delete, or redact where the row is somebody else's too. Returns how many rows of each table were touched."""
    counts: dict[str, int] = {}
    for table in ("entity", *OF_ENTITY):  # the entity first: its going is itself noted as a change
        column = "id" if table == "entity" else "entity_id"
        statement = sql.SQL("DELETE FROM {} WHERE tenant_id = %s AND {} = ANY(%s)").format(sql.Identifier(table), sql.Identifier(column))
        counts[table] = conn.execute(statement, [tenant_id, list(entity_ids)]).rowcount
    counts["entity"] += conn.execute(ATTRIBUTES, {"tenant": tenant_id, "pattern": pattern}).rowcount
    for table, columns in _tables(conn):
        if table in STAY:
            continue
        meets = _meets(columns)
        if table in GO:
            statement = sql.SQL("DELETE FROM {} x WHERE tenant_id = %s AND {}").format(sql.Identifier(table), meets)
            given: list[object] = [tenant_id, pattern]
        else:
            changes, given = _redacted(conn, table, columns, pattern)
            statement = sql.SQL("UPDATE {} x SET {} WHERE tenant_id = %s AND {}").format(sql.Identifier(table), changes, meets)
            given = [*given, tenant_id, pattern]
        counts[table] = counts.get(table, 0) + conn.execute(statement, given).rowcount
    return {table: count for table, count in counts.items() if count}


def recover(conn: psycopg.Connection[Any], tenant_id: int, key: bytes, digests: Sequence[str]) -> set[str]:
    """The identifiers behind keyed digests, where rows of the tenant hold them. Reads every text of the tenant."""

    def texts() -> Iterator[str]:
        for table, columns in _tables(conn):
            joined = sql.SQL("concat_ws(chr(10), {})").format(sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns))
            with conn.cursor(name="texts") as cursor:
                for (text,) in cursor.execute(sql.SQL("SELECT {} FROM {} WHERE tenant_id = %s").format(joined, sql.Identifier(table)), [tenant_id]):
                    yield text

    return recovered(key, digests, texts())


def _tables(conn: psycopg.Connection[Any]) -> list[tuple[str, list[str]]]:
    return [(table, columns) for table, columns in conn.execute(TABLES).fetchall() if columns]


def _meets(columns: Sequence[str]) -> sql.Composed:
    """The condition that any of the columns speaks of the person; takes the pattern once."""
    texts = sql.SQL(", ").join(sql.SQL("x.{}::text").format(sql.Identifier(column)) for column in columns)
    return sql.SQL("concat_ws(chr(10), {}) ~* %s").format(texts)


def _redacted(conn: psycopg.Connection[Any], table: str, columns: Sequence[str], pattern: str) -> tuple[sql.Composed, list[object]]:
    types = dict(conn.execute(TYPES, [table, list(columns)]).fetchall())
    changes = [
        sql.SQL("{name} = regexp_replace({name}::text, %s, %s, 'gi')::{type}").format(name=sql.Identifier(column), type=sql.SQL(types[column]))
        for column in columns
    ]
    return sql.SQL(", ").join(changes), [value for _ in columns for value in (pattern, MARK)]


def scrub(tables: Sequence[str], catalogue_tables: Sequence[str]) -> bool:
    """Have pages written anew without what was deleted, and the log let go of it. Returns whether the log is ours to do so.

    Takes each table for itself for a moment. On another's server pages are written anew; its log is its administrator's.
    """
    for role, names in ((Role.OWNER, tables), (Role.LAKE_WRITER, catalogue_tables)):
        with database.connect(role, autocommit=True) as conn:
            for name in names:
                parts = conn.execute("SELECT relid::text FROM pg_partition_tree(%s::regclass) WHERE isleaf", [name]).fetchall()
                for (part,) in parts or [(name,)]:  # a table without partitions is no tree
                    conn.execute(sql.SQL("VACUUM (FULL, ANALYZE) {}").format(sql.Identifier(part)))
    place = database.endpoint()
    if "postgres" not in place.passwords:
        return False
    for name in (place.database, place.lake_database):
        with psycopg.connect(host=place.host, port=place.port, user="postgres", password=place.passwords["postgres"], dbname=name, autocommit=True) as server:
            server.execute("VACUUM (FULL) pg_statistic")
            for _ in range(2):  # what lies before the last checkpoint but one is not needed for anything
                server.execute("SELECT pg_switch_wal()")
                server.execute("CHECKPOINT")
    return True
