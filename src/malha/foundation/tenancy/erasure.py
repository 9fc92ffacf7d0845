"""Take a tenant out of the database, whole: every row of every table that carries its id. Django-free.

Runs as owner of the tables, from the command line only. The lake and the files are other rooms' business; the
composition root calls all of them.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role

# tables (not partitions: their parents reach them) with a column tenant_id
OWNED = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attname = 'tenant_id' AND NOT a.attisdropped
ORDER BY c.relname
"""
# columns of other tables that point at organisations
POINTING = """
SELECT c.relname, a.attname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
WHERE k.contype = 'f' AND k.confrelid = 'organisation'::regclass AND a.attname <> 'tenant_id' AND NOT c.relispartition
"""


def erase(tenant_id: int) -> dict[str, int]:
    """Delete the tenant and all its rows; returns how many from each table. All or nothing."""
    with database.connect(Role.OWNER) as conn, conn.transaction():
        conn.execute("SET CONSTRAINTS ALL DEFERRED")
        conn.execute("UPDATE organisation SET parent_id = NULL WHERE parent_id = %s", [tenant_id])
        pointing = [(table, column) for table, column in conn.execute(POINTING).fetchall() if table != "organisation"]
        work = [*pointing, *((row[0], "tenant_id") for row in conn.execute(OWNED).fetchall())]
        counts = _delete_all(conn, work, tenant_id)
        conn.execute("DELETE FROM procrastinate_jobs WHERE status = 'todo' AND args->>'tenant_id' = %s", [str(tenant_id)])
        counts["organisation"] = conn.execute("DELETE FROM organisation WHERE id = %s", [tenant_id]).rowcount
        return {table: count for table, count in counts.items() if count}


def _delete_all(conn: psycopg.Connection, work: list[tuple[str, str]], tenant_id: int) -> dict[str, int]:
    """Delete in whatever order references allow: what is still pointed at waits for the next round."""
    counts: dict[str, int] = {}
    while work:
        waiting: list[tuple[str, str]] = []
        for table, column in work:
            try:
                with conn.transaction():
                    statement = sql.SQL("DELETE FROM {} WHERE {} = %s").format(sql.Identifier(table), sql.Identifier(column))
                    counts[table] = counts.get(table, 0) + conn.execute(statement, [tenant_id]).rowcount
            except psycopg.errors.IntegrityError:
                if len(waiting) == len(work) - 1:
                    raise
                waiting.append((table, column))
        work = waiting
    return counts
