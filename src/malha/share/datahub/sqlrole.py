"""The read-only SQL login of a tenant: whether it can be had here, its making and ending, and what it sees kept up to date.

A login sees three views of schema `hub` (`sql/migrations/0001_sql_login.sql`) and nothing else. Whose rows they show
follows from who signed in, not from a setting of the session. Roles are made by the server's own administrator.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.share.datahub import past, tables
from malha.share.datahub.contracts import HubError, Reader, TableKind

CONNECTIONS = 5
TIMEOUT = "60s"
#: days that are kept for SQL
KEPT = timedelta(days=400)
VIEWS = ("entity", "observation", "day")


class NoSqlHere(HubError):
    """This server cannot give anybody a login."""

    slug = "hub-no-sql"
    status = 409


def why_not() -> str:
    """Why there is no SQL login here; empty where there can be one."""
    if not settings.current().database_url:
        return msg(
            "Esta instalação usa a base de dados embutida, que só escuta neste computador, sem rede nem TLS. Com um servidor PostgreSQL próprio (MALHA_DATABASE_URL) o acesso por SQL pode ser ligado."
        )
    with database.connect(autocommit=True) as conn:
        row = conn.execute("SELECT current_setting('ssl') = 'on', current_setting('password_encryption') = 'scram-sha-256'").fetchone()
    if row is None or not row[0]:
        return msg("O servidor PostgreSQL não tem TLS ligado (ssl = on): as palavras-passe e os dados passariam à vista.")
    return "" if row[1] else msg("O servidor PostgreSQL não guarda as palavras-passe por SCRAM (password_encryption = scram-sha-256).")


def role_of(slug: str) -> str:
    """The name of a tenant's login."""
    return ("hub_" + re.sub(r"[^a-z0-9]", "_", slug.lower()))[:63]


def grant(tenant_id: int, slug: str) -> tuple[str, str]:
    """Make the tenant's login, or give it another password: (role, password). Raises NoSqlHere where TLS or SCRAM are missing."""
    reason = why_not()
    if reason:
        raise NoSqlHere(reason)
    with psycopg.connect(settings.current().database_url, autocommit=True, dbname=database.endpoint().database) as admin:
        made = make(admin, tenant_id, slug)
    refresh(tenant_id)
    return made


def make(admin: psycopg.Connection[Any], tenant_id: int, slug: str) -> tuple[str, str]:
    """As `grant`, on a connection that may create roles, without asking whether the server is fit for it."""
    role, password = role_of(slug), secrets.token_urlsafe(24)
    name, base = sql.Identifier(role), sql.Identifier(database.endpoint().database)
    exists = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    owner = admin.execute("SELECT tenant_id FROM hub_login WHERE role_name = %s", [role]).fetchone()
    if exists and (owner is None or owner[0] != tenant_id):
        raise NoSqlHere(msg("O papel “{role}” já existe no servidor e não é deste município."), role=role)
    with admin.transaction():
        options = sql.SQL(" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT CONNECTION LIMIT {} PASSWORD {}").format(
            sql.Literal(CONNECTIONS), sql.Literal(password)
        )
        admin.execute(sql.SQL("ALTER ROLE {}" if exists else "CREATE ROLE {}").format(name) + options)
        for setting, value in (
            ("statement_timeout", TIMEOUT), ("default_transaction_read_only", "on"), ("idle_in_transaction_session_timeout", "60s"), ("search_path", "hub"), ("work_mem", "16MB"),
        ):  # fmt: skip
            admin.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value)))
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(base, name))
        admin.execute(sql.SQL("GRANT USAGE ON SCHEMA hub TO {}").format(name))
        admin.execute(sql.SQL("GRANT EXECUTE ON FUNCTION hub.tenant() TO {}").format(name))  # functions of a view are run by whoever asks it
        for view in VIEWS:
            admin.execute(sql.SQL("GRANT SELECT ON hub.{} TO {}").format(sql.Identifier(view), name))
        admin.execute("INSERT INTO hub_login (tenant_id, role_name) VALUES (%s, %s) ON CONFLICT DO NOTHING", [tenant_id, role])
    return role, password


def end(tenant_id: int, slug: str) -> bool:
    """Take the tenant's login away; False where there was none."""
    with psycopg.connect(settings.current().database_url, autocommit=True, dbname=database.endpoint().database) as admin:
        return remove(admin, tenant_id, slug)


def remove(admin: psycopg.Connection[Any], tenant_id: int, slug: str) -> bool:
    """As `end`, on a connection that may drop roles."""
    role = role_of(slug)
    with admin.transaction():
        known = admin.execute("DELETE FROM hub_login WHERE tenant_id = %s AND role_name = %s RETURNING 1", [tenant_id, role]).fetchone()
        if known is None:
            return False
        admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    return True


def has_login(conn: psycopg.Connection[Any], tenant_id: int) -> bool:
    """Whether the tenant has a login. In its scope."""
    return conn.execute("SELECT 1 FROM hub_login WHERE tenant_id = %s", [tenant_id]).fetchone() is not None


def refresh(tenant_id: int) -> int:
    """List again which attributes may be seen, and copy the sums by day of the last 400 days. Returns the days kept.

    Run when a login is made and each night for tenants that have one.
    """
    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        place = conn.execute("SELECT slug, name, time_zone FROM organisation WHERE id = %s", [tenant_id]).fetchone()
        assert place is not None
        reader = Reader(tenant_id, place[0], place[1], place[2], Principal(tenant_id, frozenset({Capability.DATA_READ, Capability.DATA_EXPORT})))
        found = tables.known(conn, reader)
        conn.execute("DELETE FROM hub_column WHERE tenant_id = %s", [tenant_id])
        conn.execute("DELETE FROM hub_day WHERE tenant_id = %s", [tenant_id])
        kept = 0
        for table in found:
            if table.kind is TableKind.CURRENT:
                pairs = [(tenant_id, table.entity_type, field.attribute) for field in table.fields if field.attribute]
                conn.cursor().executemany("INSERT INTO hub_column VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", pairs)
            elif table.kind is TableKind.DAILY:
                kept += _copy_days(conn, reader, table)
        return kept


def _copy_days(conn: psycopg.Connection[Any], reader: Reader, table: Any) -> int:
    rows = 0
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS hub_day_new (LIKE hub_day INCLUDING DEFAULTS) ON COMMIT DROP")
    conn.execute("TRUNCATE hub_day_new")

    def write(batches: Iterator[pa.RecordBatch]) -> None:
        nonlocal rows
        names = "tenant_id, type_name, entity, attribute, instance, starts_at, unit, count, sum, minimum, maximum, last"
        with conn.cursor().copy(f"COPY hub_day_new ({names}) FROM STDIN") as copy:
            for batch in batches:
                for one in batch.to_pylist():
                    values = (one[name] for name in ("entity", "attribute", "instance", "start", "unit", "count", "sum", "minimum", "maximum", "last"))
                    copy.write_row((reader.tenant_id, table.entity_type, *values))
                    rows += 1

    past.stream(conn, reader, table, now() - KEPT, datetime(9999, 1, 1, tzinfo=UTC), write)
    conn.execute("INSERT INTO hub_day SELECT * FROM hub_day_new")
    return rows
