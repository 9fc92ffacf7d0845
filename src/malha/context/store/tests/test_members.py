"""A term on plain members finds what its jsonpath finds, whatever was stored."""

import pytest

from malha.context.store import predicate, service
from malha.context.store.contracts import EntityDocument, EntityQuery
from malha.foundation.database import service as database

STORED = [
    {"a": {"type": "Property", "value": 1}}, {"a": {"type": "Property", "value": 2.5}}, {"a": {"type": "Property", "value": "x"}}, {"a": {"type": "Property", "value": "2"}},
    {"a": {"type": "Property", "value": True}}, {"a": {"type": "Property", "value": [1, 3]}}, {"a": {"type": "Property", "value": {"b": 1}}},
    {"a": [{"type": "Property", "value": 1, "datasetId": "urn:x:a"}, {"type": "Property", "value": 9, "datasetId": "urn:x:b"}]},
    {"a": {"type": "Relationship", "object": "urn:x:other"}}, {"a": {"type": "LanguageProperty", "languageMap": {"pt": "x", "en": "y"}}},
    {"a": {"type": "JsonProperty", "json": 1}}, {"a": {"type": "ListProperty", "valueList": [1, 2]}}, {"a": {"type": "VocabProperty", "vocab": "x"}},
    {"b": {"type": "Property", "value": 1}}, {"a": {"type": "Property", "value": 'çã"o'}}, {"a": {"type": "Property", "value": -0.0}},
]  # fmt: skip


@pytest.mark.parametrize(
    "q",
    [
        "a==1", "a!=1", "a>1", "a<2", "a>=2.5", "a<=1", "a==1..2", "a!=1..2", "a==1,9", "a!=1,9", 'a=="x"', 'a!="x"', 'a=="x","2"', 'a=="urn:x:other"', 'a!="urn:x:other"', "a==0",
        'a=="çã"', "a==1;b!=2", "a==1|b==1", "a>-1;a<3", 'a=="2"', "a!=7",
    ],
)  # fmt: skip
def test_it_works(new_tenant, monkeypatch, q):
    tenant = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        docs = [EntityDocument(f"urn:x:T:{n:02}", ("T",), attributes) for n, attributes in enumerate(STORED)]
        assert not service.upsert_documents(conn, tenant.id, docs).refused
        question = EntityQuery(types=("T",), q=q, limit=100, count=True)
        found = service.query(conn, [tenant.id], question)
        monkeypatch.setattr(predicate, "plain", lambda *_: False)
        expected = service.query(conn, [tenant.id], question)
        assert [entity.uri for entity in found.entities] == [entity.uri for entity in expected.entities]
        assert found.total == expected.total
