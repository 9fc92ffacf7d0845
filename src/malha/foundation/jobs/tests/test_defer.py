import pytest
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from malha.foundation.database import django as database
from malha.foundation.jobs import service
from malha.foundation.jobs.contracts import NotAnId

done = []


@service.tenant_job("test.note")
def note(tenant_id, thing_id=0):
    """Remember the scope it ran in."""
    done.append((tenant_id, thing_id, database.current().execute("SELECT current_setting('malha.tenants')").fetchone()[0]))


@pytest.fixture(autouse=True)
def _empty():
    done.clear()
    yield
    ProcrastinateJob.objects.using("owner").filter(task_name__startswith="test.")._raw_delete("owner")


def work():
    with app.replace_connector(app.connector.get_worker_connector()) as worker:
        worker.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)


def test_it_works(new_tenant):
    tenant = new_tenant()
    assert service.defer("test.note", tenant_id=tenant.id, thing_id=7)
    work()
    assert done == [(tenant.id, 7, f"{{{tenant.id}}}")]


def test_what_is_undone_is_not_deferred(new_tenant):
    tenant = new_tenant()
    with pytest.raises(ZeroDivisionError), database.scope(tenant.id):  # noqa: PT012 -- the point is what the error undoes
        service.defer("test.note", tenant_id=tenant.id)
        _ = 1 / 0
    work()
    assert done == []


def test_one_is_enough_in_the_queue(new_tenant):
    tenant = new_tenant()
    assert service.defer("test.note", tenant_id=tenant.id, once="x")
    assert service.defer("test.note", tenant_id=tenant.id, once="x") is None
    with database.scope(tenant.id):  # a refusal does not spoil the transaction
        assert service.defer("test.note", tenant_id=tenant.id, once="x") is None
        assert database.current().execute("SELECT 1").fetchone() == (1,)
    work()
    assert len(done) == 1


@pytest.mark.parametrize("value", ["ana@exemplo.pt", {"name": "Ana"}, "x" * 300, 1.5])
def test_arguments_are_ids(new_tenant, value):
    with pytest.raises(NotAnId):
        service.defer("test.note", tenant_id=1, thing=value)


def test_a_job_runs_for_every_tenant_by_its_schedule(new_tenant):
    service.tenant_job("test.each", schedule="0 3 * * *")(note)
    tenants = {new_tenant().id, new_tenant().id}
    service.run_now("test.each.each", timestamp=0)
    queued = ProcrastinateJob.objects.filter(task_name="test.each").values_list("args", flat=True)
    assert tenants <= {args["tenant_id"] for args in queued}


def test_jobs_of_rooms_are_found():
    assert {"audit.chain", "audit.anchor"} <= set(service.names())
