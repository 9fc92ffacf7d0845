"""Words of the database room."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from malha.kernel.errors import Conflict, MalhaError, Misconfigured


class Role(StrEnum):
    """The logins of the server; each right is given to the weakest that can use it.

    OWNER owns every table and runs migrations, and nothing else. APP carries requests and jobs under
    row-level security. COMPACTOR may read hot rows of all tenants and delete what it moved. LAKE_WRITER
    and LAKE_READER reach only the lake's catalogue, a database of its own.
    """

    OWNER = "malha_owner"
    APP = "malha_app"
    COMPACTOR = "malha_compactor"
    LAKE_WRITER = "malha_lake_writer"
    LAKE_READER = "malha_lake_reader"


DATABASE = "malha"
LAKE_DATABASE = "malha_lake"
#: NOLOGIN owner of the views through which searched tables are reached (docs/adr/0002)
VIEW_ROLE = "malha_view"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server listens: a socket folder (embedded) or a host with its port."""

    host: str
    port: int
    passwords: dict[str, str]
    database: str = DATABASE
    lake_database: str = LAKE_DATABASE


class DatabaseError(MalhaError):
    """The database cannot be used as things stand."""

    slug = "database"


class AlreadyRunning(DatabaseError, Conflict):
    """Another Malha uses this data folder."""

    slug = "already-running"


class WrongVersion(DatabaseError, Misconfigured):
    """The data folder was made by another major version of PostgreSQL."""

    slug = "postgres-version"


class NoScope(DatabaseError):
    """Somebody reads tenants' rows without having said for which tenant: a defect of ours."""

    slug = "no-scope"
