"""What the tests of this room share: a town's rows, and the headers of a key."""

import base64
import json
from datetime import UTC, datetime, timedelta

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityDocument, EntityTable
from malha.foundation.database import service as database

START = datetime(2026, 3, 1, tzinfo=UTC)


def basic(text, user="ana"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{text}".encode()).decode()}


def air(conn, tenant_id, count=5, *, start=START, hours=3):
    """`count` stations of AirQualityObserved with a PM10 an hour; the last value is the current one."""
    for hour in range(hours):
        uris = [f"urn:x:AirQualityObserved:{n:05}" for n in range(count)]
        at = [start + timedelta(hours=hour)] * count
        points = [{"type": "Point", "coordinates": [-8.6 + n / 1000, 41.1 + n / 1000]} for n in range(count)]
        columns = [
            Column("pm10", [float(n + hour) if n % 5 != 4 else None for n in range(count)], unit="GQ"),
            Column("stationName", [f"Estação {'ÁBCDE'[n % 5]}" for n in range(count)]),
            Column("location", points, "GeoProperty"),
            Column("note", [f"n'{n}" if n % 2 else None for n in range(count)]),
        ]
        store.upsert_table(conn, tenant_id, EntityTable("AirQualityObserved", uris, columns, at))


def write(tenant, *documents):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        store.upsert_documents(
            conn, tenant.id, [EntityDocument(uri, (kind,) if isinstance(kind, str) else tuple(kind), attributes) for uri, kind, attributes in documents]
        )


def lines(text):
    return [json.loads(line) for line in text.splitlines() if line]
