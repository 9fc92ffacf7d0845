"""A root of OGC API: where it is, who is let in, and which tables stand in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
from starlette.requests import Request

from malha.kernel.text import msg
from malha.share.datahub import door, tables
from malha.share.datahub.contracts import Reader, Table, TableKind, TableMissing

type Connection = psycopg.Connection[Any]


class Read(Protocol):
    """Runs work in a tenant's scope for whoever asks, once it is known who that is."""

    def __call__[T](self, request: Request, work: Callable[[Connection, Reader], T]) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class Root:
    """One root. `known` are its tables; `find` is one of them, or raises TableMissing; `headers` go with each answer."""

    path: str
    read: Read
    known: Callable[[Connection, Reader], list[Table]]
    find: Callable[[Connection, Reader, str], Table]
    keyless: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def at(self, reader: Reader) -> str:
        """The absolute address of the root."""
        return f"{reader.base}{self.path}"


def _known(conn: Connection, reader: Reader) -> list[Table]:
    return [table for table in tables.known(conn, reader) if table.kind is not TableKind.SERIES]


def _find(conn: Connection, reader: Reader, name: str) -> Table:
    found = tables.find(conn, reader, name)
    if found.kind is TableKind.SERIES:
        raise TableMissing(msg("Não há nenhuma tabela “{name}” ao seu alcance."), name=name[:120])
    return found


#: everything that its reader may see, for who shows a key
KEYED = Root("/ogc", door.read, _known, _find)
