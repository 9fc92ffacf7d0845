"""Many entities written while the next are worked out: the same as one by one, all or nothing; arrays as they lie in memory say what they hold."""

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.context.store import binary, documents, service
from malha.context.store.contracts import EntityDocument, EntityQuery, WriteMode, WriteOptions
from malha.foundation.database import service as database

TYPE = "AheadThing"
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@pytest.fixture
def place(new_tenant):
    """(connection in autocommit, tenant id)"""
    with database.connect(autocommit=True) as conn:
        yield conn, new_tenant().id


def thing(n, **members):
    attributes = {"name": {"type": "Property", "value": f'«{n}» "\\{{}}'}, "level": {"type": "Property", "value": n, "observedAt": "2026-05-01T12:00:00.25Z"}}
    return EntityDocument(f"urn:x:A:{n}", (TYPE,), attributes | members)


def write(conn, tenant_id, docs, mode=WriteMode.UPDATE):
    with database.tenant_transaction(conn, [tenant_id]):
        outcome = service.upsert_documents(conn, tenant_id, docs, WriteOptions(mode=mode))
    return outcome.created, outcome.updated, outcome.unchanged, outcome.observations, [uri for uri, _ in outcome.refused]


def stored(conn, tenant_id):
    """By URI the attributes without stamps, and how many rows of history there are."""
    with database.tenant_transaction(conn, [tenant_id]):
        page = service.query(conn, [tenant_id], EntityQuery(types=(TYPE,), limit=1_000))
        rows = conn.execute(
            "SELECT count(*), count(num), count(txt), count(DISTINCT observed_at) FROM observation_hot WHERE tenant_id = %s", [tenant_id]
        ).fetchone()
    found = {one.uri: {name: {k: v for k, v in each.items() if k not in documents.STAMPS} for name, each in one.attributes.items()} for one in page.entities}
    return found, rows


def test_it_works(place, new_tenant):
    conn, tenant_id = place
    count = documents.PART * 2 + 50
    first = [thing(n) for n in range(count)]
    assert write(conn, tenant_id, first) == (count, 0, 0, 2 * count, [])
    second = [thing(n, extra={"type": "Property", "value": True}) if n % 3 else thing(n) for n in range(50, count + 50)]
    more = sum(n % 3 > 0 for n in range(50, count))
    new = sum(2 + (n % 3 > 0) for n in range(count, count + 50))
    assert write(conn, tenant_id, second) == (50, more, count - 50 - more, more + new, [])
    bad = EntityDocument("urn:x:A:1", (TYPE,), {"a": {"type": "Nothing"}})
    assert write(conn, tenant_id, [bad, *first[1:]], WriteMode.REPLACE)[4] == ["urn:x:A:1"]
    other = new_tenant().id
    for batch in (first, second, first[2:]):  # one by one, elsewhere
        for doc in batch:
            write(conn, other, [doc], WriteMode.REPLACE if batch not in (first, second) else WriteMode.UPDATE)
    ours, history = stored(conn, tenant_id)
    theirs, theirs_history = stored(conn, other)
    assert ours == theirs
    assert (history[0], history[1], history[2]) == (theirs_history[0], theirs_history[1], theirs_history[2])


def test_what_fails_on_the_way_writes_nothing_and_says_why(place):
    conn, tenant_id = place
    docs = [thing(n) for n in range(documents.PART * 4)]
    with database.connect(autocommit=True) as other, database.tenant_transaction(other, [tenant_id]):
        service.upsert_documents(other, tenant_id, [max(docs, key=lambda doc: doc.uri)])  # written last of all: it is waited for
        conn.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            write(conn, tenant_id, docs)
    conn.execute("RESET statement_timeout")
    assert len(stored(conn, tenant_id)[0]) == 1
    assert write(conn, tenant_id, docs)[:2] == (len(docs) - 1, 0)


@given(st.lists(st.none() | texts), st.lists(st.integers(-(2**63), 2**63 - 1)))
@settings(max_examples=60, deadline=None)
def test_arrays_come_as_they_are(connection, words, numbers):
    import numpy as np

    found = binary.cursor(connection).execute("SELECT %s::text[], %s::bigint[]", [binary.texts(words), binary.longs(np.array(numbers, np.int64))]).fetchone()
    assert found == (words, numbers)


@pytest.fixture(scope="module")
def connection():
    with database.connect(autocommit=True) as conn:
        yield conn
