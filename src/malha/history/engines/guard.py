"""What a reader of the lake may be told: questions and nothing else.

DuckDB's own lock keeps a reader to the tenant's folders, but lets it write there (`COPY … TO` inside an allowed directory).
So each statement is parsed by DuckDB itself first, and only those that read go on.
"""

from __future__ import annotations

import re
from typing import Any

import duckdb

from malha.history.engines.contracts import ReadOnly
from malha.kernel.text import msg

_READS = frozenset({duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.TRANSACTION})
#: what reaches the catalogue's own server, or tells of its address and keys; texts in quotes are no names
_CATALOGUE = re.compile(r"\b(postgres_\w+|pg_\w+|pragma\w*|__ducklake_metadata\w*|duckdb_(secrets|databases|settings))\b", re.IGNORECASE)
_TEXTS = re.compile(r"'(?:[^']|'')*'")
#: words that plan or change outside of a statement that is parsed here
_METHODS = frozenset({"register", "unregister", "interrupt", "fetchall", "fetchone", "fetchmany", "to_arrow_table", "fetch_record_batch", "fetch_arrow_table", "description"})  # fmt: skip


class Reader:
    """A DuckDB cursor that only answers."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def execute(self, statement: str, parameters: object = None) -> duckdb.DuckDBPyConnection:
        """Run one statement that reads. Raises ReadOnly for any other."""
        if _CATALOGUE.search(_TEXTS.sub("''", statement)):
            raise ReadOnly(msg("O catálogo do histórico não se lê aqui: “{what}”."), what=statement[:60])
        found = self._cursor.extract_statements(statement)
        for each in found:
            if each.type not in _READS:
                raise ReadOnly(msg("O histórico só se lê aqui: “{what}” não é uma pergunta."), what=statement[:60])
        return self._cursor.execute(found[0] if len(found) == 1 else statement, parameters)  # what is parsed need not be parsed again

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(name)
        return getattr(self._cursor, name)
