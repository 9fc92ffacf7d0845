"""`kill -9` in the middle of writing: nothing acknowledged is lost, nothing is there twice."""

import os
import signal
import subprocess
import sys
import time

from malha.foundation.database import service as database

WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from malha.context.store import service
from malha.context.store.contracts import Column, EntityTable, WriteOptions
from malha.foundation.database import service as database

tenant, start = int(sys.argv[1]), int(sys.argv[2])
with database.connect() as conn:
    for batch in range(start, start + 10_000):
        uris = [f"urn:x:K:{n}" for n in range(200)]
        at = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=batch)] * 200
        with database.tenant_transaction(conn, [tenant]):
            service.upsert_table(conn, tenant, EntityTable("K", uris, [Column("batch", [batch] * 200), Column("state", ["ok"] * 200)], at), WriteOptions(run_id=1))
        print(batch, flush=True)
"""


def test_it_works(new_tenant):
    tenant = new_tenant()
    acknowledged = -1
    for seconds in (0.5, 0.3, 0.7):
        acknowledged = run_and_kill(tenant.id, acknowledged + 1, seconds)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        batches = dict(
            conn.execute("SELECT num::int, count(*) FROM observation_hot WHERE tenant_id = %s AND num IS NOT NULL GROUP BY 1", [tenant.id]).fetchall()
        )
        twice = conn.execute(
            "SELECT count(*) FROM (SELECT 1 FROM observation_hot WHERE tenant_id = %s GROUP BY entity_id, attr_id, observed_at HAVING count(*) > 1) d",
            [tenant.id],
        ).fetchone()
        texts = conn.execute("SELECT count(*) FROM observation_hot WHERE tenant_id = %s AND txt IS NOT NULL", [tenant.id]).fetchone()
        states = conn.execute("SELECT DISTINCT (doc -> 'batch' ->> 'value')::int FROM entities WHERE tenant_id = %s", [tenant.id]).fetchall()
        events = conn.execute("SELECT count(*) FROM outbox WHERE tenant_id = %s AND name = 'entities.changed'", [tenant.id]).fetchone()
    assert set(range(acknowledged + 1)) <= set(batches), "something acknowledged is lost"
    assert len(batches) <= acknowledged + 2, "more than the batch in flight is there"
    assert set(batches.values()) == {200}
    assert twice == (0,)
    assert texts == (200 * len(batches),)
    assert states == [(max(batches),)]
    assert events == (len(batches),)


def run_and_kill(tenant_id, start, seconds):
    """Write from batch `start` until killed; the last batch that was acknowledged. The one in flight is written again."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tenant_id), str(start)], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    first = writer.stdout.readline()
    assert first.strip() == str(start)
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    lines = [first, *writer.stdout.read().splitlines()]
    writer.wait()
    return int(lines[-1])
