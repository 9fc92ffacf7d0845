"""Counts that look for numbers in `value` alone: the same answers as looking everywhere, whatever was written, and by however many at once."""

import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malha.context.store import predicate, service
from malha.context.store.contracts import EntityDocument, EntityQuery, WriteMode, WriteOptions
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role

MIGRATION = Path(__file__).resolve().parent.parent / "sql" / "migrations" / "0012_json_attributes.sql"
QUESTIONS = ["a>1", "a<=1", "a==1", "a!=1", "a==0..2", "a==1,3", "a>0;b<3", "a>1|b==2", "!a;b>0", "(a==1|c>5);b!=2", 'a>0;c=="x"', "a[deep]==1|b>2"]

numbers = st.integers(0, 3)
scalars = numbers | st.sampled_from(["x", "1", True, 2.5])
instances = st.one_of(
    st.builds(lambda v: {"type": "Property", "value": v}, scalars | st.lists(scalars, max_size=3) | st.fixed_dictionaries({"deep": scalars})),
    st.builds(lambda v, n: {"type": "Property", "value": v, n: {"type": "Property", "value": 1}}, scalars, st.sampled_from(["json", "valueList", "sub"])),
    st.builds(lambda v: {"type": "JsonProperty", "json": v}, scalars | st.fixed_dictionaries({"deep": scalars})),
    st.builds(lambda v: {"type": "ListProperty", "valueList": v}, st.lists(scalars, min_size=1, max_size=3)),
    st.builds(lambda v: {"type": "Relationship", "object": f"urn:x:{v}"}, numbers),
    st.builds(lambda v: {"type": "LanguageProperty", "languageMap": {"pt": f"{v}"}}, numbers),
    st.builds(lambda v: {"type": "VocabProperty", "vocab": f"{v}"}, numbers),
)
attributes = instances | st.lists(instances, min_size=2, max_size=3).map(
    lambda each: [one | ({"datasetId": f"urn:x:D:{n}"} if n else {}) for n, one in enumerate(each)]
)
documents = st.dictionaries(st.sampled_from("abc"), attributes)
steps = st.lists(st.tuples(numbers, documents, st.sampled_from([WriteMode.UPDATE, WriteMode.REPLACE])), min_size=1, max_size=6)
fresh = count()


def totals(conn, tenant_id, types):
    """By question (how it is counted, how it is counted by looking everywhere)."""
    found = {}
    for text in QUESTIONS:
        question = EntityQuery(types=types, q=text, count=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(predicate, "_measured", lambda _: set())
            everywhere = service.query(conn, [tenant_id], question)
        used = service.query(conn, [tenant_id], question)
        assert [one.uri for one in used.entities] == [one.uri for one in everywhere.entities], text
        found[text] = (used.total, everywhere.total)
    return found


def noted(conn, tenant_id):
    return {
        tuple(row)
        for row in conn.execute("SELECT t.name, k.name FROM entity_json_attribute k JOIN entity_type t ON t.id = k.type_id WHERE tenant_id = %s", [tenant_id])
    }


def write(conn, tenant_id, *docs, mode=WriteMode.UPDATE):
    with database.tenant_transaction(conn, [tenant_id]):
        assert not service.upsert_documents(conn, tenant_id, docs, WriteOptions(mode=mode)).refused


@pytest.fixture
def place(new_tenant):
    """(connection in autocommit, tenant id)"""
    with database.connect(autocommit=True) as conn:
        yield conn, new_tenant().id


def test_it_works(place):
    conn, tenant_id = place
    kind, plain = "NumberedThing", {"type": "Property", "value": 1}
    write(
        conn,
        tenant_id,
        EntityDocument("urn:x:N:1", (kind,), {"a": plain}),
        EntityDocument("urn:x:N:2", (kind,), {"a": plain, "b": {"type": "Relationship", "object": "urn:x:1"}}),
    )
    with database.tenant_transaction(conn, [tenant_id]):
        assert totals(conn, tenant_id, (kind,))["a==1"] == (2, 2)
        assert noted(conn, tenant_id) == set()
    write(conn, tenant_id, EntityDocument("urn:x:N:3", (kind,), {"a": {"type": "JsonProperty", "json": 1}}))
    with database.tenant_transaction(conn, [tenant_id]):
        assert totals(conn, tenant_id, (kind,))["a==1"] == (3, 3)
        assert noted(conn, tenant_id) == {(kind, "a")}


def test_one_jsonpath_is_left_where_numbers_are_plain():
    params = []
    sql = predicate.compile_node(service.q.parse('a>1;b!=2;c=="x"'), params, predicate.Look(tenants=(1,), types=(2,)))
    assert sql.count("entity_json_attribute") == 1
    tenants, types, names, everywhere, alone = params
    assert (tenants, types, names) == ([1], [2], ["a", "b"])
    assert everywhere.count(".json") == 3
    assert alone.count(".json") == 1, "a text is looked for as before"


@given(steps)
@settings(max_examples=30, deadline=None)
def test_all_kinds_are_counted_as_by_looking_everywhere(database_of_all, written):
    conn, tenant_id = database_of_all
    number = next(fresh)
    kinds = (f"Mixed{number}A", f"Mixed{number}B")
    for which, attributes_, mode in written:
        write(conn, tenant_id, EntityDocument(f"urn:x:M:{number}:{which}", (kinds[which % 2],), attributes_), mode=mode)
        with database.tenant_transaction(conn, [tenant_id]):
            for types in (kinds[:1], kinds[1:], kinds):
                for text, (used, everywhere) in totals(conn, tenant_id, types).items():
                    assert used == everywhere, text


def test_a_type_that_is_added_is_noted_too(place):
    conn, tenant_id = place
    write(conn, tenant_id, EntityDocument("urn:x:N:1", ("FirstThing",), {"a": {"type": "ListProperty", "valueList": [1]}}))
    write(conn, tenant_id, EntityDocument("urn:x:N:1", ("SecondThing",), {}))
    with database.tenant_transaction(conn, [tenant_id]):
        assert noted(conn, tenant_id) == {("FirstThing", "a"), ("SecondThing", "a")}
        assert totals(conn, tenant_id, ("SecondThing",))["a==1"] == (1, 1)


def test_what_was_there_before_is_noted_by_the_migration(place):
    conn, tenant_id = place
    write(
        conn,
        tenant_id,
        EntityDocument("urn:x:N:1", ("EarlyThing",), {"a": {"type": "JsonProperty", "json": {"b": 1}}, "b": {"type": "Property", "value": 1}}),
        EntityDocument(
            "urn:x:N:2",
            ("EarlyThing", "LateThing"),
            {"c": [{"type": "Property", "value": 1}, {"type": "ListProperty", "valueList": [1], "datasetId": "urn:x:D"}]},
        ),
    )
    fill = MIGRATION.read_text(encoding="utf-8").rpartition("INSERT INTO")
    with database.connect(Role.OWNER) as owner:
        before = noted(owner, tenant_id)
        owner.execute("DELETE FROM entity_json_attribute WHERE tenant_id = %s", [tenant_id])
        assert noted(owner, tenant_id) == set()
        owner.execute("".join(fill[1:]).rstrip().removesuffix(";") + f" AND e.tenant_id = {tenant_id}")
        assert noted(owner, tenant_id) == before == {("EarlyThing", "a"), ("EarlyThing", "c"), ("LateThing", "c")}
        owner.rollback()


def test_an_application_writes_no_note(place):
    conn, tenant_id = place
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tenant_transaction(conn, [tenant_id]):
        conn.execute("DELETE FROM entity_json_attribute")


WRITER = """
import sys
from malha.context.store import service
from malha.context.store.contracts import EntityDocument
from malha.foundation.database import service as database

tenant, name = int(sys.argv[1]), sys.argv[2]
with database.connect() as conn:
    for n in range(100_000):
        with database.tenant_transaction(conn, [tenant]):
            attribute = {"type": "JsonProperty", "json": 1} if n % 3 == 2 else {"type": "Property", "value": 1}
            service.upsert_documents(conn, tenant, [EntityDocument(f"urn:x:W:{name}:{n}", (f"Written{n // 20}",), {"a": attribute})])
        print(n, flush=True)
"""


def test_nobody_sees_an_entity_without_its_note(place):
    """Two processes write types that nobody wrote before, at the same time, and are killed; a third counts all the while."""
    conn, tenant_id = place
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tenant_id), name], stdout=subprocess.PIPE, text=True, env=dict(os.environ)) for name in "ab"]
    counted = 0
    try:
        assert [writer.stdout.readline().strip() for writer in writers] == ["0", "0"]
        end = time.monotonic() + 4
        while time.monotonic() < end:
            with database.tenant_transaction(conn, [tenant_id]):
                newest = conn.execute(
                    "SELECT max(t.name) FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE e.tenant_id = %s AND e.id = (SELECT max(id) FROM entities)",
                    [tenant_id],
                ).fetchone()[0]
                everywhere = conn.execute(
                    "SELECT count(*) FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE e.tenant_id = %s AND t.name = %s", [tenant_id, newest]
                ).fetchone()[0]
                total = service.query(conn, [tenant_id], EntityQuery(types=(newest,), q="a==1", count=True, limit=0)).total
                after = conn.execute(
                    "SELECT count(*) FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE e.tenant_id = %s AND t.name = %s", [tenant_id, newest]
                ).fetchone()[0]
            assert everywhere <= total <= after, newest
            counted += 1
    finally:
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
    assert counted > 20
    with database.tenant_transaction(conn, [tenant_id]):
        kinds = [
            row[0]
            for row in conn.execute(
                "SELECT DISTINCT t.name FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE e.tenant_id = %s", [tenant_id]
            ).fetchall()
        ]
        assert len(kinds) > 1
        for kind in kinds:
            for text, (used, everywhere) in totals(conn, tenant_id, (kind,)).items():
                assert used == everywhere, (kind, text)
