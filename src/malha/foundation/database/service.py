"""Connections to PostgreSQL by role, and the scope that says whose rows a transaction may touch.

Django-free: both planes, the worker and the commands use it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from malha.foundation.database.contracts import DATABASE, LAKE_DATABASE, VIEW_ROLE, DatabaseError, Endpoint, NoScope, Role
from malha.foundation.settings import service as settings
from malha.kernel.text import msg

SQL = Path(__file__).parent / "sql"


@cache
def endpoint() -> Endpoint:
    """Where the server of this installation listens.

    Raises DatabaseError when it is the embedded one and nobody has started it.
    """
    conf = settings.current()
    passwords_file = conf.data / "secrets" / "postgres.json"
    if conf.database_url:
        url = urlsplit(conf.database_url)
        passwords = json.loads(passwords_file.read_text()) if passwords_file.exists() else dict.fromkeys(Role, "")
        return Endpoint(url.hostname or "localhost", url.port or 5432, passwords)
    try:
        place = json.loads((conf.data / "endpoint.json").read_text())
        names = {"database": place.get("database", DATABASE), "lake_database": place.get("lake_database", LAKE_DATABASE)}
        return Endpoint(place["host"], place["port"], json.loads(passwords_file.read_text()), **names)
    except OSError as reason:
        raise DatabaseError(msg("A Malha não está a correr sobre {folder}. Arranque-a com `./malha up`."), folder=conf.data) from reason


def dsn(role: Role) -> str:
    """The connection URI of `role`; lake roles always reach the lake's catalogue."""
    place = endpoint()
    database = place.lake_database if role in {Role.LAKE_READER, Role.LAKE_WRITER} else place.database
    host = quote(place.host, safe="")
    return f"postgresql://{role}:{quote(place.passwords[role])}@{host}:{place.port}/{database}"


def connect(role: Role = Role.APP, *, autocommit: bool = False) -> psycopg.Connection:
    """A fresh connection as `role`."""
    return psycopg.connect(dsn(role), autocommit=autocommit)


_current: Callable[[], psycopg.Connection] | None = None


def provide_current(provider: Callable[[], psycopg.Connection]) -> None:
    """Say where `current()` finds the transaction of this thread: Django's half of the room does, when Django runs."""
    global _current  # noqa: PLW0603 -- set once, at the start of a process with Django in it
    _current = provider


def current() -> psycopg.Connection:
    """The transaction that this thread has open. Raises NoScope where there is none."""
    if _current is None:
        raise NoScope(msg("Falta dizer de que município são os dados."))
    return _current()


def scope_value(tenants: Iterable[int]) -> str:
    """The value of `malha.tenants` for these tenants."""
    return "{" + ",".join(str(int(tenant)) for tenant in tenants) + "}"


@contextmanager
def tenant_transaction(connection: psycopg.Connection, tenants: Iterable[int]) -> Iterator[psycopg.Connection]:
    """A transaction that sees and writes rows of `tenants` and of nobody else."""
    with connection.transaction():
        connection.execute("SELECT set_config('malha.tenants', %s, true)", [scope_value(tenants)])
        yield connection


def require_scope(connection: psycopg.Connection) -> None:
    """Raise NoScope unless this transaction said whose rows it touches (an empty export is worse than an error)."""
    row = connection.execute("SELECT nullif(current_setting('malha.tenants', true), '')").fetchone()
    if not row or row[0] is None:
        raise NoScope(msg("Falta dizer de que município são os dados."))


def refresh_statistics() -> None:
    """Let the planner know what the tables hold now, after a load that made them grow at once (seconds, as owner).

    The server looks by itself only once in a while; until then it plans as if they were empty, and finds words row by row
    that the index has not sorted in.
    """
    with connect(Role.OWNER, autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE, SKIP_LOCKED)")


def prepare_server() -> None:
    """Make roles and databases on the server of `MALHA_DATABASE_URL`, whose user may create both.

    The passwords of our roles are generated once and kept in the data folder (0600). Raises DatabaseError with what
    the user lacks, or why the server lets it not in.
    """
    conf = settings.current()
    passwords_file = conf.data / "secrets" / "postgres.json"
    if not passwords_file.exists():
        passwords_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        passwords_file.touch(mode=0o600)
        passwords_file.write_text(json.dumps({role: secrets.token_urlsafe(24) for role in Role}), encoding="utf-8")
    endpoint.cache_clear()
    place = endpoint()
    try:
        with psycopg.connect(conf.database_url, autocommit=True) as maintenance:
            bootstrap(maintenance, passwords=place.passwords)
            with psycopg.connect(conf.database_url, dbname=DATABASE, autocommit=True) as inside:
                bootstrap(maintenance, inside, passwords=place.passwords)
    except psycopg.errors.InsufficientPrivilege as reason:
        who = urlsplit(conf.database_url).username or "?"
        text = msg("O utilizador {user} de MALHA_DATABASE_URL tem de poder criar funções e bases de dados (CREATEROLE e CREATEDB). O servidor disse: {reason}")
        raise DatabaseError(text, user=who, reason=str(reason).strip()) from reason
    except psycopg.OperationalError as reason:
        text = msg("O PostgreSQL em {host}:{port} (MALHA_DATABASE_URL) não deixou entrar: {reason}")
        raise DatabaseError(text, host=place.host, port=place.port, reason=str(reason).strip()) from reason


def bootstrap(superuser: psycopg.Connection, inside: psycopg.Connection | None = None, *, passwords: dict[str, str]) -> None:
    """Create roles and databases where missing. `superuser` is connected to the maintenance database."""
    superuser.execute("SET createrole_self_grant = 'set, inherit'")  # whoever is no superuser acts as the roles it makes
    for role in Role:
        _ensure_role(superuser, role, passwords[role])
    if not superuser.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [VIEW_ROLE]).fetchone():
        superuser.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(VIEW_ROLE)))
    superuser.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(VIEW_ROLE), sql.Identifier(Role.OWNER)))
    for database, owner in ((DATABASE, Role.OWNER), (LAKE_DATABASE, Role.LAKE_WRITER)):
        if not superuser.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            superuser.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(owner)))
            superuser.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
    for role in (Role.APP, Role.COMPACTOR, Role.OWNER):
        superuser.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(sql.Identifier(DATABASE), sql.Identifier(role)))
    superuser.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(LAKE_DATABASE), sql.Identifier(Role.LAKE_READER)))
    if inside is not None:
        inside.execute((SQL / "bootstrap.sql").read_text(encoding="utf-8"))


def _ensure_role(superuser: psycopg.Connection, role: Role, password: str) -> None:
    if superuser.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        superuser.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))
        return
    superuser.execute(
        sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
    )
