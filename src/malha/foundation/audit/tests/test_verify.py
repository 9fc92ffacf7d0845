import psycopg
import pytest

from malha.foundation.audit import queries, service
from malha.foundation.audit.contracts import Fault
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.tenancy import service as tenancy


@pytest.fixture
def trail(new_tenant):
    """A tenant with five chained entries, and a connection for the one who verifies."""
    tenant = new_tenant()
    with tenancy.scope(tenant.id):
        for number in range(5):
            service.record(tenant.id, "person:1", "data.export", f"dataset:{number}", {"rows": number}, personal=number == 3)
    with database.connect(autocommit=True) as connection:
        assert service.chain(connection, tenant.id) == 5
        yield tenant, connection


def entry_ids(connection, tenant):
    with database.tenant_transaction(connection, [tenant.id]):
        return [row[0] for row in connection.execute("SELECT entry_id FROM audit_link WHERE tenant_id = %s ORDER BY seq", [tenant.id])]


def as_owner(statement, *values):
    with database.connect(Role.OWNER, autocommit=True) as owner:
        assert owner.execute(statement, values).rowcount >= 1


def test_it_works(trail):
    tenant, connection = trail
    verdict = service.verify(connection, tenant.id)
    assert verdict.holds
    assert (verdict.links, verdict.waiting) == (5, 0)


def test_an_altered_row_is_named(trail):
    tenant, connection = trail
    third = entry_ids(connection, tenant)[2]
    as_owner("UPDATE audit_entry SET subject = 'dataset:outro' WHERE tenant_id = %s AND id = %s", tenant.id, third)
    verdict = service.verify(connection, tenant.id)
    assert (verdict.fault, verdict.seq, verdict.entry_id) == (Fault.ALTERED, 3, third)


def test_a_missing_row_is_named(trail):
    tenant, connection = trail
    second = entry_ids(connection, tenant)[1]
    as_owner("DELETE FROM audit_entry WHERE tenant_id = %s AND id = %s", tenant.id, second)
    verdict = service.verify(connection, tenant.id)
    assert (verdict.fault, verdict.seq, verdict.entry_id) == (Fault.MISSING, 2, second)


def test_a_hole_in_the_chain_is_named(trail):
    tenant, connection = trail
    as_owner("DELETE FROM audit_link WHERE tenant_id = %s AND seq = 4", tenant.id)
    verdict = service.verify(connection, tenant.id)
    assert (verdict.fault, verdict.seq) == (Fault.UNLINKED, 4)


def test_an_end_cut_off_shows_by_the_anchor(trail):
    tenant, connection = trail
    assert service.anchor(connection, tenant.id)
    assert not service.anchor(connection, tenant.id)
    as_owner("DELETE FROM audit_link WHERE tenant_id = %s AND seq = 5", tenant.id)
    as_owner("DELETE FROM audit_entry WHERE tenant_id = %s AND id = (SELECT max(id) FROM audit_entry WHERE tenant_id = %s)", tenant.id, tenant.id)
    as_owner("DELETE FROM audit_anchor WHERE tenant_id = %s", tenant.id)  # the one in the database: the file remains
    assert service.verify(connection, tenant.id).fault == Fault.UNLINKED


def test_a_chain_rewritten_whole_shows_by_the_anchor(trail):
    tenant, connection = trail
    service.anchor(connection, tenant.id)
    as_owner("UPDATE audit_entry SET actor = 'person:2' WHERE tenant_id = %s", tenant.id)
    as_owner("DELETE FROM audit_anchor WHERE tenant_id = %s", tenant.id)
    as_owner("DELETE FROM audit_link WHERE tenant_id = %s", tenant.id)
    assert service.chain(connection, tenant.id) == 5
    verdict = service.verify(connection, tenant.id)
    assert (verdict.fault, verdict.seq) == (Fault.REWRITTEN, 5)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry", "UPDATE audit_link SET seq = 1", "DELETE FROM audit_anchor"]
)
def test_the_application_cannot_change_it(trail, statement):
    tenant, connection = trail
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tenant_transaction(connection, [tenant.id]):
        connection.execute(statement)


def test_late_commits_are_chained(trail):
    tenant, connection = trail
    with database.connect() as late, database.connect(autocommit=True) as early:
        with database.tenant_transaction(late, [tenant.id]):
            service.record_on(late, tenant.id, "person:1", "late", "x")
            with database.tenant_transaction(early, [tenant.id]):
                service.record_on(early, tenant.id, "person:1", "early", "x")
            assert service.chain(connection, tenant.id) == 1
        assert service.chain(connection, tenant.id) == 1
    assert service.verify(connection, tenant.id).holds


def test_the_platform_has_a_chain_of_its_own(new_tenant):
    tenant = new_tenant()
    with tenancy.scope(tenant.id):
        service.record(None, "system", "tenant.delete", "tenant:x")
        service.record(tenant.id, "system", "tenant.rename", "tenant:x")  # the scope came back
        assert [entry.action for entry in service.entries(database.current(), tenant.id)] == ["tenant.rename"]
    with tenancy.scope(0):
        assert "tenant.delete" in {entry.action for entry in queries.page(database.current(), 0)}
