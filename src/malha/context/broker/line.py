"""One connection of the express lane, one statement at a time: sent and read where the event loop says so, without a coroutine for each step.

Half of what the driver's own cursor costs a request is making ready for what the lane never does (types of parameters found
out value by value, pipelines, results of many rows). Here statements are prepared once and parameters travel as text.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus

from malha.context.broker import pool

_PLACE = re.compile(r"%\((\w+)\)s|%s")
_GOOD = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK})


@lru_cache(maxsize=64)
def compiled(statement: str) -> tuple[bytes, bytes, tuple[str, ...]]:
    """(name, text, names of the parameters in order) of a statement with `%(name)s` or `%s`."""
    found: list[str] = []

    def place(match: re.Match[str]) -> str:
        name = match[1] or str(len(found))
        if name not in found:
            found.append(name)
        return f"${found.index(name) + 1}"

    text = _PLACE.sub(place, statement)
    return f"line_{abs(hash(statement)):x}".encode(), text.encode(), tuple(found)


def _as_text(value: object) -> bytes | None:
    """A parameter as PostgreSQL reads it. Raises psycopg.DataError for NUL, which would cut the text short there."""
    if value is None:
        return None
    if isinstance(value, bool):
        return b"t" if value else b"f"
    text = str(value).encode()
    if b"\x00" in text:
        raise psycopg.DataError("NUL")
    return text


class Line:
    """A connection of one event loop. `closed` once it is of no use."""

    def __init__(self, conn: psycopg.AsyncConnection[Any]) -> None:
        self.conn, self.pg = conn, conn.pgconn
        self.rows = Transformer.from_context(conn)
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[tuple[Any, ...] | None] | None = None
        self.result: Any = None
        self.prepared: set[bytes] = set()
        self.closed = False
        self.descriptor = self.pg.socket
        self.loop.add_reader(self.descriptor, self._readable)

    @classmethod
    async def open(cls, dsn: str) -> Line:
        """Connect. Raises psycopg.OperationalError."""
        conn = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        await conn.execute(f"SET statement_timeout = '{pool.STATEMENT_SECONDS}s'")
        return cls(conn)

    async def fetch(self, statement: str, params: Mapping[str, Any] | Sequence[Any]) -> tuple[Any, ...] | None:
        """The first row of one statement, which is a transaction of its own. Raises what the database says; whoever gives up closes the line."""
        name, text, order = compiled(statement)
        values = [_as_text(params[key]) for key in order] if isinstance(params, Mapping) else [_as_text(value) for value in params]
        try:
            if name not in self.prepared:
                await self._send(lambda: self.pg.send_prepare(name, text))
                self.prepared.add(name)
            return await self._send(lambda: self.pg.send_query_prepared(name, values))
        except asyncio.CancelledError:
            self.close()
            raise

    async def _send(self, send: Any) -> tuple[Any, ...] | None:
        self.answer, self.result = self.loop.create_future(), None
        try:
            send()
            if self.pg.flush():
                self.loop.add_writer(self.descriptor, self._writable)
        except psycopg.Error:
            self.close()
            raise
        return await self.answer

    def _writable(self) -> None:
        try:
            if not self.pg.flush():
                self.loop.remove_writer(self.descriptor)
        except psycopg.Error as reason:
            self._broken(reason)

    def _readable(self) -> None:
        try:
            self.pg.consume_input()
            while not self.pg.is_busy():
                result = self.pg.get_result()
                if result is None:
                    self._done()
                    return
                self.result = result
        except psycopg.Error as reason:
            self._broken(reason)

    def _done(self) -> None:
        answer, result = self.answer, self.result
        self.answer = self.result = None
        if answer is None:  # a line that says something unasked is one that ends
            if self.pg.status != ConnStatus.OK:
                self.close()
            return
        if answer.done():
            return
        if result is None or result.status not in _GOOD:
            reason = errors.error_from_result(result) if result is not None else psycopg.OperationalError("no answer")
            if self.pg.status != ConnStatus.OK:
                self.close()
            answer.set_exception(reason)
            return
        row: tuple[Any, ...] | None = None
        if result.ntuples:
            self.rows.set_pgresult(result)
            row = self.rows.load_row(0, tuple)
        answer.set_result(row)

    def _broken(self, reason: psycopg.Error) -> None:
        answer, self.answer = self.answer, None
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(reason)

    def close(self) -> None:
        """Leave the connection, whatever it is at."""
        if not self.closed:
            self.closed = True
            self.loop.remove_reader(self.descriptor)
            self.loop.remove_writer(self.descriptor)
            self.pg.finish()
