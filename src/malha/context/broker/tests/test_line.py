"""One connection of the express lane: what it answers, whose rows it sees, and what becomes of it when something goes wrong."""

import asyncio

import psycopg
import pytest

from malha.context.broker.line import Line
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role

SEEN = "SELECT tenant_id, uri FROM entities WHERE uri = %s"
URI = "urn:x:Line:1"


def on_a_line(work):
    """What `work(line)` makes of a line that is open."""

    async def inside():
        line = await Line.open(database.dsn(Role.APP))
        try:
            return await work(line)
        finally:
            line.close()

    return asyncio.run(inside())


def thing_of(tenant):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        store.upsert_documents(conn, tenant.id, [EntityDocument(URI, ("Thing",), {"level": {"type": "Property", "value": 1}})])


def test_a_statement_sees_the_rows_of_its_tenant_and_the_next_none(new_tenant):
    mine, other = new_tenant(), new_tenant()
    thing_of(mine)

    async def work(line):
        return [None if told is None else told.row() for told in [await line.fetch(SEEN, (URI,), each) for each in (mine.id, other.id, None, mine.id)]]

    assert on_a_line(work) == [(mine.id, URI), None, None, (mine.id, URI)]


def test_a_column_is_as_postgresql_wrote_it():
    async def work(line):
        told = await line.fetch("SELECT %s::int[], %s::text, %s::bool", ("{1,2}", None, True))
        return told.row(), [told.column(number) for number in range(3)]

    assert on_a_line(work) == (([1, 2], None, True), [b"{1,2}", None, b"t"])


def test_a_line_answers_after_the_database_refused():
    async def work(line):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await line.fetch("SELECT 1 / %s::int", (0,), 1)
        with pytest.raises(psycopg.errors.UndefinedTable):
            await line.fetch("SELECT * FROM nothing_of_that_name", ())
        with pytest.raises(psycopg.DataError):
            await line.fetch("SELECT %s::text", ("a\x00b",))
        return line.closed, (await line.fetch("SELECT 1 / %s::int", (1,))).row()

    assert on_a_line(work) == (False, (1,))


def test_whoever_gives_up_closes_the_line():
    async def work(line):
        asking = asyncio.create_task(line.fetch("SELECT pg_sleep(%s)", (5,)))
        await asyncio.sleep(0.2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return line.closed

    assert on_a_line(work)


def test_a_server_that_goes_away_is_said_and_closes_the_line():
    async def work(line):
        asking = asyncio.create_task(line.fetch("SELECT pg_sleep(%s)", (20,)))
        await asyncio.sleep(0.2)
        with database.connect(Role.APP, autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(%s)", [line.pg.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            await asyncio.wait_for(asking, 5)
        return line.closed

    assert on_a_line(work)


def test_a_line_that_has_nothing_to_do_closes_with_its_server():
    async def work(line):
        with database.connect(Role.APP, autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(%s)", [line.pg.backend_pid])
        for _ in range(100):
            await asyncio.sleep(0.02)
            if line.closed:
                return True
        return False

    assert on_a_line(work)


def test_a_statement_longer_than_what_the_socket_takes_at_once():
    async def work(line):
        return (await line.fetch("SELECT length(%s::text)", ("a" * 30_000_000,))).row()

    assert on_a_line(work) == (30_000_000,)
