"""How many entities answer a question: those that have ended are not among them, whether or not the job has been."""

from datetime import timedelta

from malha.context.store import service
from malha.context.store.contracts import EntityDocument, EntityQuery
from malha.foundation.database import service as database
from malha.kernel.time import format_instant, now

TYPE = "CountedThing"


def test_it_works(new_tenant):
    tenant = new_tenant()
    level = {"type": "Property", "value": 3}
    past, future = now() - timedelta(minutes=1), now() + timedelta(hours=1)
    docs = [
        EntityDocument("urn:x:C:1", (TYPE,), {"level": level}),
        EntityDocument("urn:x:C:2", (TYPE,), {"level": level}, expires_at=past),
        EntityDocument("urn:x:C:3", (TYPE,), {"level": level}, expires_at=future),
        EntityDocument("urn:x:C:4", (TYPE,), {"level": level, "other": level | {"expiresAt": format_instant(past)}}),
        EntityDocument("urn:x:C:5", (TYPE,), {"level": {"type": "ListProperty", "valueList": [3]}}),
        EntityDocument("urn:x:C:6", (TYPE,), {"level": {"type": "JsonProperty", "json": 3}}),
        EntityDocument("urn:x:C:7", (TYPE,), {"level": [level | {"value": 9}, level | {"datasetId": "urn:x:D:1"}]}),
        EntityDocument("urn:x:C:8", (TYPE,), {"level": {"type": "Property", "value": "3"}}),
    ]
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        service.upsert_documents(conn, tenant.id, docs)
        for q, wanted in {"level==3": "134567", "level<=3": "134567", "level==1..4": "134567", "level>3": "7", 'level=="3"': "8", "level!=3": "8"}.items():
            page = service.query(conn, [tenant.id], EntityQuery(types=(TYPE,), q=q, count=True))
            assert ("".join(one.uri[-1] for one in page.entities), page.total) == (wanted, len(wanted)), q
            assert service.query(conn, [tenant.id], EntityQuery(types=(TYPE,), q=q, count=True, limit=0)).total == len(wanted)
