"""Migration operations that put the tenant wall around a table (row-level security, docs/adr/0002).

The Django half of the room: used in `migrations/` of other rooms, nowhere else.
"""

from __future__ import annotations

from pathlib import Path

from django.db import migrations

#: the form of the condition that keeps the index in use (a cast outside the sub-select) and is read once a statement (the one inside)
CONDITION = "tenant_id = ANY ((SELECT nullif(current_setting('malha.tenants', true), '')::bigint[])::bigint[])"

WALL = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY {name}_owner ON {table} TO malha_owner USING (true) WITH CHECK (true);
CREATE POLICY {name}_tenant ON {table} TO malha_app USING ({condition}) WITH CHECK ({condition});
"""
BREAK_WALL = """
DROP POLICY {name}_tenant ON {table};
DROP POLICY {name}_owner ON {table};
ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
"""

VIEW = """
CREATE POLICY {name}_view ON {table} TO malha_view USING (true) WITH CHECK (true);
REVOKE ALL ON {table} FROM malha_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO malha_view;
CREATE VIEW {view} AS SELECT * FROM {table} WHERE {condition} WITH CHECK OPTION;
GRANT CREATE ON SCHEMA public TO malha_view;
ALTER VIEW {view} OWNER TO malha_view;
REVOKE CREATE ON SCHEMA public FROM malha_view;
GRANT SELECT, INSERT, UPDATE, DELETE ON {view} TO malha_app;
"""

#: rows that a second party may read, and only read: whoever `column` names
READER = """
CREATE POLICY {name}_{column} ON {table} FOR SELECT TO malha_app USING ({condition});
"""


def wall_sql(table: str) -> str:
    """The statements that wall `table` off by its column `tenant_id`."""
    return WALL.format(table=table, name=table, condition=CONDITION)


def searched_view_sql(table: str, view: str) -> str:
    """The statements that make `view` the only way to `table` for the application.

    For tables searched by operators that are not leakproof (boxes, jsonb, text), whose indexes plain
    row-level security would switch off.
    """
    return VIEW.format(table=table, name=table, view=view, condition=CONDITION)


class TenantWall(migrations.RunSQL):
    """`TenantWall("room_table")`: only rows of the tenants in scope are seen and written."""

    def __init__(self, table: str) -> None:
        super().__init__(wall_sql(table), BREAK_WALL.format(table=table, name=table))
        self.table = table

    def deconstruct(self):  # type: ignore[no-untyped-def]
        return (self.__class__.__qualname__, [self.table], {})


class ReaderWall(migrations.RunSQL):
    """`ReaderWall("delegation", "delegate_id")`: whoever the column names reads the row too, and never writes it."""

    def __init__(self, table: str, column: str) -> None:
        condition = CONDITION.replace("tenant_id", column)
        super().__init__(READER.format(table=table, name=table, column=column, condition=condition), f"DROP POLICY {table}_{column} ON {table};")
        self.arguments = [table, column]

    def deconstruct(self):  # type: ignore[no-untyped-def]
        return (self.__class__.__qualname__, self.arguments, {})


class SqlFile(migrations.RunSQL):
    """`SqlFile(__file__, "0001_outbox.sql")`: run `sql/migrations/0001_outbox.sql` of the room whose migration this is."""

    def __init__(self, migration: str, name: str, reverse_sql: str = migrations.RunSQL.noop) -> None:
        super().__init__((Path(migration).resolve().parent.parent / "sql" / "migrations" / name).read_text(encoding="utf-8"), reverse_sql)
