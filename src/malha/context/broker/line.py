"""One connection of the express lane, one statement at a time: sent and read where the event loop says so, without a coroutine for each step.

Half of what the driver's own cursor costs a request is making ready for what the lane never does (types of parameters found
out value by value, results of many rows). Here statements are prepared once and parameters travel as text. The connection is in
libpq's pipeline mode, so that the scope of a tenant and the statement that needs it go in one message and are one transaction.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import abc, errors
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

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


#: says for the rest of the transaction whose rows are seen
_SCOPE = compiled("SELECT set_config('malha.tenants', %s, true)")


def _as_text(value: object) -> bytes | None:
    """A parameter as PostgreSQL reads it. Raises psycopg.DataError for NUL, which would cut the text short there."""
    if type(value) is str:
        text = value.encode()
        if b"\x00" in text:
            raise psycopg.DataError("NUL")
        return text
    if value is None:
        return None
    if isinstance(value, bool):
        return b"t" if value else b"f"
    return _as_text(str(value))


class Told:
    """The row that a statement gave: all of it as values, or a column as PostgreSQL wrote it."""

    __slots__ = ("result", "rows")

    def __init__(self, result: PGresult, rows: abc.Transformer) -> None:
        self.result, self.rows = result, rows

    def row(self) -> tuple[Any, ...]:
        """Its values."""
        self.rows.set_pgresult(self.result)
        return self.rows.load_row(0, tuple) or ()

    def column(self, number: int) -> bytes | None:
        """The text of a column; None for null."""
        return self.result.get_value(0, number)


class Line:
    """A connection of one event loop. `closed` once it is of no use."""

    def __init__(self, conn: psycopg.AsyncConnection[Any]) -> None:
        self.conn, self.pg = conn, conn.pgconn
        self.rows: abc.Transformer = Transformer.from_context(conn)
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[PGresult] | None = None
        self.result: PGresult | None = None
        self.failed: PGresult | None = None
        self.prepared: set[bytes] = set()
        self.closed = False
        self.descriptor = self.pg.socket
        self.pg.enter_pipeline_mode()
        self.loop.add_reader(self.descriptor, self._readable)

    @classmethod
    async def open(cls, dsn: str) -> Line:
        """Connect. Raises psycopg.OperationalError."""
        conn = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        await conn.execute(f"SET statement_timeout = '{pool.STATEMENT_SECONDS}s'")
        return cls(conn)

    async def fetch(self, statement: str, params: Mapping[str, Any] | Sequence[Any], tenant_id: int | None = None) -> Told | None:
        """The first row of one statement, which is a transaction of its own; with `tenant_id` it sees what is that tenant's, else nothing that is anybody's.

        Raises what the database says; whoever gives up closes the line.
        """
        name, text, order = compiled(statement)
        values = [_as_text(params[key]) for key in order] if isinstance(params, Mapping) else [_as_text(value) for value in params]
        try:
            if name not in self.prepared:
                await self._prepare(name, text)
            answer = self._begin()
            if tenant_id is not None:
                self.pg.send_query_prepared(_SCOPE[0], [b"{%d}" % tenant_id])
            self.pg.send_query_prepared(name, values)
            self._send()
            result = await answer
        except (asyncio.CancelledError, psycopg.Error):
            if self.answer is not None:  # given up in the middle
                self.close()
            raise
        return Told(result, self.rows) if result.ntuples else None

    async def _prepare(self, name: bytes, text: bytes) -> None:
        """Have a statement ready under its name, and with the first the one that says whose rows are seen."""
        answer = self._begin()
        for each, words in ((name, text), _SCOPE[:2]):
            if each not in self.prepared:
                self.pg.send_prepare(each, words)
        self._send()
        await answer
        self.prepared |= {name, _SCOPE[0]}

    def _begin(self) -> asyncio.Future[PGresult]:
        """Will have the last result of what is sent next, once its transaction is over."""
        self.answer = answer = self.loop.create_future()
        self.result = self.failed = None
        return answer

    def _send(self) -> None:
        """Send what was put together: one message, one transaction."""
        self.pg.pipeline_sync()
        if self.pg.flush():
            self.loop.add_writer(self.descriptor, self._writable)

    def _writable(self) -> None:
        try:
            if not self.pg.flush():
                self.loop.remove_writer(self.descriptor)
        except psycopg.Error as reason:
            self._broken(reason)

    def _readable(self) -> None:
        pg = self.pg
        try:
            pg.consume_input()
            while not pg.is_busy():
                result = pg.get_result()
                if result is None:  # between two statements
                    if self.answer is None or pg.status != ConnStatus.OK:
                        self._unasked()
                        return
                elif result.status in _GOOD:
                    self.result = result
                elif result.status == ExecStatus.PIPELINE_SYNC:
                    self._done()
                    return
                else:
                    self.failed = self.failed or result
        except psycopg.Error as reason:
            self._broken(reason)

    def _unasked(self) -> None:
        """A line that says something unasked is one that ends."""
        if self.pg.status != ConnStatus.OK:
            self._broken(psycopg.OperationalError("the connection is lost"))

    def _done(self) -> None:
        answer, result, failed = self.answer, self.result, self.failed
        self.answer = self.result = self.failed = None
        if self.pg.status != ConnStatus.OK:
            self.close()
        if answer is None or answer.done():
            return
        if failed is not None or result is None:
            answer.set_exception(errors.error_from_result(failed) if failed is not None else psycopg.OperationalError("no answer"))
        else:
            answer.set_result(result)

    def _broken(self, reason: psycopg.Error) -> None:
        answer, failed, self.answer = self.answer, self.failed, None
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(errors.error_from_result(failed) if failed is not None else reason)

    def close(self) -> None:
        """Leave the connection, whatever it is at."""
        if not self.closed:
            self.closed = True
            self.loop.remove_reader(self.descriptor)
            self.loop.remove_writer(self.descriptor)
            self.pg.finish()
