"""Counts by what is kept in memory: the same totals as a walk over the documents, whatever was written, undone, forgotten, and by however many at once."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from itertools import count

import numpy as np
import psycopg
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from malha.context.store import columns, conditions, pages, service, watching, words
from malha.context.store.contracts import EntityDocument, EntityQuery, WriteMode, WriteOptions
from malha.context.store.q import Path
from malha.context.store.tests.test_numbers_alone import attributes, instances, numbers
from malha.foundation.access import reach
from malha.foundation.access.contracts import Reach
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.kernel.time import now

TYPE = "FiguredThing"
QUESTIONS = [
    "a>1", "a<=1", "a==1", "a==0..2", "a==1,3", "a>0;b<3", "a>1|b==2", "(a==1|c>5);b>=2", "a==2.5", "c<2;a<2;b<2", "a!=1", "a!=1,3", "a!=0..2", "a", "!a", "!a|b>1",
    'a=="x"', 'a!="x"', 'a=="x","1","nada"', 'a!="x","1"', 'a=="1".."x"', 'a>"1"', 'a<="é"', "a==true", "a!=true", 'a==true,"x"', "a!=false", 'a=="urn:x:1"', 'a!="urn:x:1"',
    'a~="x"', 'a!~="x"', 'a~="^x|a.*1$"', 'a!~="^urn:.*1$"', 'a~="[0-9]"', 'a!~="(x|é)+"', 'a~="."', 'a~="x$"', "a~=^2026", "a==2026-05-01T10:00:00Z", "a!=2026-05-01T10:00:00Z",
    "a>=2026-05-01T09:00:00Z", "a==2026-05-01", "a==2026-01-01..2026-12-31", "a.sub", "!a.sub", "a.sub==1", 'a.sub=="x"', "a.sub!=1", 'a.sub~="x"', "a.sub>0;b!=1", 'a.observedAt>"2026"',
    "a.observedAt>2026-05-01T09:00:00Z", "a.datasetId", 'a.unitCode=="GQ"', 'a.json==1', 'a.valueList=="x"', "a.type", '(a=="x"|!b);c!=2', 'a.unitCode!="GQ"|a>1;b~="x"',
]  # fmt: skip
#: all that they ask about
ALL = "a|b|c|a.sub|a.observedAt|a.datasetId|a.unitCode|a.json|a.valueList|a.type"
said = st.sampled_from(
    ["x", "X", "xx", "a x 1", "é", "", " ", "x\ny", "1\r", 'x"\\', "urn:x:1", "2026-05-01T10:00:00Z", "2026-05-01", "2026", "l" * 250, "[x]", "x.1"]
)
of_texts = st.one_of(
    st.builds(lambda v: {"type": "Property", "value": v}, said),
    st.builds(lambda v, w: {"type": "Property", "value": v, "unitCode": "GQ", "observedAt": "2026-05-01T10:00:00Z", "sub": {"type": "Property", "value": w}}, said, said | numbers),
    st.builds(lambda v: {"type": "Property", "value": {"@type": "DateTime", "@value": v}}, st.sampled_from(["2026-05-01T10:00:00Z", "2026-05-01T08:00:00Z"])),
    st.builds(lambda v, n: {"type": "Property", "value": v, n: {"type": "Property", "value": "x"}}, said, st.sampled_from(["object", "languageMap", "vocab", "json", "valueList"])),
    st.builds(lambda v: {"type": "Relationship", "object": v, "value": {"type": "Property", "value": "x"}}, st.sampled_from(["urn:x:1", "urn:x:x"])),
    st.builds(lambda v: {"type": "Relationship", "object": v}, st.sampled_from(["urn:x:1", "urn:x:x"]) | st.just(["urn:x:1", "urn:x:2"])),
    st.builds(lambda v: {"type": "VocabProperty", "vocab": v}, said.filter(bool)), st.builds(lambda v: {"type": "LanguageProperty", "languageMap": {"pt": v, "en": "x"}}, said),
)  # fmt: skip
precise = st.builds(lambda v: {"type": "Property", "value": v}, st.sampled_from([0, -0.0, 2.5, 1e300, 1e-300, 2**53 + 1, 0.1, 0.1 + 0.2, -3]))
steps = st.lists(
    st.tuples(numbers, st.dictionaries(st.sampled_from("abc"), attributes | instances | precise | of_texts), st.sampled_from([WriteMode.UPDATE, WriteMode.REPLACE, None]), st.lists(st.sampled_from(QUESTIONS), min_size=6, max_size=6)),
    min_size=1, max_size=6,
)  # fmt: skip
fresh = count()


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """What is asked for is kept at once, however quick it was; what is left out is counted without."""
    monkeypatch.setattr(columns, "SLOW_SECONDS", 0)
    monkeypatch.setattr(columns, "OFTEN", 1)


@pytest.fixture
def place(new_tenant):
    """(connection in autocommit, tenant id)"""
    with database.connect(autocommit=True) as conn:
        yield conn, new_tenant().id
    columns.forget()


def prop(value, **members):
    return {"type": "Property", "value": value, **members}


def write(conn, tenant_id, *docs, mode=WriteMode.UPDATE):
    with database.tenant_transaction(conn, [tenant_id]):
        assert not service.upsert_documents(conn, tenant_id, docs, WriteOptions(mode=mode)).refused


def thing(n, types=(TYPE,), expires_at=None, **attributes_):
    return EntityDocument(f"urn:x:F:{n}", types, attributes_, expires_at=expires_at)


def kept(conn, tenant_id, text, kind=TYPE):
    """The total by the figures, None where they do not tell."""
    question = EntityQuery(types=(kind,), q=text, count=True, limit=0)
    asked = columns.asked(conn, tenant_id, question)
    counted = columns.count(conn, asked, conditions.where(conn, [tenant_id], question)) if asked else None
    return counted and counted.total


def walked(conn, tenant_id, text, kind=TYPE):
    return pages._walked(conn, conditions.where(conn, [tenant_id], EntityQuery(types=(kind,), q=text, count=True)))


def total(conn, tenant_id, text, kind=TYPE):
    with database.tenant_transaction(conn, [tenant_id]):
        return service.query(conn, [tenant_id], EntityQuery(types=(kind,), q=text, count=True, limit=0)).total


def ready(conn, tenant_id, text, kind=TYPE):
    """Ask until the figures tell: other tests of the database may be in a transaction, and theirs ends."""
    end = time.monotonic() + 60
    while True:
        total(conn, tenant_id, text, kind)
        with database.tenant_transaction(conn, [tenant_id]):
            if kept(conn, tenant_id, text, kind) is not None:
                return
        assert time.monotonic() < end
        time.sleep(0.02)


def same(conn, tenant_id, kind=TYPE, asked=QUESTIONS):
    """By question the total, by what is kept and by a walk."""
    found = {}
    for text in asked:
        with database.tenant_transaction(conn, [tenant_id]):
            found[text] = kept(conn, tenant_id, text, kind), walked(conn, tenant_id, text, kind)
    return found


def test_it_works(place):
    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop(1)), thing(2, a=prop(2), b=prop(1)), thing(3, a=prop(3)))
    ready(conn, tenant_id, "a>1")
    assert total(conn, tenant_id, "a>1") == 2
    write(conn, tenant_id, thing(1, a=prop(5)), thing(4, a=prop(9)))
    with database.tenant_transaction(conn, [tenant_id]):
        assert kept(conn, tenant_id, "a>1") == 4
        assert kept(conn, tenant_id, "a==1") == 0
    with database.tenant_transaction(conn, [tenant_id]):
        service.delete(conn, tenant_id, ["urn:x:F:2"])
    assert total(conn, tenant_id, "a>1") == 3
    ready(conn, tenant_id, ALL)
    assert same(conn, tenant_id)["a>0;b<3"] == (0, 0)
    assert 0 < columns.size_bytes() < 1_000


@pytest.mark.parametrize(
    "text", ["a[deep]==1", "createdAt>5", "a.createdAt>2026-01-01", "a==9007199254740993", 'a==1,"x"', "a.b.c>1", "a{T:b}==1", "a>1;a[deep]"]
)
def test_what_columns_do_not_tell_is_walked(place, text):
    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop(1)))
    with database.tenant_transaction(conn, [tenant_id]):
        assert columns.asked(conn, tenant_id, EntityQuery(types=(TYPE,), q=text, count=True)) is None
        assert columns.asked(conn, tenant_id, EntityQuery(types=(TYPE,), q="a>1", count=True)) is not None
        assert columns.asked(conn, tenant_id, EntityQuery(types=(TYPE,), q="a>1", count=True, id_pattern="x")) is None
        assert columns.asked(conn, tenant_id, EntityQuery(types=(TYPE, "Other"), q="a>1", count=True)) is None


@given(steps)
@settings(max_examples=40, deadline=None)
def test_all_kinds_are_counted_as_by_walking(database_of_all, written):
    conn, tenant_id = database_of_all
    number = next(fresh)
    kinds = (f"Figured{number}A", f"Figured{number}B")
    write(conn, tenant_id, *(EntityDocument(f"urn:x:G:{number}:{kind}", (kind,), {"a": prop(1), "b": prop(2), "c": prop(3)}) for kind in kinds))
    for kind in kinds:
        ready(conn, tenant_id, ALL, kind)
    for which, attributes_, mode, asked in written:
        uri = f"urn:x:G:{number}:{which}"
        if mode is None:
            with database.tenant_transaction(conn, [tenant_id]):
                service.delete(conn, tenant_id, [uri])
        else:
            write(conn, tenant_id, EntityDocument(uri, kinds if which == 3 else (kinds[which % 2],), attributes_), mode=mode)
        for kind in kinds:
            for text, (used, everywhere) in same(conn, tenant_id, kind, asked).items():
                assert used == everywhere, text


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ('{"type": "Property", "value": 1.5}', 1.5), ('{"type": "Property", "value": 123456789012345}', 123456789012345.0),
        ('{"type": "Property", "value": 0.30000000000000004}', 0.1 + 0.2), ('{"type": "Property", "value": 0.30000000000000001}', float("-inf")),
        ('{"type": "Property", "value": 9007199254740993}', float("-inf")), ('{"type": "Property", "value": 1e400}', float("-inf")),
        ('{"type": "Property", "value": 1e-400}', float("-inf")), ('{"type": "Property", "value": [1]}', float("-inf")),
        ('[{"type": "Property", "value": 1}]', float("-inf")), ('{"type": "ListProperty", "valueList": [1]}', float("-inf")), ('"text"', float("-inf")),
    ],
)  # fmt: skip
def test_a_figure_is_exact_or_none(place, text, figure):
    conn, _ = place
    assert conn.execute("SELECT entity_figure(%s::jsonb)", [text]).fetchone()[0] == figure


def test_no_figure_where_none_can_answer(place):
    conn, _ = place
    rows = conn.execute(
        'SELECT entity_figure(v) FROM (VALUES (NULL::jsonb), (\'{"type": "Property", "value": "1"}\'), (\'{"type": "Property", "value": true}\')) AS t (v)'
    )
    assert [str(row[0]) for row in rows] == ["nan"] * 3


@given(st.lists(said | st.text(max_size=12).filter(lambda text: "\0" not in text), min_size=1, max_size=5), st.text("ax.*^$|\\é 1\r", min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_pattern_means_the_same_here_and_in_the_database(database_of_all, texts, written):
    """What is told without the database, of texts of one line, is what `like_regex` says."""
    conn, _ = database_of_all
    parts, lines = words.pattern(written), [text for text in texts if "\n" not in text]
    assume(parts is not None and lines)
    try:
        rows = conn.execute(
            "SELECT to_jsonb(t) @@ ('$ like_regex ' || to_json(%s::text))::jsonpath FROM unnest(%s::text[]) WITH ORDINALITY AS u (t, n) ORDER BY n",
            [written, lines],
        ).fetchall()
    except psycopg.errors.InvalidRegularExpression:
        return
    assert np.logical_or.reduce([part.among(lines) for part in parts]).tolist() == [row[0] for row in rows]


def test_a_word_says_what_the_attribute_says(place):
    conn, _ = place
    prop_, rel = '{"type": "Property", "value": %s}', '{"type": "Relationship", "object": %s}'
    for text, word in [
        (prop_ % '"x"', '"x'), (prop_ % "2.50", "#2.5"), (prop_ % "true", '={"type": "Property", "value": true}'), (prop_ % '"a\\nb"', '={"type": "Property", "value": "a\\nb"}'),
        (rel % '"urn:x"', ">urn:x"), (rel % '["urn:x"]', '={"type": "Relationship", "object": ["urn:x"]}'), (f"[{prop_ % 1}]", "?"), (prop_ % f'"{"l" * 201}"', "?"),
        ('"2026-05-01"', '="2026-05-01"'), (prop_ % "9007199254740993", "?"), ('{"type": "Property", "value": "x", "vocab": 1, "sub": 2}', '={"type": "Property", "value": "x", "vocab": 1}'),
    ]:  # fmt: skip
        assert conn.execute("SELECT entity_word(%s::jsonb)", [text]).fetchone()[0] == word
        again = "SELECT entity_word(entity_of_word(%s))"
        assert word == "?" or conn.execute(again, [word]).fetchone()[0] == word


def test_what_is_decided_once_is_not_asked_again_and_new_words_are(place, monkeypatch):
    conn, tenant_id = place
    write(conn, tenant_id, *(thing(n, a=prop(f"name {n}")) for n in range(20)))
    ready(conn, tenant_id, "a")
    asked = []
    decide = words.Words._decide
    monkeypatch.setattr(words.Words, "_decide", lambda self, conn, term, these: asked.append(these) or decide(self, conn, term, these))
    for text, found in (('a~="1"', 11), ('a~="1"', 11), ('a!="name 3"', 19)):
        with database.tenant_transaction(conn, [tenant_id]):
            assert kept(conn, tenant_id, text) == found
    assert [len(these) for these in asked] == [5, 5], "no, a number, unclear, one text that answers, one that does not"
    write(conn, tenant_id, thing(1, a=prop("new 1")))
    with database.tenant_transaction(conn, [tenant_id]):
        assert kept(conn, tenant_id, 'a~="1"') == 11
    assert asked[2:] == [['"new 1']]


def test_few_are_looked_for_among_those_that_are_kept(place):
    conn, tenant_id = place
    write(conn, tenant_id, *(thing(n, a=prop(f"name {n}")) for n in range(20)), thing(20, a=[prop("name 3"), prop("x", datasetId="urn:x:D")]))
    ready(conn, tenant_id, "a")
    with database.tenant_transaction(conn, [tenant_id]):
        page = service.query(conn, [tenant_id], EntityQuery(types=(TYPE,), q='a=="name 3"', count=True, limit=5))
        second = service.query(conn, [tenant_id], EntityQuery(types=(TYPE,), q='a=="name 3"', count=True, limit=1, offset=1))
    assert (page.total, {one.uri for one in page.entities}) == (2, {"urn:x:F:3", "urn:x:F:20"})
    assert (second.total, [one.uri for one in second.entities]) == (2, [page.entities[1].uri])


def test_more_words_than_a_walk_is_worth_are_walked(place, monkeypatch):
    conn, tenant_id = place
    write(conn, tenant_id, *(thing(n, a=prop([f"name {n}"])) for n in range(20)))
    ready(conn, tenant_id, "a")
    monkeypatch.setattr(words, "MOST_DECIDED", 10)
    with database.tenant_transaction(conn, [tenant_id]):
        assert kept(conn, tenant_id, 'a=="name 3"') is None
    assert total(conn, tenant_id, 'a=="name 3"') == 1


def test_words_that_changed_often_are_read_anew(place):
    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop("first")))
    ready(conn, tenant_id, "a")
    for n in range(3):
        write(conn, tenant_id, *(thing(1 + each % 2, a=prop(f"name {n}.{each}")) for each in range(2)))
        column = next(iter(columns._kept.values())).said[Path(("a",))]
        column.words.read(np.array([f'"filled {n}.{each}' for each in range(600)], object))
        assert total(conn, tenant_id, f'a=="name {n}.1"') == 1
    assert len(next(iter(columns._kept.values())).said[Path(("a",))].words) < 1_000


def test_what_has_ended_is_not_counted(place):
    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop(1), expires_at=now() + timedelta(seconds=4)), thing(2, a=prop(1), expires_at=now() + timedelta(hours=1)))
    ready(conn, tenant_id, "a==1")
    end = time.monotonic() + 10
    while total(conn, tenant_id, "a==1") == 2:
        assert time.monotonic() < end
        time.sleep(0.2)
    with database.tenant_transaction(conn, [tenant_id]):
        assert kept(conn, tenant_id, "a==1") == walked(conn, tenant_id, "a==1") == 1


def test_what_is_not_committed_is_seen_by_its_writer_alone(place):
    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop(1)))
    ready(conn, tenant_id, "a==1")
    with database.connect(autocommit=True) as other, database.tenant_transaction(other, [tenant_id]):
        service.upsert_documents(other, tenant_id, [thing(2, a=prop(1))])
        assert service.query(other, [tenant_id], EntityQuery(types=(TYPE,), q="a==1", count=True)).total == 2
        assert kept(other, tenant_id, "a==1") is None, "who has written is answered by a walk"
        assert total(conn, tenant_id, "a==1") == 1
        raise psycopg.Rollback
    with database.tenant_transaction(conn, [tenant_id]):
        assert kept(conn, tenant_id, "a==1") == 1


def test_who_looks_at_an_earlier_moment_is_answered_by_a_walk(place):
    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop(1)))
    ready(conn, tenant_id, "a==1")
    with database.connect(autocommit=True) as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with database.tenant_transaction(other, [tenant_id]):
            assert walked(other, tenant_id, "a==1") == 1
            write(conn, tenant_id, thing(2, a=prop(1)))
            assert total(conn, tenant_id, "a==1") == 2
            assert service.query(other, [tenant_id], EntityQuery(types=(TYPE,), q="a==1", count=True)).total == 1


def test_one_tenant_never_counts_with_another(place, new_tenant):
    conn, tenant_id = place
    other = new_tenant().id
    write(conn, tenant_id, thing(1, a=prop(1)))
    write(conn, other, thing(1, a=prop(1)), thing(2, a=prop(1)))
    ready(conn, tenant_id, "a==1")
    ready(conn, other, "a==1")
    assert (total(conn, tenant_id, "a==1"), total(conn, other, "a==1")) == (1, 2)
    with database.tenant_transaction(conn, [tenant_id]):
        assert conn.execute("SELECT DISTINCT tenant_id FROM entity_watch").fetchall() == [(tenant_id,)]
        question = EntityQuery(types=(TYPE,), q="a==1", count=True, limit=0)
        asked = columns.asked(conn, other, question)
        assert columns.count(conn, asked, conditions.where(conn, [other], question)) is None, "the wall stands before what is kept too"


def test_a_reader_with_limits_is_answered_by_a_walk(place):
    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop(1), secret=prop(1)), thing(2, a=prop(1)))
    ready(conn, tenant_id, "a==1")
    with reach.limited(), database.tenant_transaction(conn, [tenant_id]):
        reach.narrow((Reach(types=frozenset({"Other"})),))
        assert service.query(conn, [tenant_id], EntityQuery(types=(TYPE,), q="a==1", count=True)).total == 0


def test_an_application_writes_no_change(place):
    conn, tenant_id = place
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tenant_transaction(conn, [tenant_id]):
        conn.execute("INSERT INTO entity_changed_ids (tenant_id, type_id, ids) VALUES (%s, 1, '{}')", [tenant_id])


def test_changes_are_forgotten_and_figures_read_anew(place):
    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop(1)))
    ready(conn, tenant_id, "a==1")
    write(conn, tenant_id, thing(2, a=prop(1)))
    left = "SELECT count(*) FROM entity_changed_ids WHERE tenant_id = %s"
    for _ in range(2):
        with database.tenant_transaction(conn, [tenant_id]):
            service.forget_changes(conn, tenant_id)
            told = conn.execute(left, [tenant_id]).fetchone()[0]
    assert told <= 1
    end = time.monotonic() + 60
    while told and time.monotonic() < end:  # a test beside this one may be in a transaction
        with database.tenant_transaction(conn, [tenant_id]):
            service.forget_changes(conn, tenant_id)
            told = conn.execute(left, [tenant_id]).fetchone()[0]
    assert told == 0
    assert total(conn, tenant_id, "a==1") == 2
    with database.connect(Role.OWNER, autocommit=True) as owner:
        owner.execute("UPDATE entity_watch SET asked_at = now() - interval '2 hours' WHERE tenant_id = %s", [tenant_id])
    with database.tenant_transaction(conn, [tenant_id]):
        service.forget_changes(conn, tenant_id)
    write(conn, tenant_id, thing(3, a=prop(1)))  # nobody says so any more
    with database.tenant_transaction(conn, [tenant_id]):
        assert kept(conn, tenant_id, "a==1") is None
    assert total(conn, tenant_id, "a==1") == 3
    ready(conn, tenant_id, "a==1")
    assert total(conn, tenant_id, "a==1") == 3


def test_who_writes_while_a_watch_begins_is_not_missed(place):
    """A writer who saw no watch and is still at work: nothing is kept until it is done."""
    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop(1)))
    with database.connect(autocommit=True) as other, database.tenant_transaction(other, [tenant_id]):
        service.upsert_documents(other, tenant_id, [thing(2, a=prop(1))])
        for _ in range(5):
            assert total(conn, tenant_id, "a==1") == 1
        with database.tenant_transaction(conn, [tenant_id]):
            assert kept(conn, tenant_id, "a==1") is None
    assert total(conn, tenant_id, "a==1") == 2
    ready(conn, tenant_id, "a==1")
    assert total(conn, tenant_id, "a==1") == 2


def test_what_is_kept_is_bounded(place, monkeypatch):
    conn, tenant_id = place
    write(conn, tenant_id, *(thing(n, types=("FirstFigured",), a=prop(n)) for n in range(20)))
    write(conn, tenant_id, *(thing(n, types=("SecondFigured",), a=prop(n)) for n in range(100, 120)))
    columns.forget()
    monkeypatch.setattr(columns, "MOST_BYTES", 1_000)
    ready(conn, tenant_id, "a>1", "FirstFigured")
    ready(conn, tenant_id, "a>1", "SecondFigured")
    assert len(columns._kept) == 1
    assert columns.size_bytes() == 20 * 28 + 3 * 2
    assert total(conn, tenant_id, "a>=10", "FirstFigured") == 10
    monkeypatch.setattr(columns, "MOST_ASKED", 0)
    write(conn, tenant_id, thing(1, types=("FirstFigured",), a=prop([1, 11])))
    assert total(conn, tenant_id, "a>=10", "FirstFigured") == 11


WRITER = """
import random, sys
from malha.context.store import service
from malha.context.store.contracts import EntityDocument
from malha.foundation.database import service as database

tenant, first = int(sys.argv[1]), int(sys.argv[2])
chance = random.Random(first)
with database.connect(autocommit=True) as conn:
    for n in range(100_000):
        a, b = sorted(chance.sample(range(first, first + 20), 2))
        try:
            with database.tenant_transaction(conn, [tenant]):
                now = service.by_uris(conn, tenant, [f"urn:x:F:{a}", f"urn:x:F:{b}"], lock=True)
                one, two = (now[f"urn:x:F:{each}"].attributes["a"]["value"] for each in (a, b))
                docs = [EntityDocument(f"urn:x:F:{each}", ("FiguredThing",), {"a": {"type": "Property", "value": v}}) for each, v in ((a, two), (b, one))]
                service.upsert_documents(conn, tenant, docs[:1])
                service.upsert_documents(conn, tenant, docs[1:])
                if n % 5 == 4:
                    raise KeyError
        except KeyError:
            pass
        print(n, flush=True)
"""


def test_every_count_is_of_one_moment(place):
    """Two processes exchange values between entities, each in one transaction, some of them undone, and are killed; three readers find as many as ever."""
    conn, tenant_id = place
    write(conn, tenant_id, *(thing(n, a=prop(n % 2)) for n in range(40)))
    ready(conn, tenant_id, "a==1")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tenant_id), str(first)], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        for first in (0, 20)
    ]
    wrong, counted, end = [], [], 0.0

    def reader():
        with database.connect(autocommit=True) as own:
            while time.monotonic() < end:
                with database.tenant_transaction(own, [tenant_id]):
                    if (found := kept(own, tenant_id, "a==1")) is not None:
                        counted.append(found)
                        wrong.extend([found] if found != 20 else [])

    try:
        assert [writer.stdout.readline().strip() for writer in writers] == ["0", "0"]
        end = time.monotonic() + 4
        readers = [threading.Thread(target=reader) for _ in range(3)]
        for each in readers:
            each.start()
        for each in readers:
            each.join()
    finally:
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
    assert not wrong
    assert len(counted) > 50
    assert total(conn, tenant_id, "a==1") == 20


def test_another_process_sees_what_is_said_too(place):
    """What is kept here is renewed by what others write, also in tables of many."""
    from malha.context.store.contracts import Column, EntityTable

    conn, tenant_id = place
    write(conn, tenant_id, thing(1, a=prop(1)))
    ready(conn, tenant_id, "a>=1")
    with database.connect(autocommit=True) as other, database.tenant_transaction(other, [tenant_id]):
        service.upsert_table(other, tenant_id, EntityTable(TYPE, [f"urn:x:F:{n}" for n in range(5_000)], [Column("a", [float(n) for n in range(5_000)])]))
    with database.tenant_transaction(conn, [tenant_id]):
        assert kept(conn, tenant_id, "a>=1") == 4_999
        assert watching.watched(conn, next(iter(columns._kept)))
