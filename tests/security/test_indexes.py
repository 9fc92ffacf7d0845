"""Row-level security does not switch off the indexes that hot reads live by: shown by EXPLAIN, as the application."""

from __future__ import annotations

import pytest

from malha.foundation.audit import queries as audit
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.events import queries as events
from malha.history.lake.catalogue import SQL

HOT = {
    "events of a tenant since a position": (
        events.SETTLED_OF_TENANT.replace("%s::text[] IS NULL OR name = ANY(%s)", "true"),
        ["{tenant}", "100", 5, 100],
        "outbox_pkey",
        ["tenant_id", "ROW(xid, seq)"],
    ),
    "a page of the trail": (
        audit.PAGE,
        {"tenant": "{tenant}", "before": 10, "personal": False, "action": "", "actor": "", "since": None, "limit": 50},
        "audit_entry_pkey",
        ["tenant_id", "id <"],
    ),
    "roles of a person in a tenant": (
        "SELECT role FROM membership m WHERE m.tenant_id = %s AND m.person_id = %s",
        ["{tenant}", 7],
        "membership",
        ["tenant_id"],
    ),
    "delegations to a community": (
        "SELECT tenant_id FROM delegation d WHERE d.delegate_id = ANY(%s)",
        [[7, 8]],
        "delegation_delegate",
        ["delegate_id"],
    ),
}


@pytest.mark.parametrize("name", ["hot_single", "hot_shaped", "hot_horizon"])
def test_hot_rows_are_read_in_order_of_commit_from_an_index(name):
    shape, more = "CASE WHEN attr_id = 1 THEN 0 END", ", txt"
    given = {"tenant_id": 1, "xid": 9, "seq": 9, "limit": 1000, "packed": 8, "bound": "xid < '1000'::xid8", "looked_at": 500}
    given |= {"unlike": f"({shape}) IS NULL", "shape": shape, "more": more}
    statement = (SQL / f"{name}.sql").read_text(encoding="utf-8").format(**given)
    with database.connect(Role.COMPACTOR) as connection:
        connection.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off"
        )
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {statement}"))
    assert "tenant_id_xid_seq_idx" in plan, plan
    ordered = plan.split("Merge Append")[-1]  # what lies below is read in order; nothing is sorted by a text
    assert "::text" not in next(line for line in ordered.splitlines() if "Sort Key" in line), plan


@pytest.mark.parametrize("name", HOT)
def test_hot_reads_use_their_index(new_tenant, name):
    statement, given, index, conditions = HOT[name]
    tenant = new_tenant().id
    values = (
        {key: tenant if value == "{tenant}" else value for key, value in given.items()}
        if isinstance(given, dict)
        else [tenant if value == "{tenant}" else value for value in given]
    )
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        connection.execute("SET LOCAL enable_seqscan = off")  # the tables of a test are too small for the planner to bother
        connection.execute("SET LOCAL enable_bitmapscan = off")
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {statement}", values))
    assert index in plan, plan
    used = [line for line in plan.splitlines() if "Index Cond" in line]
    for condition in conditions:
        assert any(condition in line for line in used), plan
