"""The same file again, after its values left hot history for the lake: nothing changes; a corrected one changes what was corrected."""

from __future__ import annotations

from malha.foundation.database import service as database
from malha.history.lake import service as lake
from malha.ingest.runs import service as runs

ROWS = 200
ANSWERS = {"type": "Leitura", "kind": "own", "key": ["sensor"], "time": {"columns": ["instante"], "zone": "UTC"}}


def table(tmp_path, name, corrected=-1, step=1):
    lines = [
        f"S{n % 5};2025-01-01T{n // 5 // 60:02d}:{n // 5 % 60:02d}:00Z;{n + (1000 if n == corrected else 0)};{'ok' if n % 7 else 'falha'}"
        for n in range(0, ROWS, step)
    ]
    path = tmp_path / name
    path.write_text("sensor;instante;valor;estado\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def forget_hot(tenant):
    """What dropping the partitions does after 48 hours, for one tenant."""
    assert lake.compact(tenant.id).rows
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        gone = conn.execute("DELETE FROM observation_hot WHERE tenant_id = %s", [tenant.id]).rowcount
        gone += conn.execute("DELETE FROM observation_packed WHERE tenant_id = %s", [tenant.id]).rowcount
    assert gone
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        assert conn.execute("SELECT count(*) FROM observations WHERE tenant_id = %s", [tenant.id]).fetchone() == (0,)


def test_it_works(new_tenant, tmp_path):
    tenant = new_tenant()
    first = runs.load_file(tenant.id, table(tmp_path, "a.csv"), ANSWERS)
    assert first.counts.observations == 3 * ROWS
    forget_hot(tenant)
    again = runs.load_file(tenant.id, table(tmp_path, "a.csv"), ANSWERS)
    assert (again.counts.changes, again.counts.observations) == (0, 0)
    corrected = runs.load_file(tenant.id, table(tmp_path, "b.csv", corrected=12), ANSWERS)
    assert corrected.counts.observations == 1
    runs.load_file(tenant.id, table(tmp_path, "a.csv"), ANSWERS)  # back as it was: the newer value counts, hot before lake
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        told = conn.execute("SELECT num FROM observations WHERE tenant_id = %s ORDER BY seq", [tenant.id]).fetchall()
    assert told == [(1012.0,), (12.0,)]


def test_few_values_of_each(new_tenant, tmp_path):
    """A batch too thin for arrays goes row by row, and asks the lake too."""
    tenant = new_tenant()
    runs.load_file(tenant.id, table(tmp_path, "a.csv"), ANSWERS)
    forget_hot(tenant)
    thin = runs.load_file(tenant.id, table(tmp_path, "c.csv", corrected=44, step=22), ANSWERS)
    assert thin.counts.observations == 1


def test_an_undone_load_is_no_past(new_tenant, tmp_path):
    tenant = new_tenant()
    runs.load_file(tenant.id, table(tmp_path, "0.csv", step=50), ANSWERS)
    first = runs.load_file(tenant.id, table(tmp_path, "a.csv"), ANSWERS)
    forget_hot(tenant)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        runs.undo(conn, tenant.id, first.run_id, "person:1")
    again = runs.load_file(tenant.id, table(tmp_path, "a.csv"), ANSWERS)
    assert again.counts.observations == first.counts.observations
