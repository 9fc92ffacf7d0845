"""Open the lake for writing: one process at a time, tables made where they are missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from itertools import batched
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import psycopg

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import coarse, layout
from malha.history.engines import service as engines
from malha.history.engines.coarse import Coarse
from malha.history.engines.layout import Layout
from malha.history.engines.service import Connection
from malha.history.lake.contracts import Held, LakeBusy, Watermark
from malha.history.rollups import service as rollups
from malha.kernel.text import msg

SQL = Path(__file__).parent / "sql"
#: key of the advisory lock in the lake's catalogue that makes commits take turns (optimistic ones conflict)
LOCK = 0x6D616C6861
LOCK_WAIT_SECONDS = 120
#: tenants whose tables one commit makes: 308 at once took 36 s of processor, 60 at a time a quarter of that
MADE_AT_ONCE = 60

#: rows that are read or passed over together: with more, one series drags along too many others, and instants are packed worse
GROUP = ("parquet_row_group_size", "32768")


@contextmanager
def writing() -> Iterator[Connection]:
    """The lake, open for writing by this process alone. Raises LakeBusy after two minutes of waiting.

    The lock belongs to a session of the catalogue's server, so that a killed process gives it back.
    """
    with still() as session, engines.writer() as lake:
        made, parts, unsorted, grouped, indexed, thin = session.execute(_text("state"), {"group": GROUP[1]}).fetchone() or (False,) * 6
        if not made:
            _prepare(lake, session)
        if not indexed:  # the catalogue comes without any, and is asked by table a hundred times in a compaction
            session.execute(_text("indexes"))
        if made and not thin:
            _keep_books(lake, "coarse_month")
        _upgrade(lake, session, parts=parts or not made, unsorted=unsorted or not made, grouped=grouped or not made)
        yield lake


@contextmanager
def still() -> Iterator[psycopg.Connection]:
    """Nobody writes the lake while the block runs. Yields a session of the catalogue. Raises LakeBusy after two minutes of waiting."""
    with database.connect(Role.LAKE_WRITER, autocommit=True) as session:
        session.execute(f"SET lock_timeout = '{LOCK_WAIT_SECONDS}s'")
        try:
            session.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        except psycopg.errors.LockNotAvailable as reason:
            raise LakeBusy(msg("Outro processo está a escrever no histórico há mais de {seconds} s."), seconds=LOCK_WAIT_SECONDS) from reason
        yield session


def prepare() -> None:
    """Make the lake of this installation where it is missing."""
    with writing():
        pass


def ensure_tenant(lake: Connection, tenant_id: int) -> str:
    """The schema of the tenant, with its tables, made where it is missing."""
    ensure_tenants(lake, [tenant_id])
    return engines.tenant_schema(tenant_id)


def ensure_tenants(lake: Connection, tenant_ids: Sequence[int]) -> None:
    """Make the schemas and tables of these tenants where they are missing, `MADE_AT_ONCE` of them in a commit.

    Each commit of new tables makes the engine read all of them again, and each table looks at all that its own commit made before it.
    """
    there = set(schemas(lake))
    missing = [schema for schema in map(engines.tenant_schema, tenant_ids) if schema not in there]
    for some in batched(missing, MADE_AT_ONCE):
        lake.execute("BEGIN")
        for schema in some:
            for statement in _tables(schema):
                lake.execute(statement)
            rollups.create(lake, schema)
        lake.execute("COMMIT")


def schemas(lake: Connection) -> list[str]:
    """The schemas of the lake, one a tenant and the book-keeping's own."""
    return [row[0] for row in lake.execute("SELECT schema_name FROM duckdb_schemas() WHERE database_name = 'lake' ORDER BY 1").fetchall()]


def _upgrade(lake: Connection, session: psycopg.Connection, *, parts: bool, unsorted: bool, grouped: bool) -> None:
    """Bring tables of an older version to this one: columns that are missing (old rows answer null, files stay), and sums made anew, each tenant in a commit of its own."""
    if not parts:
        lake.execute("ALTER TABLE lake.main.bulk_run ADD COLUMN part INTEGER")
    if not unsorted:  # whoever writes gives rows in the table's order: arrays are sorted in a fifth of the time
        lake.execute("CALL lake.set_option('sort_on_insert', 'false')")
    if not grouped:
        lake.execute("CALL lake.set_option(?, ?)", list(GROUP))
    tables, columns, kinds = zip(*_wanted(), strict=True)
    missing = session.execute(_text("missing_columns"), {"tables": list(tables), "columns": list(columns), "kinds": list(kinds)}).fetchall()
    for schema, table, column, kind in missing:
        lake.execute(f"ALTER TABLE lake.{schema}.{table} ADD COLUMN {column} {kind}")
    for (schema,) in session.execute(_text("older_sums")).fetchall():
        lake.execute("BEGIN")
        rollups.rebuild(lake, schema, zone_of(int(schema.removeprefix("t"))))
        coarse.unmark(lake, int(schema.removeprefix("t")))
        lake.execute("COMMIT")


@cache
def _text(name: str) -> str:
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


def zone_of(tenant_id: int) -> ZoneInfo:
    """The time zone in which the tenant's days and months begin."""
    return zones_of([tenant_id])[tenant_id]


def zones_of(tenant_ids: Sequence[int]) -> dict[int, ZoneInfo]:
    """The time zones of tenants, by their number."""
    with database.connect(Role.APP, autocommit=True) as connection:
        known: dict[int, str] = dict(connection.execute("SELECT id, time_zone FROM organisation WHERE id = ANY(%s)", [list(tenant_ids)]).fetchall())
    return {tenant: ZoneInfo(known.get(tenant, "Europe/Lisbon")) for tenant in tenant_ids}


def has_schema(lake: Connection, schema: str) -> bool:
    """Whether the lake holds anything of that tenant."""
    return bool(lake.execute("SELECT 1 FROM duckdb_schemas() WHERE database_name = 'lake' AND schema_name = ?", [schema]).fetchone())


def held(schemas: Sequence[str]) -> dict[str, Held]:
    """How many rows the files of each table of these schemas hold. (To ask an empty table costs more than a full one.)"""
    found = {schema: Held() for schema in schemas}
    with database.connect(Role.LAKE_WRITER, autocommit=True) as session:
        for schema, table, rows, newest in session.execute(_text("held"), [list(schemas)]).fetchall():
            before = found[schema]
            found[schema] = Held({**before.rows, table: rows}, datetime.fromisoformat(newest) if newest else before.newest)
    return found


def watermark(lake: Connection, tenant_id: int) -> Watermark:
    """Up to where the lake holds what the tenant's hot rows say, as of the lake transaction that asks."""
    return watermarks(lake, [tenant_id]).get(tenant_id, Watermark())


def standing(reader: Connection, tenant_id: int) -> Layout | None:
    """The files of a tenant as of the lake transaction that asks, with its watermark noted; None where the lake holds nothing of it."""
    schema = engines.tenant_schema(tenant_id)
    row = reader.execute("SELECT id FROM lake.current_snapshot()").fetchone()
    if row is None or not has_schema(reader, schema):
        return None
    found = layout.keep(schema, int(row[0]))
    found.noted["watermark"] = watermark(reader, tenant_id)
    found.noted["coarse"] = coarse.of_tenant(reader, tenant_id)
    return found


def noted(found: Layout) -> Watermark:
    """The watermark of what `standing` found."""
    return cast("Watermark", found.noted["watermark"])


def coarse_of(found: Layout) -> Coarse:
    """The months without sums by the hour of what `standing` found."""
    return cast("Coarse", found.noted["coarse"])


def watermarks(lake: Connection, tenant_ids: Sequence[int]) -> dict[int, Watermark]:
    """The same for many tenants; those that have none are not there."""
    numbers = ", ".join(str(int(id_)) for id_ in tenant_ids)
    rows = lake.execute(f"SELECT tenant_id, xid, seq FROM lake.main.watermark WHERE tenant_id IN ({numbers}) ORDER BY xid, seq").fetchall()
    return {tenant: Watermark(xid, seq) for tenant, xid, seq in rows}


def set_watermark(lake: Connection, reached: Mapping[int, tuple[Watermark, int]]) -> None:
    """Move the watermarks of tenants (with the rows that were moved) inside the lake transaction that holds the rows."""
    lake.execute(f"DELETE FROM lake.main.watermark WHERE tenant_id IN ({', '.join(str(int(id_)) for id_ in reached)})")
    values = ", ".join(f"({int(id_)}, {mark.xid}, {mark.seq}, {int(rows)}, now())" for id_, (mark, rows) in reached.items())
    lake.execute(f"INSERT INTO lake.main.watermark VALUES {values}")


def _tables(schema: str) -> list[str]:
    return [statement for statement in _text("tables").format(schema=schema).split(";") if statement.strip()]


def kinds_of(table: str) -> dict[str, str]:
    """The columns of a tenant's table and their types, in this version."""
    return {column: kind for name, column, kind in _wanted() if name == table}


@cache
def _wanted() -> list[tuple[str, str, str]]:
    """Every (table, column, type) that a tenant has in this version, read off the statements that make them."""
    found = list[tuple[str, str, str]]()
    for statement in _tables("wanted"):
        if made := re.search(r"CREATE TABLE lake\.wanted\.(\w+)\s*\((.*)\)", statement, re.DOTALL):
            for column in made[2].split(","):
                name, kind = column.split(maxsplit=1)
                found.append((made[1], name, kind.strip()))
    return found


#: only the lake's own book-keeping is kept inline in the catalogue: nothing that anybody observed
_BOOKS = {
    "watermark": "tenant_id BIGINT, xid BIGINT, seq BIGINT, rows BIGINT, written_at TIMESTAMPTZ",
    "bulk_run": "tenant_id BIGINT, run_id BIGINT, rows BIGINT, written_at TIMESTAMPTZ, part INTEGER",
    "upkeep": "tidied_at TIMESTAMPTZ",
    "coarse_month": "tenant_id BIGINT, type VARCHAR, attribute VARCHAR, month INTEGER",
}


def _keep_books(lake: Connection, name: str) -> None:
    lake.execute(f"CREATE TABLE IF NOT EXISTS lake.main.{name}({_BOOKS[name]})")
    lake.execute(f"CALL lake.set_option('data_inlining_row_limit', 1000, table_name => '{name}')")


def _prepare(lake: Connection, session: psycopg.Connection) -> None:
    for name in _BOOKS:
        _keep_books(lake, name)
    for option, value in (("parquet_compression", "zstd"), ("parquet_version", "2"), ("sort_on_insert", "false"), GROUP):
        lake.execute(f"CALL lake.set_option('{option}', '{value}')")
    session.execute("GRANT USAGE ON SCHEMA public TO malha_lake_reader")
    session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO malha_lake_reader")
    session.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO malha_lake_reader")
