"""`kill -9` in the middle of writing inside a snapshot: what was acknowledged is there, whole, and what was not is not there at all."""

import os
import signal
import subprocess
import sys
import time

import pytest

from malha.context.snapshots import keeping, reading, service
from malha.context.snapshots.contracts import Status
from malha.context.store import service as store
from malha.foundation.database import service as database

WRITER = """
import sys
from malha.context.snapshots.place import Inside
from malha.context.store.contracts import EntityDocument
from malha.foundation.database import service as database

tenant, uri = int(sys.argv[1]), sys.argv[2]
place = Inside(uri, writes=True)
with database.connect() as conn:
    for n in range(10_000):
        said = {"type": "Property", "value": n, "observedAt": f"2026-03-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z"}
        with database.tenant_transaction(conn, [tenant]):
            place.upsert_documents(conn, tenant, [EntityDocument(name, ("K",), {"n": said}) for name in ("urn:x:K:same", f"urn:x:K:{n}")])
        print(n, flush=True)
"""


@pytest.fixture
def snapshot(new_tenant):
    tenant = new_tenant()
    said = reading.made({"type": "Snapshot", "snapshotQueries": [{"type": "Query", "entities": [{"type": "K"}]}]})
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        one = service.create(conn, tenant.id, "client:x", said)
        service.filled(conn, one, [], [], Status.EMPTY, [{"resultStatus": "empty"}], [])
    return one


def test_it_works(snapshot):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(snapshot.tenant_id), snapshot.uri], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    first = writer.stdout.readline()
    time.sleep(0.7)
    writer.send_signal(signal.SIGKILL)
    acknowledged = int([first, *writer.stdout.read().splitlines()][-1])
    writer.wait()
    with database.connect() as conn, database.tenant_transaction(conn, [snapshot.tenant_id]):
        held = {one.uri: one for one in keeping.entities(conn, snapshot)}
        last = int(held["urn:x:K:same"].value("n"))
        told = keeping.told(conn, snapshot, [held["urn:x:K:same"].id])
        assert store.existing(conn, snapshot.tenant_id, list(held)) == set()
    assert acknowledged > 5
    assert last in {acknowledged, acknowledged + 1}
    assert held.keys() == {"urn:x:K:same", *(f"urn:x:K:{n}" for n in range(last + 1))}
    assert sorted(row[6] for row in told) == list(range(last + 1))
