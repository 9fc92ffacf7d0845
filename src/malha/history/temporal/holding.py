"""What the lake holds of some series between two instants, value by value: for loads that come again after their hot rows left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import service as engines
from malha.history.engines.contracts import Busy, LakeMissing, TooSlow
from malha.history.engines.service import Connection
from malha.history.lake import catalogue

#: (entity, instant UTC, number, text, seq), in no order
HELD = pa.schema([("entity_id", pa.int64()), ("observed_at", pa.timestamp("us", "UTC")), ("num", pa.float64()), ("txt", pa.string()), ("seq", pa.int64())])


def held(tenant_id: int, attribute: str, entity_ids: Sequence[int], first: datetime, last: datetime) -> pa.Table:
    """Values of `attribute` of these entities from `first` to `last` (both counted), without those of loads undone since; empty where there is no lake.

    Opens a connection of its own.
    Empty too where the engine has too much to do.
    """
    with database.connect(Role.APP) as conn, database.tenant_transaction(conn, [tenant_id]):
        undone = [row[0] for row in conn.execute("SELECT run_id FROM undone_run WHERE tenant_id = %s", [tenant_id]).fetchall()]
    wanted = pa.table({"entity_id": pa.array(list(entity_ids), pa.int64())})

    def ask(reader: Connection) -> pa.Table:
        if not catalogue.has_schema(reader, engines.tenant_schema(tenant_id)):
            return HELD.empty_table()
        reader.register("wanted_series", wanted)
        try:
            found = reader.execute(
                f"""SELECT x.entity_id, x.observed_at, x.num, x.txt, x.seq FROM lake.{engines.tenant_schema(tenant_id)}.observation x
                SEMI JOIN wanted_series w ON w.entity_id = x.entity_id
                WHERE x.attribute = $attribute AND x.dataset_id = 0 AND x.op = 0 AND x.observed_at BETWEEN $first AND $last
                    AND (x.run_id IS NULL OR NOT list_contains($undone::BIGINT[], x.run_id))""",
                {"attribute": attribute, "first": first, "last": last, "undone": undone},
            ).to_arrow_table()
            return found.cast(HELD)
        finally:
            reader.unregister("wanted_series")

    try:
        return engines.run([tenant_id], ask)
    except (LakeMissing, Busy, TooSlow):  # then the values are written again, and of one key the lake keeps the newest
        return HELD.empty_table()
