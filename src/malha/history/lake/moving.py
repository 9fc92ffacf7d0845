"""Hot rows on their way into the lake, several batches and tenants to a commit, and loads undone on their way out of it.

Everything here happens while the lake is held by this process (`catalogue.writing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import coarse
from malha.history.engines import service as engines
from malha.history.engines.coarse import NONE, Coarse
from malha.history.engines.service import Connection
from malha.history.lake import catalogue, compaction, tail
from malha.history.lake.committing import commit
from malha.history.lake.contracts import Compacted, Held, Watermark
from malha.history.rollups import service as rollups

#: hot rows that are moved at a time (`tail.LEAN` times as many where most columns say the same): with more the process would hold over 500 MB
BATCH_ROWS = 300_000
#: and those that share a lake commit: it takes some seconds
COMMIT_ROWS = 2_000_000


@dataclass(slots=True)
class Turn:
    """What is known while the lake is held, and what went wrong."""

    lake: Connection
    zones: Mapping[int, ZoneInfo]
    thin: Mapping[int, Coarse]  # nobody else changes them meanwhile
    failed: list[duckdb.Error]
    names: tail.Names = field(default_factory=tail.Names)

    @classmethod
    def of(cls, lake: Connection, tenants: Sequence[int], failed: list[duckdb.Error]) -> Turn:
        return cls(lake, catalogue.zones_of(tenants), coarse.known(lake, tenants), failed)


def move_all(lake: Connection, tenant_id: int) -> None:
    """All hot rows of one tenant, within a writing that somebody else began and in which its tables are there."""
    turn, waiting = Turn.of(lake, [tenant_id], []), [tenant_id]
    while waiting:
        _, waiting = move_some(turn, waiting)
    if turn.failed:
        raise turn.failed[0]


def move_some(turn: Turn, tenants: Sequence[int]) -> tuple[Compacted, list[int]]:
    """One lake commit of these tenants, up to about `COMMIT_ROWS`. Returns what moved, and who has more; where it fails each is tried alone."""
    lake = turn.lake

    def write() -> tuple[Compacted, list[int]]:
        moved, reached, again = Compacted(), dict[int, tuple[Watermark, int]](), list[int]()
        marks, held = catalogue.watermarks(lake, tenants), catalogue.held([engines.tenant_schema(tenant) for tenant in tenants])
        for at, tenant in enumerate(tenants):
            mark, there, more, rows = marks.get(tenant, Watermark()), held[engines.tenant_schema(tenant)], True, 0
            waiting = rollups.Waiting(there.newest if there.rows else None)
            while more and moved.rows < COMMIT_ROWS:
                one, mark, more, there = _move(turn, tenant, mark, there, waiting)
                moved, rows = moved + one, rows + one.rows
                engines.give_back()
            waiting.write(lake, engines.tenant_schema(tenant), turn.zones[tenant], turn.thin.get(tenant, NONE))
            if rows:
                reached[tenant] = (mark, rows)
            if more:
                again.append(tenant)
            if moved.rows >= COMMIT_ROWS:
                again += tenants[at + 1 :]
                break
        if reached:
            catalogue.set_watermark(lake, reached)
        return moved, again

    try:
        moved, again = commit(lake, [engines.tenant_schema(tenant) for tenant in tenants], write)
    except duckdb.Error as reason:
        if len(tenants) == 1:
            turn.failed.append(reason)
            return Compacted(), []
        moved, again = Compacted(), []
        for tenant in tenants:
            one, more = move_some(turn, [tenant])
            moved, again = moved + one, again + more
        return moved, again
    return replace(moved, commits=1 if moved.rows else 0), again


def _move(turn: Turn, tenant_id: int, after: Watermark, held: Held, waiting: rollups.Waiting) -> tuple[Compacted, Watermark, bool, Held]:
    """Up to `BATCH_ROWS` hot rows of a tenant, inside a lake transaction, how far that is, whether there are more, and what is held then."""
    lake, schema = turn.lake, engines.tenant_schema(tenant_id)
    found = tail.read(lake, tenant_id, after, BATCH_ROWS, turn.names)
    if found is None:
        return Compacted(), after, False, held
    count, spoken = found.rows.num_rows, pa.table({"entity_id": pc.unique(found.rows.column("entity_id"))})
    then = held.after(pc.max(found.rows.column("observed_at")).as_py())
    changed = compaction.add(lake, schema, turn.zones[tenant_id], found, held, turn.thin.get(tenant_id, NONE), waiting)
    lake.register("spoken", spoken)
    compaction.name_entities(lake, schema, tenant_id, "spoken", named=bool(held.rows.get("entity_dim")))
    lake.unregister("spoken")
    return Compacted(count, changed), found.reached, found.more, then


def remove_undone(lake: Connection, tenant_ids: Sequence[int]) -> None:
    """Take out the loads of these tenants that were undone since."""
    with database.connect(Role.COMPACTOR, autocommit=True) as hot:
        for tenant_id, run_id in hot.execute("SELECT tenant_id, run_id FROM undone_run WHERE tenant_id = ANY(%s)", [list(tenant_ids)]).fetchall():
            remove_run(lake, tenant_id, run_id)
            hot.execute("DELETE FROM undone_run WHERE tenant_id = %s AND run_id = %s", [tenant_id, run_id])


def remove_run(lake: Connection, tenant_id: int, run_id: int) -> int:
    """Take one load out, in a commit of its own. Returns how many rows that were."""
    zone, schema = catalogue.zone_of(tenant_id), engines.tenant_schema(tenant_id)

    def write() -> int:
        lake.execute("DELETE FROM lake.main.bulk_run WHERE tenant_id = ? AND run_id = ?", [tenant_id, run_id])
        return compaction.remove_run(lake, schema, zone, run_id, coarse.of_tenant(lake, tenant_id))

    return commit(lake, [schema], write)
