"""Counts and pages of filterable properties: the same answers as the documents give, whatever was written and when."""

import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from malha.context.store import filterable, names, pages, service
from malha.context.store.contracts import EntityDocument, EntityQuery, WriteMode, WriteOptions
from malha.foundation.database import service as database
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel, Label, ModelProperty, ValueType

TYPE = "FilteredThing"
LABEL = Label("Coisa", "Thing")
QUESTIONS = [
    'code=="a"', 'code=="a","b"', "level>2", "level<=2", "level==1..3", 'code=="a";level>1', 'code=="b";other==1', 'code=="a"|level>3', 'code!="a"', 'code=="é longo"',
]  # fmt: skip


def prop(value, **members):
    return {"type": "Property", "value": value, **members}


@pytest.fixture
def town(new_tenant):
    """(connection in autocommit, tenant id) with a model of which two properties are filterable."""
    tenant = new_tenant()
    properties = (
        ModelProperty("code", filterable=True),
        ModelProperty("level", type=ValueType.NUMBER, filterable=True),
        ModelProperty("other", type=ValueType.NUMBER),
    )
    with database.connect(autocommit=True) as conn:
        with database.tenant_transaction(conn, [tenant.id]):
            models.create_model(conn, tenant.id, DataModel(TYPE, "1.0.0", LABEL, LABEL, properties))
        yield conn, tenant.id
    models.kept.forget()


def keep(conn, tenant_id):
    """Other tests of the database may be in a transaction: theirs ends."""
    end = time.monotonic() + 60
    while not service.keep_filterable(conn, tenant_id):
        assert time.monotonic() < end
        time.sleep(0.05)


def write(conn, tenant_id, *docs, mode=WriteMode.UPDATE):
    with database.tenant_transaction(conn, [tenant_id]):
        service.upsert_documents(conn, tenant_id, docs, WriteOptions(mode=mode))


def thing(n, types=(TYPE,), **attributes):
    return EntityDocument(f"urn:x:T:{n}", types, attributes)


def answers(conn, tenant_id, monkeypatch):
    """By question (total, page), with what is kept and without; both have to be the same."""
    found = {}
    for text in QUESTIONS:
        question = EntityQuery(types=(TYPE,), q=text, count=True)
        with database.tenant_transaction(conn, [tenant_id]):
            used = pages.query(conn, [tenant_id], question)
            with monkeypatch.context() as patch:
                patch.setattr(filterable, "FEW", 0)
                walked = pages.query(conn, [tenant_id], question)
            with monkeypatch.context() as patch:
                patch.setattr(filterable, "kept", lambda *_: None)
                plain = pages.query(conn, [tenant_id], question)
        told = [(page.total, [one.uri for one in page.entities]) for page in (used, walked, plain)]
        assert told[0] == told[1] == told[2], text
        found[text] = told[0][0]
    return found


def test_it_works(town, monkeypatch):
    conn, tenant_id = town
    write(
        conn,
        tenant_id,
        thing(1, code=prop("a"), level=prop(1)),
        thing(2, code=prop("a"), level=prop(2.5), other=prop(1)),
        thing(3, code=prop("b"), other=prop(1)),
    )
    before = answers(conn, tenant_id, monkeypatch)  # nothing is kept yet
    keep(conn, tenant_id)
    assert answers(conn, tenant_id, monkeypatch) == before
    assert before == {
        'code=="a"': 2, 'code=="a","b"': 3, "level>2": 1, "level<=2": 1, "level==1..3": 2, 'code=="a";level>1': 1, 'code=="b";other==1': 1, 'code=="a"|level>3': 2,
        'code!="a"': 1, 'code=="é longo"': 0,
    }  # fmt: skip
    with database.tenant_transaction(conn, [tenant_id]):
        kept = filterable.kept(conn, tenant_id, EntityQuery(types=(TYPE,), q='code=="a"'))
        assert kept is not None
        assert len(filterable.few(conn, kept)) == 2


def test_what_is_written_is_found(town, monkeypatch):
    conn, tenant_id = town
    write(conn, tenant_id, thing(1, code=prop("a"), level=prop(0)))
    keep(conn, tenant_id)
    write(conn, tenant_id, *(thing(n, code=prop("ab"[n % 2]), level=prop(n)) for n in range(2, 8)))
    write(conn, tenant_id, thing(2, code=prop("é longo"), level=prop("alto")), thing(3, level=prop(True)))
    write(conn, tenant_id, thing(4, code=[prop("a"), prop("b", datasetId="urn:x:D:1")]), thing(5, code={"type": "JsonProperty", "json": "a"}))
    write(conn, tenant_id, thing(6, code=prop("x" * 300), level=prop([1, 9])))
    write(conn, tenant_id, thing(7, code=None), mode=WriteMode.ATTRIBUTES)
    write(conn, tenant_id, thing(8, types=("AnotherThing",), code=prop("a")))
    assert answers(conn, tenant_id, monkeypatch)['code=="a"'] == 3  # 1, one instance of 4, and 5
    write(conn, tenant_id, thing(8, types=("AnotherThing", TYPE)))
    assert answers(conn, tenant_id, monkeypatch)['code=="a"'] == 4
    with database.tenant_transaction(conn, [tenant_id]):
        service.delete(conn, tenant_id, ["urn:x:T:1", "urn:x:T:6"])
    assert answers(conn, tenant_id, monkeypatch)['code=="a"'] == 3
    with database.tenant_transaction(conn, [tenant_id]):
        left = conn.execute(
            "SELECT count(DISTINCT entity_id), count(*) FILTER (WHERE value IS NULL) FROM entity_values WHERE tenant_id = %s", [tenant_id]
        ).fetchone()
    assert left == (6, 2)  # 7 has its level still; of 4 and 5 the document tells the code


def test_whoever_began_before_is_waited_for(town, monkeypatch):
    conn, tenant_id = town
    write(conn, tenant_id, thing(1, code=prop("a")))
    with database.connect() as slow, database.tenant_transaction(slow, [tenant_id]):
        service.upsert_documents(slow, tenant_id, [thing(2, code=prop("a"))])
        assert not service.keep_filterable(conn, tenant_id)
        assert answers(conn, tenant_id, monkeypatch)['code=="a"'] == 1
    keep(conn, tenant_id)
    assert answers(conn, tenant_id, monkeypatch)['code=="a"'] == 2


def test_what_is_declared_no_more_is_forgotten(town, monkeypatch):
    conn, tenant_id = town
    write(conn, tenant_id, thing(1, code=prop("a")))
    keep(conn, tenant_id)
    with database.tenant_transaction(conn, [tenant_id]):
        models.create_model(conn, tenant_id, DataModel(TYPE, "2.0.0", LABEL, LABEL, (ModelProperty("code"), ModelProperty("level", type=ValueType.NUMBER))))
    keep(conn, tenant_id)
    with database.tenant_transaction(conn, [tenant_id]):
        assert conn.execute("SELECT count(*) FROM entity_values WHERE tenant_id = %s", [tenant_id]).fetchone() == (0,)
        assert names.existing(conn, "entity_type", [TYPE])
    assert answers(conn, tenant_id, monkeypatch)['code=="a"'] == 1


def test_a_page_is_the_same_however_many_a_value_finds(town, monkeypatch):
    conn, tenant_id = town
    over = datetime.now(UTC) - timedelta(days=1)
    docs = [thing(n, code=prop("a" if n != 3 else ["a", "b"])) for n in range(8)]
    write(conn, tenant_id, *docs[:2], replace(docs[2], expires_at=over), *docs[3:])
    keep(conn, tenant_id)
    for limit, offset in ((1, 0), (2, 0), (3, 0), (3, 1), (2, 5), (20, 0), (20, 6)):
        question = EntityQuery(types=(TYPE,), q='code=="a"', limit=limit, offset=offset)
        with database.tenant_transaction(conn, [tenant_id]):
            used = pages.query(conn, [tenant_id], question)
            with monkeypatch.context() as patch:
                patch.setattr(filterable, "kept", lambda *_: None)
                plain = pages.query(conn, [tenant_id], question)
        assert ([one.uri for one in used.entities], used.total) == ([one.uri for one in plain.entities], None)
    assert len(plain.entities) == 1


def test_a_writer_who_began_after_and_looked_before_is_waited_for(town, monkeypatch):
    conn, tenant_id = town
    write(conn, tenant_id, thing(1, code=prop("a")))
    with database.connect(autocommit=True) as other, ExitStack() as writing:
        with database.tenant_transaction(conn, [tenant_id]):
            assert filterable.declare(conn, tenant_id, [TYPE]) == (True, True)
            writing.enter_context(database.tenant_transaction(other, [tenant_id]))
            service.upsert_documents(other, tenant_id, [thing(2, code=prop("a"))])  # sees nothing that is to be kept
        with database.tenant_transaction(conn, [tenant_id]):
            filterable.seen(conn, tenant_id)
        with database.tenant_transaction(conn, [tenant_id]):
            assert not filterable.keep(conn, tenant_id)
    keep(conn, tenant_id)
    assert answers(conn, tenant_id, monkeypatch)['code=="a"'] == 2
