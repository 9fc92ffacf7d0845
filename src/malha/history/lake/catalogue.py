"""Open the lake for writing: one process at a time, tables made where they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import service as engines
from malha.history.engines.service import Connection
from malha.history.lake.contracts import LakeBusy, Watermark
from malha.history.rollups import service as rollups
from malha.kernel.text import msg

SQL = Path(__file__).parent / "sql"
#: key of the advisory lock in the lake's catalogue that makes commits take turns (optimistic ones conflict)
LOCK = 0x6D616C6861
LOCK_WAIT_SECONDS = 120


@contextmanager
def writing() -> Iterator[Connection]:
    """The lake, open for writing by this process alone. Raises LakeBusy after two minutes of waiting.

    The lock belongs to a session of the catalogue's server, so that a killed process gives it back.
    """
    with database.connect(Role.LAKE_WRITER, autocommit=True) as session:
        session.execute(f"SET lock_timeout = '{LOCK_WAIT_SECONDS}s'")
        try:
            session.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        except psycopg.errors.LockNotAvailable as reason:
            raise LakeBusy(msg("Outro processo está a escrever no histórico há mais de {seconds} s."), seconds=LOCK_WAIT_SECONDS) from reason
        lake = engines.writer()
        try:
            _prepare(lake, session)
            yield lake
        finally:
            lake.close()


def prepare() -> None:
    """Make the lake of this installation where it is missing."""
    with writing():
        pass


def ensure_tenant(lake: Connection, tenant_id: int) -> str:
    """The schema of the tenant, with its tables, made where it is missing."""
    schema = engines.tenant_schema(tenant_id)
    if not has_schema(lake, schema):
        lake.execute("BEGIN")
        for statement in (SQL / "tables.sql").read_text(encoding="utf-8").format(schema=schema).split(";"):
            if statement.strip():
                lake.execute(statement)
        rollups.create(lake, schema)
        lake.execute("COMMIT")
    return schema


def has_schema(lake: Connection, schema: str) -> bool:
    """Whether the lake holds anything of that tenant."""
    return bool(lake.execute("SELECT 1 FROM duckdb_schemas() WHERE database_name = 'lake' AND schema_name = ?", [schema]).fetchone())


def watermark(lake: Connection, tenant_id: int) -> Watermark:
    """Up to where the lake holds what the tenant's hot rows say, as of the lake transaction that asks."""
    row = lake.execute("SELECT xid, seq FROM lake.main.watermark WHERE tenant_id = ? ORDER BY xid DESC, seq DESC LIMIT 1", [tenant_id]).fetchone()
    return Watermark(row[0], row[1]) if row else Watermark()


def set_watermark(lake: Connection, tenant_id: int, reached: Watermark, rows: int) -> None:
    """Move the watermark inside the lake transaction that holds the rows."""
    lake.execute("DELETE FROM lake.main.watermark WHERE tenant_id = ?", [tenant_id])
    lake.execute("INSERT INTO lake.main.watermark VALUES (?, ?, ?, ?, now())", [tenant_id, reached.xid, reached.seq, rows])


def _prepare(lake: Connection, session: psycopg.Connection) -> None:
    if lake.execute("SELECT 1 FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'main' AND table_name = 'bulk_run'").fetchone():
        return
    # Only the lake's own book-keeping is kept inline in the catalogue: a row a tenant, nothing that anybody observed.
    for name, columns in (
        ("watermark", "xid BIGINT, seq BIGINT, rows BIGINT, written_at TIMESTAMPTZ"),
        ("bulk_run", "run_id BIGINT, rows BIGINT, written_at TIMESTAMPTZ"),
    ):
        lake.execute(f"CREATE TABLE IF NOT EXISTS lake.main.{name}(tenant_id BIGINT, {columns})")
        lake.execute(f"CALL lake.set_option('data_inlining_row_limit', 1000, table_name => '{name}')")
    for option, value in (("parquet_compression", "zstd"), ("parquet_version", "2")):
        lake.execute(f"CALL lake.set_option('{option}', '{value}')")
    session.execute("GRANT USAGE ON SCHEMA public TO malha_lake_reader")
    session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO malha_lake_reader")
    session.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO malha_lake_reader")
