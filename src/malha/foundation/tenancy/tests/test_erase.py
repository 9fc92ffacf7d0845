from datetime import timedelta

import pytest

from malha.foundation.agreements import service as agreements
from malha.foundation.agreements.contracts import Terms
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.database import service as connections
from malha.foundation.database.contracts import Role
from malha.foundation.events import service as events
from malha.foundation.tenancy import erasure, service
from malha.foundation.tenancy.contracts import UnknownTenant
from malha.kernel.time import now


def test_it_works(new_tenant):
    tenant, other = new_tenant(), new_tenant()
    with service.scope(tenant.id):
        conn = database.current()
        audit.record(tenant.id, "person:1", "a.b", "c")
        events.publish(conn, tenant.id, "thing.done", {})
        terms = Terms(types=("X",), purpose="y", until=now() + timedelta(days=1))
        given = agreements.sign(conn, tenant.id, other.id, terms, by="person:1")
        agreements.open_reading(conn, given, grantee_id=other.id, tenant_id=tenant.id, reader="person:2", what="X")
    with service.scope(other.id):
        received = agreements.sign(database.current(), other.id, tenant.id, terms, by="person:1")
        assert received
        audit.record(other.id, "person:1", "a.b", "c")
    counts = erasure.erase(tenant.id)
    assert counts["audit_entry"] == 2
    assert counts["agreement"] == 2
    assert counts["organisation"] == 1
    with pytest.raises(UnknownTenant):
        service.by_id(tenant.id)
    with connections.connect(Role.OWNER) as owner:
        for (table,) in owner.execute(erasure.OWNED).fetchall():
            assert owner.execute(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", [tenant.id]).fetchone() == (0,), table
        assert owner.execute("SELECT count(*) FROM audit_entry WHERE tenant_id = %s", [other.id]).fetchone()[0] >= 1
